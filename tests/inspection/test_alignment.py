"""Alignments: every weight in its cell, files that open by themselves, and nothing that a token could break."""

from __future__ import annotations

import copy
import xml.etree.ElementTree as xml

import pytest
from inspection import made_up

from riverrun.inspection.alignment import MOST, alignment_of, alignment_page, alignment_svg, cut, peaks, picture

SVG = "{http://www.w3.org/2000/svg}"
ITEM = made_up.alignments()["items"][0]
HOSTILE = '"></svg><script>alert(1)</script>\x00\x1b\ud800\ufffe&'


def cells(svg: str):
    return [rect for rect in xml.fromstring(svg).iter(f"{SVG}rect") if rect.get("class") == "look"]


def test_every_weight_is_a_cell_as_dark_as_it_is_heavy():
    found = {rect.find(f"{SVG}title").text: float(rect.get("fill-opacity")) for rect in cells(alignment_svg(ITEM))}
    assert found["the ← le: 90 %"] == 0.9
    assert found["sleeps ← chat: 20 %"] == 0.2
    assert len(found) == sum(weight > 0 for row in ITEM["weights"] for weight in row)


def test_rows_are_target_tokens_and_columns_source_tokens():
    places = {rect.find(f"{SVG}title").text: rect for rect in cells(alignment_svg(ITEM))}
    first, right, below = places["the ← le: 90 %"], places["the ← chat: 10 %"], places["cat ← le: 5 %"]
    assert float(right.get("x")) > float(first.get("x"))
    assert right.get("y") == first.get("y")
    assert float(below.get("y")) > float(first.get("y"))
    assert below.get("x") == first.get("x")


def test_a_file_of_its_own_brings_its_colours_and_a_part_of_a_page_does_not():
    assert "prefers-color-scheme: dark" in alignment_svg(ITEM)
    assert "<style>" not in picture(alignment_of(ITEM))


def test_a_screen_reader_hears_where_each_token_looked_most():
    label = xml.fromstring(alignment_svg(ITEM)).get("aria-label")
    assert label.startswith("Alignment of 3 source and 4 target tokens. the looks at le; cat looks at chat")
    assert peaks(alignment_of(ITEM))[2] == ("sleeps", "dort", 0.8)


def test_hostile_tokens_stay_text():
    item = {"source": [HOSTILE, "b"], "target": [HOSTILE], "weights": [[0.5, 0.5]]}
    root = xml.fromstring(alignment_svg(item).encode("utf-8"))
    assert not list(root.iter(f"{SVG}script"))
    page = alignment_page([item], title=HOSTILE)
    assert "<script" not in page
    page.encode("utf-8")


def test_a_page_has_every_alignment_with_a_table():
    page = alignment_page([ITEM, {**ITEM, "source": ["LE", "CHAT", "DORT"]}])
    assert page.count("<svg") == 2
    assert page.count("<details>") == 2
    assert "CHAT" in page
    assert "default-src 'none'" in page


@pytest.mark.parametrize(
    "odd",
    [{}, {"source": []}, {"target": []}, {"weights": [[1.0]]}, {"weights": None}, {"weights": [[0.1, None, 0.9]] * 4},
     {"weights": [[0.1, 0.9]] * 4}, {"weights": [1, 2, 3, 4]}],
)  # fmt: skip
def test_weights_of_another_shape_are_refused(odd):
    item = {**ITEM, **odd} if odd else {}
    assert alignment_of(item) is None
    with pytest.raises(ValueError, match="target x source"):
        alignment_svg(item)
    with pytest.raises(ValueError, match="item 1"):
        alignment_page([item])


def test_long_alignments_are_cut_and_say_so():
    source, target = [f"s{i}" for i in range(MOST + 30)], [f"t{i}" for i in range(MOST + 1)]
    item = {"source": source, "target": target, "weights": made_up.diagonal(len(target), len(source))}
    assert (
        cut(alignment_of(item)) == f"Of {MOST + 30} source tokens and {MOST + 1} target tokens the first 60 are shown."
    )
    svg = alignment_svg(item)
    assert f"s{MOST - 1}<" in svg
    assert f">s{MOST}<" not in svg
    assert cut(alignment_of(ITEM)) == ""


def test_the_item_is_left_as_it_was():
    before = copy.deepcopy(ITEM)
    alignment_svg(ITEM)
    assert before == ITEM
