"""Schemes of spans: spans as conlleval reads them, the scheme found by itself, and what may follow what."""

from __future__ import annotations

from itertools import pairwise, product

import pytest

from riverrun.data.schemes import OUTSIDE, Span, may_follow, parts, scheme, spans

# The tables of the program conlleval, tag before -> tag: a span ends between them, or one begins. Whatever else follows
# goes on, unless the type changes. E and S are of its later versions, which know BIOES.
ENDS = {"BB", "BS", "BO", "IB", "IS", "IO", *("E" + tag for tag in "BIESO"), *("S" + tag for tag in "BIESO")}
BEGINS = {*(tag + "B" for tag in "BIESO"), *(tag + "S" for tag in "BIESO"), "EE", "EI", "SE", "SI", "OE", "OI"}


def by_the_tables(tags: list[str]) -> list[Span]:
    found, begin = [], None
    split = [(tag[0], tag[2:]) for tag in [OUTSIDE, *tags, OUTSIDE]]
    for place, ((before, kind_before), (tag, kind)) in enumerate(pairwise(split)):
        other = kind_before != kind
        if before != OUTSIDE and (before + tag in ENDS or other):
            assert begin is not None
            found.append(Span(begin, place, kind_before))
            begin = None
        if tag != OUTSIDE and (before + tag in BEGINS or other):
            begin = place
    return found


TAGS = [OUTSIDE, *(f"{letter}-{kind}" for letter in "BIES" for kind in ("X", "Y"))]


def test_every_short_sequence_is_read_as_conlleval_reads_it():
    for length in range(5):
        for tags in product(TAGS, repeat=length):
            assert spans(list(tags)) == by_the_tables(list(tags)), tags


def test_bilou_is_bioes_with_other_letters_and_types_may_have_hyphens_or_be_missing():
    assert spans(["B-A", "L-A", "U-B"]) == spans(["B-A", "E-A", "S-B"])
    assert spans(["B-A-B", "I-A-B"]) == [Span(0, 2, "A-B")]
    assert spans(["B", "I", "O", "I"]) == [Span(0, 2, ""), Span(3, 4, "")]
    assert parts("NOUN") == parts("X-Y") == parts("") == (OUTSIDE, "")


@pytest.mark.parametrize(
    ("sentences", "found"),
    [
        ([["B-A", "I-A", "O", "B-A", "B-B"]], "BIO"),
        ([["I-A", "I-A", "O", "I-B", "B-B", "I-B"]], "IOB1"),
        ([["B-A", "E-A", "O", "S-B"]], "BIOES"),
        ([["B-A", "L-A", "O", "U-B"]], "BIOES"),
        ([["B", "I", "O"]], "BIO"),
        ([["B-A", "I-A"]] * 9 + [["O", "I-A"]], "BIO"),  # one mistake
        ([["I-A", "O"], ["O", "I-B"]], "IOB1"),
        ([["O", "O"]], ""),
        ([["DET", "NOUN"]], ""),
        ([["B-A", "NOUN"]], ""),
        ([["", "B-A", "", "I-A"]], "BIO"),
        ([], ""),
    ],
)
def test_the_scheme_is_found_by_itself(sentences, found):
    assert scheme(sentences) == found


@pytest.mark.parametrize("name", ["BIO", "IOB1", "BIOES"])
def test_a_legal_sequence_is_one_that_its_spans_would_be_written_as(name):
    letters = {"BIO": "BI", "IOB1": "BI", "BIOES": "BIES"}[name]
    tags = [OUTSIDE, *(f"{letter}-{kind}" for letter in letters for kind in "XY")]
    for length in range(1, 5):
        for sequence in product(tags, repeat=length):
            pairs = zip((None, *sequence), (*sequence, None), strict=True)
            legal = all(may_follow(name, before, tag) for before, tag in pairs)
            assert legal == (list(sequence) == written(spans(sequence), length, name)), sequence


def written(found: list[Span], length: int, name: str) -> list[str]:
    tags = [OUTSIDE] * length
    for span in found:
        touches = any(other.end == span.begin and other.type == span.type for other in found)
        for place in range(span.begin, span.end):
            first, last = place == span.begin, place == span.end - 1
            if name == "BIOES":
                letter = "S" if first and last else "B" if first else "E" if last else "I"
            else:
                letter = "B" if first and (name == "BIO" or touches) else "I"
            tags[place] = f"{letter}-{span.type}"
    return tags


def test_tags_that_mark_no_spans_may_follow_as_they_like():
    assert may_follow("", "NOUN", "VERB")
    assert may_follow("", None, "I-X")
