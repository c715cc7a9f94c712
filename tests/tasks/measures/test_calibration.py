"""Calibration: bins and their error, counted once more by a loop."""

from __future__ import annotations

import numpy as np
import pytest

from riverrun.tasks.measures.calibration import calibration


def test_bins_and_error_are_those_of_a_loop():
    random = np.random.default_rng(1)
    confidence = np.concatenate([random.random(400), [0.0, 0.3, 1.0]])
    right = random.random(403) < confidence**2
    found, error = calibration(confidence, right), 0.0
    for number, row in enumerate(found["bins"]):
        low, high = number / 10, (number + 1) / 10
        inside = [k for k, p in enumerate(confidence) if low <= p < high or (number == 9 and p == 1)]
        assert (row["low"], row["high"], row["count"]) == (low, high, len(inside))
        assert row["confidence"] == pytest.approx(np.mean(confidence[inside]))
        assert row["accuracy"] == pytest.approx(np.mean(right[inside]))
        error += len(inside) / 403 * abs(np.mean(confidence[inside]) - np.mean(right[inside]))
    assert found["ece"] == pytest.approx(error)


def test_an_empty_bin_has_no_figures_and_no_part_in_the_error():
    found = calibration(np.array([0.95, 0.95]), np.array([True, True]))
    assert [row["count"] for row in found["bins"]] == [0] * 9 + [2]
    assert found["bins"][0]["accuracy"] is None
    assert found["ece"] == pytest.approx(0.05)
    assert calibration(np.zeros(0), np.zeros(0, bool))["ece"] == 0
