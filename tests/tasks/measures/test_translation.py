"""BLEU and chrF are sacrebleu's, and what is redrawn adds up to them."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu import metrics

from riverrun.errors import DataError
from riverrun.tasks.measures import translation

# The example of sacrebleu's README, with the figures that it prints.
OUTPUTS = ["The dog bit the man.", "It wasn't surprising.", "The man had just bitten him."]
REFERENCES = [
    ["The dog bit the man.", "The dog had bit the man."],
    ["It was not unexpected.", "No one was surprised."],
    ["The man bit him first.", "The man had bitten the dog."],
]
WORDS = ["the", "cat", "sat", "on", "a", "mat", ",", "dog's", "ran", ".", "far", "3.5"]
SENTENCES = st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join)


def test_the_published_example():
    bleu, chrf = translation.figures(OUTPUTS, REFERENCES)
    assert bleu.value == pytest.approx(48.530827009929865)
    assert chrf.value == pytest.approx(59.73, abs=0.005)
    assert (bleu.name, bleu.unit, bleu.better) == ("BLEU", "", "higher")


@given(st.lists(st.tuples(SENTENCES, st.lists(SENTENCES.filter(bool), min_size=1, max_size=3)), min_size=1, max_size=6))
@settings(max_examples=25, deadline=None)
def test_the_sums_of_all_sentences_give_sacrebleus_figures(items):
    outputs, references = [one for one, _ in items], [row for _, row in items]
    streams = [[row[k] if k < len(row) else None for row in references] for k in range(max(map(len, references)))]
    found = translation.figures(outputs, references)
    assert found[0].value == pytest.approx(metrics.BLEU(force=True).corpus_score(outputs, streams).score, abs=1e-9)
    assert found[1].value == pytest.approx(metrics.CHRF().corpus_score(outputs, streams).score, abs=1e-9)
    bleu = translation.bleu_of(translation._bleu_counts(outputs, references).sum(0)[None])
    chrf = translation.chrf_of(translation._chrf_counts(outputs, references).sum(0)[None])
    assert float(bleu[0]) == pytest.approx(found[0].value, abs=1e-9)
    assert float(chrf[0]) == pytest.approx(found[1].value, abs=1e-9)


def corpus(count: int, seed: int = 0) -> tuple[list[str], list[list[str]]]:
    draw = np.random.default_rng(seed)
    words = [f"w{k}" for k in range(30)]
    references = [[" ".join(draw.choice(words, draw.integers(3, 15)))] for _ in range(count)]
    outputs = [
        " ".join(word if draw.random() < 0.8 else str(draw.choice(words)) for word in row[0].split())
        for row in references
    ]
    return outputs, references


def test_the_interval_is_that_of_sacrebleus_own_bootstrap():
    outputs, references = corpus(200)
    for found, metric in zip(translation.figures(outputs, references), (metrics.BLEU(), metrics.CHRF()), strict=True):
        theirs = metric.corpus_score(outputs, [[row[0] for row in references]], n_bootstrap=1000)
        assert (found.high - found.low) / 2 == pytest.approx(theirs._ci, rel=0.12)
        assert found.low < found.value < found.high


def test_by_length_every_row_has_the_figures_of_its_own_sentences():
    outputs, references = corpus(120, seed=1)
    lengths = [len(row[0].split()) for row in references]
    rows = translation.by_length(outputs, references, lengths, rows=4, least=10)
    assert len(rows) == 4
    assert [rows[0]["low"], rows[-1]["high"]] == [min(lengths), max(lengths)]
    assert sum(row["count"] for row in rows) == 120
    for row in rows:
        places = [i for i, n in enumerate(lengths) if row["low"] <= n <= row["high"]]
        score = metrics.BLEU().corpus_score([outputs[i] for i in places], [[references[i][0] for i in places]]).score
        assert row["figures"]["BLEU"]["value"] == pytest.approx(score)
        assert row["figures"]["BLEU"]["low"] < score < row["figures"]["BLEU"]["high"]


@given(st.lists(st.integers(1, 20), max_size=60), st.integers(1, 6), st.integers(1, 10))
def test_spans_hold_every_length_once_and_enough_of_them(lengths, rows, least):
    found = translation.spans(lengths, rows=rows, least=least)
    for length in lengths:
        assert sum(low <= length <= high for low, high in found) == 1
    assert len(found) <= rows + 1
    counts = [sum(low <= length <= high for length in lengths) for low, high in found]
    assert len(found) == 1 or all(count >= least for count in counts)


def test_nothing_has_no_figure():
    assert all(np.isnan(one.value) for one in translation.figures([], []))


@pytest.mark.parametrize("tokens", ["13a", "char"])
def test_the_record_says_how_it_was_computed_as_sacrebleu_does(tokens):
    said = translation.signature(tokens)
    for name in ("BLEU", "CHRF"):
        metric = translation._metric(name, tokens)
        metric.corpus_score(["a"], [["a"]])
        signature = dict(part.split(":") for part in str(metric.get_signature()).split("|"))
        for key in {"BLEU": ("tok", "smooth", "case"), "CHRF": ("nc", "nw", "case")}[name]:
            assert f"{key}:{signature[key]}" in said
        assert signature["version"] in said


def test_bleu_of_scripts_without_spaces_is_of_characters():
    outputs, wanted = ["我喜欢苹果。", "他今天很忙。"], [["我喜欢苹果和梨。"], ["他今天很忙。"]]
    assert translation.tokens_of([one for row in wanted for one in row]) == "char"
    assert translation.tokens_of(["이 문장은 한국어다.", "Ein Satz."]) == "13a"
    bleu, _ = translation.figures(outputs, wanted, tokens="char")
    oracle = metrics.BLEU(tokenize="char").corpus_score(outputs, [[one for (one,) in wanted]])
    assert bleu.value == pytest.approx(oracle.score)
    assert bleu.low <= bleu.value <= bleu.high
    assert bleu.value > 60 > translation.figures(outputs, wanted)[0].value


def test_where_sacrebleu_is_missing_a_sentence_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(DataError, match="pip install sacrebleu"):
        translation.figures(["a"], [["a"]])
