"""CMUdict: words, variants, comments and stress, as its files write them."""

import pytest

from riverrun.data.cmudict import PHONEMES, likely, rows

LINES = [
    ";;; # CMUdict, version 0.7b",
    "# a comment",
    "#",
    "aalborg AO1 L B AO0 R G # place, danish",
    "aalborg(2) AA1 L B AO0 R G",
    "",
    "READ  R EH1 D",
    "READ(2)  R IY1 D",
    "READ(3)  R IY2 D",
    "#HASH-MARK  HH AE1 SH",
    "a.m. EY2 EH1 M",
]


def pairs(**options: bool) -> list[tuple[str, str]]:
    return [(row.source, row.target) for row in rows(iter(LINES), **options)]


def test_variants_are_pairs_of_their_word_and_comments_are_none() -> None:
    assert pairs() == [
        ("aalborg", "AO1 L B AO0 R G"),
        ("aalborg", "AA1 L B AO0 R G"),
        ("READ", "R EH1 D"),
        ("READ", "R IY1 D"),
        ("READ", "R IY2 D"),
        ("#HASH-MARK", "HH AE1 SH"),
        ("a.m.", "EY2 EH1 M"),
    ]


def test_without_stress_what_becomes_the_same_is_one_pair() -> None:
    assert [pair for pair in pairs(stress=False) if pair[0] in ("READ", "a.m.")] == [
        ("READ", "R EH D"),
        ("READ", "R IY D"),
        ("a.m.", "EY EH M"),
    ]


def test_a_word_without_phonemes_is_wrong_with_its_line() -> None:
    [good, bad] = rows(iter(["a EY1\n", "b\n"]))
    assert (good.line, good.wrong) == (1, None)
    assert (bad.line, bad.wrong) == (2, "expected a word and its phonemes, got 'b'")


@pytest.mark.parametrize("lines", [["to be or not"], ["a EY1", "b"], ["K AE1 T\tcat"], [], ["one", "two"]])
def test_other_text_is_no_dictionary(lines: list[str]) -> None:
    assert not likely(lines)


def test_a_dictionary_is_known_by_its_phonemes() -> None:
    assert likely(LINES)
    assert len(PHONEMES) == 39
