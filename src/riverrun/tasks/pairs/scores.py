"""Scores by need: what the targets of a format are judged by, as one function of outputs and their references.

error_rate    how many are wrong, and the edits that their tokens need: pronunciations, spellings
exact         how many are right to the last token, and the edits: commands
translation   BLEU and chrF, of plain text
diversity     different n-grams among the answers, which no reference tells right: replies
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from riverrun.data.pair_coder import PairCoder
from riverrun.tasks.measures import diversity, error_rate, translation
from riverrun.tasks.measures.classification import Figure
from riverrun.tasks.pairs.options import Decoding

BY_FORMAT = {"cmudict": "error_rate", "scan": "exact", "dialogues": "diversity"}
UNSPACED = "BLEU is of characters (sacrebleu's tok:char): the references have no spaces between their words."
WRITTEN = ("words", "bpe")  # tokens of what is a sentence, and not a word or a sequence of symbols

References = Sequence[Sequence[str]]


class Score(NamedTuple):
    """kind: one of the above. judge: outputs, and the references of each -> the figures, the one compared first.

    token: the noun of what edits count. split: a text as such tokens. computed: how, for the record; remark: what a
    reader has to know of it; "" where there is nothing to say.
    """

    kind: str
    judge: Callable[[Sequence[str], References], list[Figure]]
    token: str
    split: Callable[[str], Sequence[str]]
    computed: str = ""
    remark: str = ""


def score_of(decoding: Decoding, coder: PairCoder, expected: Sequence[str] = ()) -> Score:
    """The score that was asked for, or that suits the data that a coder was made of.

    expected: the targets that outputs will be compared with: BLEU of Chinese is counted in characters. Raises DataError
    where it is of translations and sacrebleu is not there.
    """
    kind, tokens = decoding.score, coder.target.tokenizer.kind
    format = str(coder.facts["format"])
    if kind == "auto":
        kind = BY_FORMAT.get(format, "translation" if tokens in WRITTEN else "error_rate")
    split: Callable[[str], Sequence[str]] = list if tokens == "chars" else str.split
    spoken = format == "cmudict" and tokens != "chars"
    token = "phoneme" if spoken else "character" if tokens == "chars" else "symbol" if tokens == "spaces" else "word"
    item = "word" if spoken else "output"

    def errors(outputs: Sequence[str], references: References) -> list[Figure]:
        return error_rate.figures(outputs, references, item=item, token=token, split=split)

    def exact(outputs: Sequence[str], references: References) -> list[Figure]:
        return [error_rate.exact(outputs, references, split=split), errors(outputs, references)[1]]

    def distinct(outputs: Sequence[str], references: References) -> list[Figure]:
        first, second, commonest = diversity.figures(outputs, split=split)
        return [second, first, commonest]

    if kind == "translation":
        cut = translation.tokens_of(expected)
        computed = translation.signature(cut)
        remark = UNSPACED if cut == "char" else ""
        return Score(kind, partial(translation.figures, tokens=cut), token, split, computed, remark)
    judges = {"error_rate": errors, "exact": exact, "diversity": distinct}
    return Score(kind, judges[kind], token, split)
