"""Schemes: how tags of single words mark spans of several, and how spans are read from them.

    BIO     B-x begins a span of type x, I-x goes on with it, O is outside (IOB2; CoNLL-2000, CoNLL-2002)
    IOB1    I-x is inside; B-x begins a span right after another one of the same type (CoNLL-2003)
    BIOES   B-x, I-x, E-x begin, go on with and end a span, S-x is one of a single word (BILOU: L for E, U for S)

Any sequence of such tags can be read, also one that its scheme forbids: `spans` reads it as conlleval does, the program
that CoNLL-2000 and CoNLL-2003 were scored by.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

OUTSIDE = "O"
_TAG = re.compile(r"([BIESLU])(?:-(.+))?", re.DOTALL)
_SAME = {"L": "E", "U": "S"}


class Span(NamedTuple):
    """Words begin to end - 1 of a sentence, and of what type they are."""

    begin: int
    end: int
    type: str


def parts(tag: str) -> tuple[str, str]:
    """A tag's letter (B, I, E, S or O) and type; what marks no span is outside.

    >>> parts("B-NP"), parts("U-LOC"), parts("O"), parts("I")
    (('B', 'NP'), ('S', 'LOC'), ('O', ''), ('I', ''))
    """
    found = _TAG.fullmatch(tag)
    if found is None:
        return OUTSIDE, ""
    return _SAME.get(found[1], found[1]), found[2] or ""


def spans(tags: Sequence[str]) -> list[Span]:
    """The spans of a sentence, as conlleval reads them.

    A span begins at a word inside (not O) where its tag is B or S, or the word before is outside, has the tag E or S,
    or is of another type; it goes on until the next one begins, or a word is outside. So an I that goes on with nothing
    begins a span.

    >>> spans(["I-LOC", "I-LOC", "O", "B-PER", "I-ORG"])
    [Span(begin=0, end=2, type='LOC'), Span(begin=3, end=4, type='PER'), Span(begin=4, end=5, type='ORG')]
    """
    found: list[Span] = []
    before, kind_before = OUTSIDE, ""
    for place, tag in enumerate(tags):
        letter, kind = parts(tag)
        if letter != OUTSIDE:
            begins = letter in "BS" or before in (OUTSIDE, "E", "S") or kind != kind_before
            if begins:
                found.append(Span(place, place + 1, kind))
            else:
                found[-1] = found[-1]._replace(end=place + 1)
        before, kind_before = letter, kind
    return found


def scheme(sentences: Iterable[Sequence[str]]) -> str:
    """The scheme of these tags: "BIO", "IOB1" or "BIOES"; "" where they mark no spans.

    Between BIO and IOB1 those decide that only one of the two allows; a mistake in a file does not.

    >>> scheme([["I-LOC", "O", "I-PER", "B-PER"]]), scheme([["B-LOC", "I-LOC"]]), scheme([["DET", "NOUN"]])
    ('IOB1', 'BIO', '')
    """
    letters: set[str] = set()
    only_iob1 = only_bio = 0
    for tags in sentences:
        before, kind_before = OUTSIDE, ""
        for tag in tags:
            if not tag:  # not annotated
                continue
            if tag != OUTSIDE and not _TAG.fullmatch(tag):
                return ""
            letter, kind = parts(tag)
            letters.add(letter)
            follows = before != OUTSIDE and kind == kind_before
            only_iob1 += letter == "I" and not follows
            only_bio += letter == "B" and not follows
            before, kind_before = letter, kind
    if not letters - {OUTSIDE}:
        return ""
    if letters & {"E", "S"}:
        return "BIOES"
    return "IOB1" if only_iob1 > only_bio else "BIO"


def may_follow(scheme: str, before: str | None, tag: str | None) -> bool:
    """Whether the scheme allows `tag` right after `before`. None: the sentence's beginning, or its end.

    >>> may_follow("BIO", "B-PER", "I-PER"), may_follow("BIO", "B-LOC", "I-PER"), may_follow("BIO", None, "I-PER")
    (True, False, False)
    """
    left, kind_left = parts(before or OUTSIDE)
    right, kind_right = parts(tag or OUTSIDE)
    follows = left != OUTSIDE and kind_left == kind_right
    if scheme == "BIO":
        return right != "I" or follows
    if scheme == "IOB1":
        return right != "B" or follows
    if scheme == "BIOES":
        unfinished = left in "BI"
        return (right in "IE" and follows) if unfinished else right not in "IE"
    return True
