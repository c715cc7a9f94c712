"""Predictions: a line out for each line in, whatever the lines hold; what is odd about them is told."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tasks.pairs.material import Taught, ids_of, log_p

from riverrun.errors import DataError, OptionError
from riverrun.tasks.pairs.options import Prediction
from riverrun.tasks.pairs.predict import predict
from riverrun.tasks.task import Given, Predicted


def asked(made: Taught, data: str | bytes, encoding: str = "utf-8", **options: Any) -> Predicted:
    content = data if isinstance(data, bytes) else data.encode()
    decoding = made.sections["decoding"]
    given = Given("in.txt", content)
    return predict(made.model, made.prepared.coder, decoding, given, Prediction(**options), encoding=encoding)


def test_one_line_comes_out_for_each_and_a_blank_one_stays_blank(spelling: Taught) -> None:
    found = asked(spelling, "\ufeffabc\r\n\n dc \nba")
    assert found.text == "A B C\n\nD C\nB A\n"
    assert found.notes == []
    assert [row["source"] for row in found.result["predictions"]] == ["abc", "", "dc", "ba"]
    assert [len(row["targets"]) for row in found.result["predictions"]] == [1, 0, 1, 1]


def test_only_a_line_feed_ends_a_line(spelling: Taught) -> None:
    assert len(asked(spelling, "a\u2028b\nc\x0bd\n").text.splitlines()) == 2


def test_more_targets_are_rows_with_the_number_of_their_line(spelling: Taught) -> None:
    rows = [row.split("\t") for row in asked(spelling, "ab\n\nc\n", n_best=2).text.splitlines()]
    assert [row[0] for row in rows] == ["1", "1", "3", "3"]
    assert rows[0][1] == "A B"
    assert float(rows[0][2]) == pytest.approx(log_p(spelling, "ab", ids_of(spelling, "A B")), abs=1e-3)


def test_what_was_never_seen_is_read_as_unknown_and_told(spelling: Taught) -> None:
    found = asked(spelling, "ab\naéz\n" + "q\n" * 7)
    assert len(found.text.splitlines()) == 9
    assert found.notes[0] == "in.txt:2: the model has never seen 'z', 'é'; it reads them as unknown"
    assert found.notes[5] == "3 more lines have something unknown"


def test_a_source_longer_than_any_is_told_and_answered(spelling: Taught) -> None:
    found = asked(spelling, "ab\n" + "abcd" * 100 + "\n" + "a" * 9 + "\n")
    assert len(found.text.splitlines()) == 3
    assert found.notes == [
        "in.txt:2, and 1 more lines: 400 tokens, longer than any source that was trained on (4): expect mistakes"
    ]


def test_an_unknown_prefix_is_told(spelling: Taught) -> None:
    assert asked(spelling, "ab", prefix="Q A").notes == ["the prefix has what the model has never written: 'Q'"]
    assert asked(spelling, "ab", prefix="D").text.startswith("D")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "in.txt: empty, there is nothing to answer"),
        (b"\n\n", "in.txt: empty"),
        (b"ab\nc\xe9\n", r"in.txt:2: byte 0xE9 cannot be decoded. Name the encoding"),
        (b"ab\tA B\n", "in.txt:1: expected one source a line, got a tab"),
        (b"a\x00b\n", "in.txt:1: it has a NUL"),
    ],
)
def test_what_is_no_source_is_told_with_its_line(spelling: Taught, data: bytes, told: str) -> None:
    with pytest.raises(DataError, match=told) as stopped:
        asked(spelling, data)
    assert stopped.value.exit_code == 3


@pytest.mark.parametrize("name", ["in.csv", "in.jsonl.gz"])
def test_a_table_is_not_answered_line_by_line(spelling: Taught, name: str) -> None:
    given = Given(name, b"source,target\nab,A B\n")
    decoding, coder = spelling.sections["decoding"], spelling.prepared.coder
    with pytest.raises(DataError, match=f"{name}: a table, where one source a line was expected"):
        predict(spelling.model, coder, decoding, given, Prediction(), encoding="utf-8")


def test_another_encoding_is_read(spelling: Taught) -> None:
    assert asked(spelling, "abé".encode("latin-1"), encoding="latin-1").notes[0].count("é") == 1


def test_targets_may_be_drawn(spelling: Taught) -> None:
    found = asked(spelling, "ab", sample=True, n_best=3, temperature=5.0, seed=4)
    assert found == asked(spelling, "ab", sample=True, n_best=3, temperature=5.0, seed=4)
    assert found.text != asked(spelling, "ab", sample=True, n_best=3, temperature=5.0, seed=5).text
    surest = asked(spelling, "ab", sample=True, top_k=1)
    assert surest.text == "A B\n"
    assert asked(spelling, "ab", sample=True, temperature=3.0, top_p=0.01).text == "A B\n"


def test_attention_is_given_to_be_drawn(spelling: Taught, thought: Taught) -> None:
    found = asked(spelling, "abc\n\ndc\n", attention="x.html").result["alignments"]
    assert [(item["source"], item["target"]) for item in found] == [
        (["a", "b", "c"], ["A", "B", "C"]),
        (["d", "c"], ["D", "C"]),
    ]
    assert all(math.isclose(sum(row), 1, abs_tol=1e-3) for row in found[0]["weights"])
    assert "alignments" not in asked(spelling, "abc").result
    with pytest.raises(OptionError, match=r"attention: an .svg shows one source, and there are 2"):
        asked(spelling, "abc\nd\n", attention="x.svg")
    with pytest.raises(OptionError, match="attention: this model has no attention to draw"):
        asked(thought, "abc", attention="x.svg")
