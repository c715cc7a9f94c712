"""Parts by rules that any program can repeat: shares, equal texts on one side, and no dependence on the order."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riverrun.data.labelled import Example
from riverrun.data.labelled_options import LabelledOptions
from riverrun.data.labelled_split import divide
from riverrun.errors import DataError


def named(rows) -> list[Example]:
    return [Example(text, (label,), place=f"f:{n}") for n, (text, label) in enumerate(rows)]


MANY = named((f"text {n % 900}", "abc"[min(n % 10 // 4, 2)]) for n in range(1000))


def test_by_hash_is_the_sha256_of_the_text():
    parts = divide(MANY, LabelledOptions(split="hash", valid_share=0.2, test_share=0.1))
    for index, example in enumerate(MANY):
        place = int(hashlib.sha256(example.text.encode()).hexdigest()[:16], 16) / 2**64
        expected = parts.train if place < 0.7 else parts.valid if place < 0.9 else parts.test
        assert index in expected
    assert "SHA-256" in parts.rule


def test_stratified_gives_each_label_its_share():
    parts = divide(MANY, LabelledOptions(valid_share=0.2, test_share=0.1))
    whole = Counter(example.labels[0] for example in MANY)
    for part, share in ((parts.test, 0.1), (parts.valid, 0.2)):
        counts = Counter(MANY[index].labels[0] for index in part)
        for label, count in whole.items():
            assert abs(counts[label] - share * count) <= 3  # a text with its copies goes as a whole
    assert sorted([*parts.train, *parts.valid, *parts.test]) == list(range(1000))


@given(
    st.lists(st.tuples(st.sampled_from("abcdefghij"), st.sampled_from("xy")), min_size=12, max_size=60),
    st.sampled_from(["stratified", "hash"]),
    st.randoms(),
)
def test_equal_texts_lie_on_one_side_in_any_order(rows, rule, shuffler):
    examples = named(rows)
    options = LabelledOptions(split=rule, valid_share=0.3, test_share=0.3)
    try:
        parts = divide(examples, options)
    except DataError:
        return
    sides = [{examples[index].text for index in part} for part in parts[:3]]
    assert all(one.isdisjoint(other) for one, other in combinations(sides, 2))
    if rule == "hash" or len({text for text, _ in rows}) == len(set(rows)):  # else the first copy's label decides
        mixed = random.Random(shuffler.random()).sample(examples, len(examples))
        again = divide(mixed, options)
        assert [{mixed[index].text for index in part} for part in again[:3]] == sides


def test_rows_keep_the_part_that_they_say_and_the_rest_is_divided():
    examples = [*named((f"t{n}", "ab"[n % 2]) for n in range(40)), Example("x", ("a",), "test", "f:40")]
    parts = divide(examples, LabelledOptions(valid_share=0.2))
    assert parts.test == [40]
    assert len(parts.valid) == 8
    assert "test as the data say (1)" in parts.rule
    assert "of the training rows" in parts.rule


def test_files_that_are_named_leave_all_for_training():
    parts = divide(MANY, LabelledOptions(valid="v", test="t"), valid=False, test=False)
    assert len(parts.train) == 1000
    assert not parts.valid
    assert not parts.test


def test_every_label_keeps_an_example_for_training():
    examples = named([("only", "rare"), *((f"t{n}", "common") for n in range(30))])
    parts = divide(examples, LabelledOptions(valid_share=0.2, test_share=0.6))
    assert 0 in parts.train  # though 0.6 of one text is rounded to one


def test_a_part_without_examples_is_told():
    with pytest.raises(
        DataError,
        match="too few examples to split: of 3 with 3 different texts and 2 labels none is left for the valid",
    ):
        divide(named([("a", "x"), ("b", "x"), ("c", "y")]), LabelledOptions())
