"""Whether its probabilities can be believed: of what it was 80 % sure of, was 80 % right?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any, NamedTuple

from riverrun.inspection import page
from riverrun.inspection.charts import Frame, Line, line_chart
from riverrun.inspection.part import Part
from riverrun.inspection.record import RunRecord, number

GOOD, BAD = 0.03, 0.10  # expected calibration errors up to which it is good news, and from which it is a warning
FRAME = Frame(width=640, height=400, right=94)


class Bin(NamedTuple):
    """Predictions whose probability lay from low to high: how many, their mean probability, what share was right."""

    low: float
    high: float
    items: int
    confidence: float
    accuracy: float


def calibration(run: RunRecord) -> str:
    """The section's HTML; empty where no bin has predictions in it."""
    content = run.result("calibration")
    bins = bins_of(content)
    if not bins:
        return ""
    total = sum(bin.items for bin in bins)
    sure = sum(bin.items * bin.confidence for bin in bins) / total
    right = sum(bin.items * bin.accuracy for bin in bins) / total
    error = number(content.get("ece"))
    if error is None:
        error = sum(bin.items * abs(bin.confidence - bin.accuracy) for bin in bins) / total
    return (
        "<p>Its predictions, sorted by how sure it was of them. A point on the dashed line is as often right as it "
        "says; below it, the model is too sure, above it, not sure enough. The upright lines are 95 % intervals: "
        f'points of few predictions say little.</p><div class="card scroll narrow">{_chart(bins)}</div>'
        f"{page.sentences([_finding(error, sure, right)])}{_table(bins)}"
    )


def bins_of(content: Mapping[str, Any]) -> list[Bin]:
    """The bins that hold predictions, in order; empty where the record is not well formed."""
    entries = content.get("bins")
    found = []
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict):
            return []
        low, high, count, confidence, accuracy = (
            number(entry.get(key)) for key in ("low", "high", "count", "confidence", "accuracy")
        )
        if count and count > 0:
            if low is None or high is None or confidence is None or accuracy is None:
                return []
            if not 0 <= confidence <= 1 or not 0 <= accuracy <= 1:
                return []
            found.append(Bin(low, high, int(count), confidence, accuracy))
    return sorted(found)


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of `count` (Wilson 1927), which stays within 0 and 1 and is right for few too.

    >>> low, high = wilson(0.8, 10)
    >>> round(low, 3), round(high, 3)
    (0.49, 0.943)
    """
    z = 1.959964
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    reach = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def _finding(error: float, sure: float, right: float) -> tuple[str, str]:
    text = f"It is {page.percent(sure)} sure on average and right in {page.percent(right)}"
    off = f"the expected calibration error is {100 * error:.1f} points"
    if error <= GOOD:
        return "good", f"{text}; {off}: its probabilities can be taken at their word."
    if sure - right > error / 2:
        return "warn" if error >= BAD else "plain", f"{text}; {off}: it is too sure of itself."
    if right - sure > error / 2:
        return "warn" if error >= BAD else "plain", f"{text}; {off}: it is right more often than it says."
    return "warn" if error >= BAD else "plain", f"{text}; {off}, too sure in some places and not enough in others."


def _chart(bins: list[Bin]) -> str:
    lines = [
        Line(points=[(0, 0), (100, 100)], style="other", label="as it says"),
        Line(
            points=[(100 * bin.confidence, 100 * bin.accuracy) for bin in bins],
            style="model",
            label="this model",
            dots=True,
            ranges=[
                (100 * bin.confidence, 100 * low, 100 * high)
                for bin in bins
                for low, high in [wilson(bin.accuracy, bin.items)]
            ],
        ),
    ]
    return line_chart(
        lines,
        title="Reliability",
        describe="; ".join(
            f"{page.percent(bin.confidence)} sure, right in {page.percent(bin.accuracy)}" for bin in bins
        ),
        x_label="how sure it was, per cent",
        y_label="right, per cent",
        y_range=(0, 100),
        frame=FRAME,
    )


def _table(bins: list[Bin]) -> str:
    most = max(bin.items for bin in bins)
    rows = "".join(
        f'<tr><th scope="row">{escape(f"{100 * bin.low:.0f} to {100 * bin.high:.0f} %")}</th>'
        '<td class="bar"><span class="track" aria-hidden="true">'
        f'<i style="width:{100 * bin.items / most:.2f}%"></i></span></td><td class="n">{bin.items:,}</td>'
        f'<td class="n">{page.percent(bin.confidence)}</td><td class="n">{page.percent(bin.accuracy)}</td></tr>'
        for bin in bins
    )
    return (
        '<div class="card scroll"><table><thead><tr><th scope="col">It was sure</th>'
        '<th scope="col">How often<span class="off"> as a bar</span></th><th scope="col" class="n">predictions</th>'
        '<th scope="col" class="n">mean probability</th><th scope="col" class="n">right</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


PART = Part("calibration", "How sure it is", calibration, file="calibration")
