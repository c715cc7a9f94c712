"""Charts put every point where it belongs, thin curves without losing their peaks, and keep names apart."""

from __future__ import annotations

import re
import xml.etree.ElementTree as xml
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riverrun.inspection.charts import Frame, Level, Line, line_chart, short, smooth, spread, thinned, ticks

values = st.floats(-1e6, 1e6, allow_nan=False)
SVG = "{http://www.w3.org/2000/svg}"


def test_points_lie_where_their_values_say():
    frame = Frame(width=100, height=100, left=0, right=1e-9, top=0, bottom=0)
    chart = line_chart([Line(points=[(0, 0), (5, 10), (10, 5)], style="model")], title="t", describe="d",
                       y_range=(0, 10), frame=frame)  # fmt: skip
    path = next(p for p in xml.fromstring(chart).iter(f"{SVG}path") if p.get("class") == "model")
    assert re.findall(r"[\d.]+ [\d.]+", path.get("d")) == ["0.0 100.0", "50.0 0.0", "100.0 50.0"]


def test_a_level_is_a_line_at_its_height():
    frame = Frame(width=100, height=100, left=0, right=1e-9, top=0, bottom=0)
    chart = line_chart([Line(points=[(0, 0), (1, 8)], style="model")], title="t", describe="d",
                       levels=[Level(value=2, label="two", style="test")], y_range=(0, 8), frame=frame)  # fmt: skip
    path = next(p for p in xml.fromstring(chart).iter(f"{SVG}path") if p.get("class") == "test")
    assert path.get("d") == "M0 75.0H100"


def test_a_chart_is_well_formed_and_says_what_it_shows():
    chart = line_chart([Line(points=[(1, 2), (2, 3)], style="raw", label='<&">')], title='a "title"', describe="<b>")
    root = xml.fromstring(chart)
    assert root.get("role") == "img"
    assert root.get("aria-label") == 'a "title". <b>'
    assert '<&">' in [text.text for text in root.iter(f"{SVG}text")]


@given(st.lists(st.tuples(values, values), min_size=1, max_size=30))
def test_any_points_give_a_well_formed_chart(points):
    xml.fromstring(line_chart([Line(points=sorted(points), style="raw")], title="t", describe="d"))


def test_no_points_are_refused():
    with pytest.raises(ValueError, match="at least one point"):
        line_chart([Line(points=[], style="raw")], title="t", describe="d")


@given(st.floats(-1e5, 1e5), st.floats(1e-3, 1e5), st.integers(2, 10))
def test_ticks_are_inside_evenly_apart_and_few(low, width, most):
    found = ticks(low, low + width, most=most)
    assert len(found) <= most + 1
    assert all(low - 1e-6 * width <= tick <= low + width * (1 + 1e-6) for tick in found)
    steps = [b - a for a, b in pairwise(found)]
    assert all(abs(step - steps[0]) < 1e-6 * width for step in steps)


def test_a_range_over_a_few_thousand_steps_has_more_than_one_tick():
    assert ticks(0, 4200, most=2) == [0, 2000, 4000]


def test_thinning_keeps_the_ends_the_peaks_and_the_order():
    points = [(float(i), 0.0) for i in range(10_000)]
    points[1234], points[7777] = (1234.0, 50.0), (7777.0, -50.0)
    kept = thinned(points, 500)
    assert len(kept) <= 600
    assert {points[0], points[-1], points[1234], points[7777]} <= set(kept)
    assert kept == sorted(kept)


def test_smoothing_leaves_a_straight_line_and_the_ends_alone():
    line = [(float(i), 3.0 * i + 1) for i in range(101)]
    assert smooth(line, 0.1) == [(x, pytest.approx(y)) for x, y in line]
    bump = [(float(i), float(i == 50)) for i in range(101)]
    assert smooth(bump, 0.02)[50] == (50.0, pytest.approx(1 / 5))


@given(st.lists(st.floats(0, 300), min_size=1, max_size=12))
def test_names_are_kept_apart_and_in_order(places):
    moved = spread(places, 0, 300, 17)
    assert all(b - a >= 17 - 1e-9 for a, b in pairwise(moved))
    assert moved[-1] <= 300 or len(places) > 17


def test_numbers_on_an_axis_are_short():
    assert [short(v) for v in (0, 12, 0.25, 1500, 2e6, 3e-7)] == ["0", "12", "0.25", "1.5k", "2M", "3e-07"]
