"""What mattered: grounds in proportion within a text, signs told apart, both methods side by side."""

from __future__ import annotations

import html
import json
import re

import pytest
from inspection import folder, made_up

from riverrun.inspection.parts.importance import MOST, coloured_of, importance
from riverrun.inspection.record import read_run


def shown(tmp_path, content) -> str:
    path = folder.write(tmp_path / "run", {"eval/importance.json": json.dumps(content)})
    return importance(read_run(path, ["importance"]))


def words(page: str) -> list[list[tuple[str, str]]]:
    blocks = re.findall(r'<div class="prose words">(.*?)</div>', page, re.DOTALL)
    return [re.findall(r'<span class="([^"]*)" title="[^"]*">(.*?)</span>', block) for block in blocks]


def test_grounds_are_in_proportion_to_the_largest_weight_of_each_method(tmp_path):
    attention, gradient = words(shown(tmp_path, made_up.importance()))
    assert attention == [("s1", "a"), ("s8", "dull"), ("s1", "film")]
    assert gradient == [("s1", "a"), ("s8", "dull"), ("c4 against", "film")]


def test_both_methods_the_labels_and_the_weightiest_tokens_are_named(tmp_path):
    page = shown(tmp_path, made_up.importance())
    assert "Taken for bad, but it is good" in page
    assert page.index("by attention") < page.index("by gradient × input")
    assert "Most: dull (0.8), a (0.1), film (0.1)" in page
    assert "Most: dull (0.4), film (−0.2), a (0.05)" in page


@pytest.mark.parametrize(("rank", "tone", "word"), [(0.61, "good", "largely agree"), (0.3, "plain", "in part"),
                                                    (-0.1, "warn", "do not agree")])  # fmt: skip
def test_the_correlation_is_told_in_words(tmp_path, rank, tone, word):
    page = shown(tmp_path, made_up.importance() | {"correlation": rank})
    assert f'class="{tone}"' in page
    assert word in page
    assert f"{rank:.2f}".replace("-", "−") in page


def test_one_method_alone_is_shown_and_said_to_be_alone(tmp_path):
    content = made_up.importance() | {"correlation": None}
    content["items"][0]["attention"] = None
    page = shown(tmp_path, content)
    assert len(words(page)) == 1
    assert "Only one of the two methods" in page


def test_the_very_text_is_shown_with_what_stands_between_its_tokens(tmp_path):
    content = made_up.importance() | {"joint": ""}
    content["items"][0].update(tokens=["<b>", " ", "&"])
    page = shown(tmp_path, content)
    block = re.search(r'<div class="prose words">(.*?)</div>', page, re.DOTALL)[1]
    assert html.unescape(re.sub(r"<[^>]*>", "", block)) == "<b> &"


def test_weights_of_nothing_but_zeros_colour_nothing(tmp_path):
    content = made_up.importance()
    content["items"][0].update(attention=[0, 0, 0], gradient=[0.0, -0.0, 0.0])
    assert {style for block in words(shown(tmp_path, content)) for style, _ in block} == {"s0"}


def test_long_lists_are_cut_and_say_so(tmp_path):
    content = made_up.importance()
    content["items"] *= MOST + 3
    page = shown(tmp_path, content)
    assert f"Of {MOST + 3} texts the first {MOST} are shown." in page
    assert len(words(page)) == 2 * MOST


def test_hostile_tokens_and_labels_stay_text(tmp_path):
    odd = "</span><script>x</script>\"'"
    item = {"label": odd, "predicted": [odd], "tokens": [odd], "attention": [1.0], "gradient": [1.0]}
    page = shown(tmp_path, {"items": [item], "joint": odd, "correlation": 0.5})
    assert "<script" not in page


@pytest.mark.parametrize(
    "odd", [None, {}, {"tokens": []}, {"tokens": ["a"]}, {"tokens": ["a"], "attention": [1, 2]}, {"tokens": ["a"],
            "gradient": ["x"]}, {"tokens": ["a"], "attention": [float("nan")]}]
)  # fmt: skip
def test_a_record_of_another_shape_gives_nothing(tmp_path, odd):
    assert coloured_of(odd) is None
    assert shown(tmp_path, {"items": [odd]}) == ""
