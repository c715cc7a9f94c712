"""CMUdict: a word, spaces, and its phonemes; `WORD(2)` is one more pronunciation of WORD.

    ;;; a comment line (of version 0.7b; later ones have `# ...` at the end of a line)
    TOMATO  T AH0 M EY1 T OW2
    TOMATO(2)  T AH0 M AA1 T OW2

A vowel ends in its stress: 0 none, 1 primary, 2 secondary.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from riverrun.data.pair_rows import PairRow, Rows, short

# The 39 phonemes of ARPAbet that CMUdict uses.
_VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
_LONG = ("CH", "DH", "HH", "JH", "NG", "SH", "TH", "ZH")  # consonants of two letters
PHONEMES = frozenset((*_VOWELS, *_LONG, *"BDFGKLMNPRSTVWYZ"))
_VARIANT = re.compile(r"(.+)\((\d+)\)")
_STRESS = re.compile(r"(?<=[A-Z])[012](?= |$)")
_COMMENT = re.compile(r"\s#.*|^;;;.*|^#(\s.*)?$")  # `#HASH-MARK` is a word


def rows(lines: Iterator[str], *, stress: bool = True) -> Rows:
    """The pairs of a dictionary: word -> phonemes, apart by single spaces. stress: keep the digits.

    Pronunciations of a word that are the same (often they differ by stress alone) are one pair.

    >>> [row.target for row in rows(iter(["READ  R EH1 D", "READ(2)  R IY1 D"]), stress=False)]
    ['R EH D', 'R IY D']
    """
    before: tuple[str, set[str]] = ("", set())
    for number, line in enumerate(lines, 1):
        text = _COMMENT.sub("", line.strip())
        if not text:
            continue
        word, *phonemes = text.split()
        if not phonemes:
            yield PairRow(number, wrong=f"expected a word and its phonemes, got {short(line)}")
            continue
        if variant := _VARIANT.fullmatch(word):
            word = variant[1]
        spoken = " ".join(phonemes)
        if not stress:
            spoken = _STRESS.sub("", spoken)
        if word != before[0]:
            before = (word, set())
        if spoken not in before[1]:
            before[1].add(spoken)
            yield PairRow(number, word, spoken)


def likely(lines: list[str]) -> bool:
    """Whether the first lines of a file are those of a dictionary: words with phonemes of ARPAbet."""
    entries = [_COMMENT.sub("", line.strip()).split() for line in lines]
    entries = [entry for entry in entries if entry]
    sounds = [sound.rstrip("012") for _, *sounds in entries for sound in sounds]
    return bool(sounds) and all(len(entry) > 1 for entry in entries) and all(s in PHONEMES for s in sounds)
