"""Dialogues: every turn is answered by the next, and all of a dialogue is one key."""

import json

import pytest

from riverrun.data.dialogues import likely, rows


def test_each_turn_but_the_last_has_the_next_as_its_reply() -> None:
    lines = [
        json.dumps({"topic": "x", "turns": ["a", "b", "c"]}),
        "",
        json.dumps({"turns": ["d", "e"], "split": "dev"}),
    ]
    found = list(rows(iter(lines)))
    assert [(row.line, row.source, row.target, row.part) for row in found] == [
        (1, "a", "b", ""),
        (1, "b", "c", ""),
        (3, "d", "e", "valid"),
    ]
    assert found[0].key == found[1].key == "a\nb\nc"


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("{", "expected a JSON object"),
        ("[1]", "expected an object with `turns`"),
        ('{"turns": "a"}', "expected an object with `turns`"),
        ('{"turns": ["a", 1]}', "expected an object with `turns`"),
        ('{"turns": ["a"]}', "expected at least 2 turns, one and its reply, got 1"),
        ('{"turns": ["a", "b"], "split": "x"}', "split: expected train, valid or test, got 'x'"),
    ],
)
def test_what_is_no_dialogue_is_wrong(line: str, wrong: str) -> None:
    [row] = rows(iter([line]))
    assert wrong in str(row.wrong)


def test_they_are_known_by_their_first_line() -> None:
    assert likely(['{"turns": []}'])
    assert not likely(['{"source": "a"}'])
    assert not likely(["turns"])
    assert not likely([])
