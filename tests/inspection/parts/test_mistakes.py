"""Mistakes: what was meant is marked, several references are told apart, long lists and texts are cut and say so."""

from __future__ import annotations

import json
import re

import pytest
from inspection import folder, made_up

from riverrun.inspection.parts.mistakes import LETTERS, MOST, mistakes
from riverrun.inspection.record import read_run


def shown(tmp_path, *items) -> str:
    path = folder.write(tmp_path / "run", {"eval/mistakes.json": json.dumps({"items": list(items)})})
    return mistakes(read_run(path, ["mistakes"]))


def item(**changed):
    return {"text": "a b", "expected": "X", "predicted": "Y", **changed}


def test_a_mistake_tells_all_that_is_known_of_it(tmp_path):
    page = shown(tmp_path, *made_up.mistakes()["items"])
    first, second = page.split("<li>")[1:]
    for text in ("99 % sure", "names.tsv:41", "Abl", "<dd>Czech</dd>", "<dd>Arabic</dd>"):
        assert text in first
    assert "61 % sure" in second
    far = shown(tmp_path / "far", item(file="/data/names/Czech.txt:7"))
    assert '<span title="/data/names/Czech.txt:7">Czech.txt:7</span>' in far
    assert "names.tsv" not in second
    assert page.index("Abl") < page.index("Smit")


def test_of_mistakes_that_were_counted_it_is_said_how_many_there_are(tmp_path):
    content = {"items": [item()] * 50, "count": 245}
    path = folder.write(tmp_path / "run", {"eval/mistakes.json": json.dumps(content)})
    assert f"Of 245 mistakes the first {MOST} are shown" in mistakes(read_run(path, ["mistakes"]))


def test_without_probabilities_none_is_promised(tmp_path):
    assert "how sure it was" in shown(tmp_path, item(probability=0.5))
    assert "sure" not in shown(tmp_path, item(probability=None))


def test_the_meant_part_of_a_text_is_marked(tmp_path):
    page = shown(tmp_path, item(text="Mr. <Long> sent it", at=[4, 10]))
    assert "Mr. <mark>&lt;Long&gt;</mark> sent it" in page


def test_of_a_long_text_what_lies_around_the_meant_part_is_shown(tmp_path):
    text = "x" * 5000 + " MEANT " + "y" * 5000
    page = shown(tmp_path, item(text=text, at=[5001, 5006]))
    assert "<mark>MEANT</mark>" in page
    assert len(page) < LETTERS + 1500
    assert page.count("…") == 2


@pytest.mark.parametrize("at", [[5, 3], [-1, 2], [0, 99], ["a", "b"], [1], 7, None, [2, 2]])
def test_a_place_that_is_none_marks_nothing(tmp_path, at):
    assert "<mark>" not in shown(tmp_path, item(at=at))


def test_words_that_were_not_expected_are_marked_against_the_nearest_reference(tmp_path):
    page = shown(tmp_path, item(expected=["Z Z Z Z", "N AY T"], predicted="K N AY G T"))
    said = re.findall(r"<dd>(.*?)</dd>", page)[1]
    assert said == "<mark>K</mark> N AY <mark>G</mark> T"
    assert "Z Z Z Z <small class=over>or</small> N AY T" in page


def test_labels_are_not_compared_word_by_word(tmp_path):
    assert "<mark>" not in shown(tmp_path, item(expected="very good", predicted="bad"))
    assert "<mark>" not in shown(tmp_path, item(expected="bad", predicted="very good"))


def test_nothing_said_is_said_to_be_nothing(tmp_path):
    assert "<dd>nothing</dd>" in shown(tmp_path, item(predicted=[]))


def test_long_lists_are_cut_and_say_so(tmp_path):
    page = shown(tmp_path, *[item(text=f"text {i}") for i in range(MOST + 5)])
    assert f"Of {MOST + 5} mistakes the first {MOST} are shown." in page
    assert page.count("<li>") == MOST
    assert "are shown" not in shown(tmp_path / "few", item())


def test_hostile_texts_stay_text(tmp_path):
    odd = '</dd><script>x</script>"'
    page = shown(tmp_path, item(text=odd, expected=[odd, odd], predicted=f"{odd} b", file=odd))
    assert "<script" not in page


@pytest.mark.parametrize("items", [[], [3], [{"text": "a"}], [{"expected": "a"}]])
def test_a_record_of_another_shape_gives_nothing(tmp_path, items):
    assert shown(tmp_path, *items) == ""
