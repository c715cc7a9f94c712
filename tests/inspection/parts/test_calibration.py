"""Calibration: points where the bins are, intervals of Wilson's kind, and a sentence in the right direction."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as xml

import numpy as np
import pytest
from inspection import folder, made_up
from scipy.stats import norm

from riverrun.inspection.parts.calibration import FRAME, bins_of, calibration, wilson
from riverrun.inspection.record import read_run

SVG = "{http://www.w3.org/2000/svg}"


def shown(tmp_path, content) -> str:
    path = folder.write(tmp_path / "run", {"eval/calibration.json": json.dumps(content)})
    return calibration(read_run(path, ["calibration"]))


def test_a_point_lies_at_its_confidence_and_its_accuracy(tmp_path):
    root = xml.fromstring(re.search(r"<svg.*?</svg>", shown(tmp_path, made_up.calibration()), re.DOTALL)[0])
    wide = FRAME.width - FRAME.left - FRAME.right
    high = FRAME.height - FRAME.top - FRAME.bottom
    found = [
        ((float(c.get("cx")) - FRAME.left) / wide, (FRAME.height - FRAME.bottom - float(c.get("cy"))) / high)
        for c in root.iter(f"{SVG}circle")
    ]
    assert np.array(found) == pytest.approx(np.array([[0.65, 0.55], [0.97, 0.9]]), abs=0.001)


def test_the_interval_solves_wilsons_equation():
    z = norm.ppf(0.975)
    for share, count in ((0.8, 10), (0.0, 5), (1.0, 7), (0.33, 3), (0.5, 1000)):
        low, high = wilson(share, count)
        assert 0 <= low <= share <= high <= 1
        for end in (low, high):
            if 0 < end < 1:
                assert abs(share - end) == pytest.approx(z * np.sqrt(end * (1 - end) / count), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize(
    ("confidence", "accuracy", "tone", "words"),
    [(0.9, 0.89, "good", "at their word"), (0.9, 0.85, "plain", "too sure"), (0.9, 0.7, "warn", "too sure"),
     (0.7, 0.9, "warn", "more often than it says")],
)  # fmt: skip
def test_the_sentence_says_in_which_direction_it_is_wrong(tmp_path, confidence, accuracy, tone, words):
    bin = {"low": 0.6, "high": 1.0, "count": 200, "confidence": confidence, "accuracy": accuracy}
    page = shown(tmp_path, {"bins": [bin], "ece": abs(confidence - accuracy)})
    assert f'class="{tone}"' in page
    assert words in page
    assert f"{100 * abs(confidence - accuracy):.1f} points" in page


def test_errors_in_both_directions_are_told_as_such(tmp_path):
    bins = [{"low": k, "high": k + 0.5, "count": 50, "confidence": c, "accuracy": a}
            for k, c, a in ((0.0, 0.3, 0.5), (0.5, 0.9, 0.7))]  # fmt: skip
    page = shown(tmp_path, {"bins": bins, "ece": 0.2})
    assert "too sure in some places and not enough in others" in page


def test_an_error_that_is_not_given_is_worked_out(tmp_path):
    content = made_up.calibration() | {"ece": None}
    content["bins"][6]["confidence"] = 0.66
    assert "8.0 points" in shown(tmp_path, content)  # (100 x 0.11 + 300 x 0.07) / 400


def test_empty_bins_are_left_out_of_the_table(tmp_path):
    page = shown(tmp_path, made_up.calibration())
    assert re.findall(r'<th scope="row">(.*?)</th>', page) == ["60 to 70 %", "90 to 100 %"]
    assert '<td class="n">300</td>' in page


@pytest.mark.parametrize(
    "odd",
    [{}, {"bins": 3}, {"bins": [3]}, {"bins": []}, {"bins": [{"low": 0, "high": 1, "count": 4, "confidence": None}]},
     {"bins": [{"low": 0, "high": 1, "count": 0}]}, {"bins": [{"low": 0, "high": 1, "count": 4, "confidence": 1.5,
     "accuracy": 0.5}]}],
)  # fmt: skip
def test_a_record_of_another_shape_gives_nothing(tmp_path, odd):
    assert bins_of(odd) == []
    assert shown(tmp_path, odd) == ""
