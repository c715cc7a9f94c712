"""A chart of ranges puts values and interval ends in proportion, and never leaves what is possible."""

from __future__ import annotations

import re
import xml.etree.ElementTree as xml

import pytest

from riverrun.inspection.ranges import Row, range_chart

SVG = "{http://www.w3.org/2000/svg}"
ROWS = [Row("this model", 84.0, 83.0, 85.0, "84.0 %", own=True), Row("<rule> & co", 46.8, 45.8, 47.8, "46.8 %")]


def chart(rows, limits=(0.0, 100.0)):
    return xml.fromstring(range_chart(rows, title="accuracy", describe="<d>", unit=" %", limits=limits))


def test_values_and_ends_are_in_proportion():
    root = chart(ROWS)
    dots = [float(circle.get("cx")) for circle in root.iter(f"{SVG}circle")]
    spans = [path.get("d") for path in root.iter(f"{SVG}path") if path.get("class") in ("model", "rival")]
    (low, high), (other_low, _) = [tuple(map(float, re.match(r"M([\d.]+) [\d.]+H([\d.]+)", d).groups())) for d in spans]
    scale = (dots[0] - dots[1]) / (84.0 - 46.8)
    assert high - low == pytest.approx(2 * scale, abs=0.2)
    assert dots[0] - other_low == pytest.approx((84.0 - 45.8) * scale, abs=0.2)
    assert [circle.get("class") for circle in root.iter(f"{SVG}circle")] == ["model dot", "rival dot"]


def test_names_and_values_stand_beside_and_a_screen_reader_hears_the_sentence():
    root = chart(ROWS)
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"this model", "<rule> & co", "84.0 %", "46.8 %"} <= set(texts)
    assert root.get("aria-label") == "accuracy. <d>"


def test_the_axis_does_not_go_beyond_what_is_possible():
    root = chart([Row("a", 99.5, 99.0, 100.0, "x"), Row("b", 0.5, 0.0, 1.0, "y")])
    shown = [float(text.text[:-2]) for text in root.iter(f"{SVG}text") if re.fullmatch(r"-?[\d.]+ %", text.text)]
    assert min(shown) == 0
    assert max(shown) == 100


def test_a_single_value_without_an_interval_can_be_drawn():
    assert len(list(chart([Row("a", 0.0, 0.0, 0.0, "0")]).iter(f"{SVG}circle"))) == 1
