"""Matrices put every cell where its row and column are, name both, and stay well formed whatever the names hold."""

from __future__ import annotations

import re
import xml.etree.ElementTree as xml

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riverrun.inspection.heatmap import Cell, matrix, visible
from riverrun.inspection.page import CONTROLS

SVG = "{http://www.w3.org/2000/svg}"
letters = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff")
names = st.lists(st.text(letters, max_size=30), min_size=1, max_size=45)


def drawn(rows, columns, cells, **options):
    return xml.fromstring(matrix(rows, columns, cells, title="t", describe="d", **options))


def squares(root):
    return [rect for rect in root.iter(f"{SVG}rect") if rect.get("class") not in ("field", "sheet")]


def test_a_cell_lies_in_its_row_and_column():
    cells = [Cell(i, j, "look", f"{i} {j}") for i in range(2) for j in range(3)]
    root = drawn(["a", "b"], ["x", "y", "z"], cells)
    places = {rect.find(f"{SVG}title").text: (float(rect.get("x")), float(rect.get("y"))) for rect in squares(root)}
    side = float(squares(root)[0].get("width")) + 1.0
    assert len(places) == 6
    for i in range(2):
        for j in range(3):
            x, y = places["0 0"]
            assert places[f"{i} {j}"] == pytest.approx((x + j * side, y + i * side), abs=0.11)
    texts = {text.text: (float(text.get("x")), float(text.get("y"))) for text in root.iter(f"{SVG}text")}
    assert texts["a"][1] < texts["b"][1]
    assert texts["x"][0] < texts["y"][0] < texts["z"][0]
    assert places["1 0"][1] < texts["b"][1] < places["1 0"][1] + side
    assert places["0 2"][0] < texts["z"][0] < places["0 2"][0] + side


def test_a_cell_has_its_class_opacity_number_and_what_it_tells():
    root = drawn(["a"], ["b"], [Cell(0, 0, "s3", "a <b>", 0.25, "12 %")])
    (rect,) = squares(root)
    assert (rect.get("class"), rect.get("fill-opacity")) == ("s3", "0.25")
    assert rect.find(f"{SVG}title").text == "a <b>"
    assert [text.text for text in root.iter(f"{SVG}text") if text.get("class") == "in"] == ["12 %"]


@pytest.mark.parametrize("count", [1, 2, 12, 40, 60])
def test_a_matrix_of_any_size_fits_the_page_with_all_of_its_names(count):
    labels = [f"a long label {i}" for i in range(count)]
    root = drawn(labels, labels, [Cell(count - 1, count - 1, "c8", "")], axes=("true", "predicted"))
    width, height = map(float, root.get("viewBox").split()[2:])
    assert width <= 881
    (rect,) = squares(root)
    assert float(rect.get("x")) + float(rect.get("width")) <= width
    assert float(rect.get("y")) + float(rect.get("height")) <= height
    assert float(rect.get("width")) >= 8.5
    for text in root.iter(f"{SVG}text"):
        assert 0 <= float(text.get("x")) <= width
        assert 0 <= float(text.get("y")) <= height
        turned = re.match(r"rotate\((-\d+)", text.get("transform", ""))
        if turned and text.get("class") != "label":  # a slanted name ends within the picture
            reach = 6.5 * len(text.text)
            x, y = float(text.get("x")), float(text.get("y"))
            assert y - reach * (1.0 if turned[1] == "-90" else 0.71) >= -4
            assert x + reach * (0.0 if turned[1] == "-90" else 0.71) <= width + 4


@given(names, names)
def test_any_names_give_a_well_formed_picture(rows, columns):
    root = drawn(rows, columns, [Cell(0, 0, "look", rows[0].translate(CONTROLS), 0.5)], axes=(rows[0], columns[0]))
    assert root.get("aria-label") == "t. d"


def test_white_space_and_long_names_can_be_seen():
    assert [visible(text) for text in ("\n", "\t", "  ", "", "a\nb")] == ["↵", "⇥", "␣␣", "∅", "a↵b"]
    assert visible("x" * 40) == "x" * 17 + "…"
    whole = drawn(["x" * 40], ["y"], [])
    assert "x" * 40 in [title.text for title in whole.iter(f"{SVG}title")]
