"""Calibration: whether what a model is 80 % sure of is right in 80 % of the cases.

    ECE = sum over bins of (share of the predictions in the bin) |accuracy - mean confidence|

in bins of equal width (Guo et al. 2017, "On calibration of modern neural networks").
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 10


def calibration(confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = BINS) -> dict[str, Any]:
    """What eval/calibration.json holds: {"bins": [{"low", "high", "count", "confidence", "accuracy"}, ...], "ece"}.

    confidence: [N], the probability of what was predicted. right: [N]. A bin without predictions has null figures; a
    probability on an edge lies in the bin above it, 1 in the last.

    >>> found = calibration(np.array([0.9, 0.9]), np.array([True, False]))
    >>> round(found["ece"], 3), found["bins"][9]["count"]
    (0.4, 2)
    """
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    rows, error = [], 0.0
    for number in range(bins):
        inside = place == number
        count = int(inside.sum())
        mean = float(confidence[inside].mean()) if count else None
        accuracy = float(right[inside].mean()) if count else None
        if mean is not None and accuracy is not None:
            error += count * abs(accuracy - mean)
        rows.append(
            {
                "low": number / bins,
                "high": (number + 1) / bins,
                "count": count,
                "confidence": mean,
                "accuracy": accuracy,
            }
        )
    return {"bins": rows, "ece": error / max(1, len(confidence))}
