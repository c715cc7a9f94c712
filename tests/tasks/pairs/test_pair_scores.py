"""The score suits the data, and its figures are those that a loop counts."""

from __future__ import annotations

import pytest
from tasks.pairs.material import edits

from riverrun.data.pair_coder import PairCoder, learn
from riverrun.data.pair_options import PairOptions
from riverrun.tasks.pairs.options import Decoding
from riverrun.tasks.pairs.scores import score_of


def coder(format: str, source: str = "spaces", target: str = "spaces") -> PairCoder:
    return learn(["a b", "b c"], ["x y", "y z"], format, PairOptions(source_tokens=source, target_tokens=target))


@pytest.mark.parametrize(
    ("format", "target", "kind", "names"),
    [
        ("cmudict", "spaces", "error_rate", ["word error", "phoneme error"]),
        ("scan", "spaces", "exact", ["exact", "symbol error"]),
        ("dialogues", "bpe", "diversity", ["distinct-2", "distinct-1", "commonest answer"]),
        ("tsv", "bpe", "translation", ["BLEU", "chrF"]),
        ("tsv", "words", "translation", ["BLEU", "chrF"]),
        ("tsv", "chars", "error_rate", ["output error", "character error"]),
        ("paired", "spaces", "error_rate", ["output error", "symbol error"]),
    ],
)
def test_a_format_has_its_score(format: str, target: str, kind: str, names: list[str]) -> None:
    score = score_of(Decoding(), coder(format, target=target))
    assert score.kind == kind
    assert [figure.name for figure in score.judge(["x y", "y z"], [["x y"], ["x"]])] == names


@pytest.mark.parametrize("kind", ["error_rate", "exact", "translation", "diversity"])
def test_another_score_may_be_asked_for(kind: str) -> None:
    assert score_of(Decoding(score=kind), coder("cmudict")).kind == kind


def test_error_rates_are_what_a_loop_counts_over_the_nearest_reference() -> None:
    outputs = ["K AE T", "D AO", "T AH M EY T OW"]
    references = [["K AE T"], ["D AO G", "D AA G Z"], ["T AH M AA T OW", "T AH M EY T OW"]]
    wrong, phonemes = score_of(Decoding(), coder("cmudict")).judge(outputs, references)
    assert wrong.value == pytest.approx(1 / 3)
    distances = [min(edits(o.split(), r.split()) for r in row) for o, row in zip(outputs, references, strict=True)]
    assert distances == [0, 1, 0]
    assert phonemes.value == pytest.approx(1 / (3 + 3 + 6))
    assert (wrong.unit, wrong.better) == ("share", "lower")


def test_exact_is_of_the_tokens_that_targets_have() -> None:
    outputs, references = ["a b", "ab"], [["a  b"], ["ab"]]
    for target, share in (("chars", 0.5), ("spaces", 1.0)):
        score = score_of(Decoding(score="exact"), coder("tsv", target=target))
        assert score.judge(outputs, references)[0].value == share


def test_characters_are_counted_where_targets_are_characters() -> None:
    score = score_of(Decoding(score="error_rate"), coder("tsv", target="chars"))
    assert score.judge(["abcd"], [["abxd"]])[1].value == pytest.approx(1 / 4)
    spelt = score_of(Decoding(score="error_rate"), coder("cmudict", target="chars"))
    assert spelt.token == "character"
