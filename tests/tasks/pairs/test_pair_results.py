"""What a model of pairs is worth, against loops over single pairs; what the report is given."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tasks.pairs.material import SOURCES, TARGETS, Taught, ids_of, log_p

from riverrun.data.pair_arrays import PairArrays
from riverrun.data.pairs import Pairs, given
from riverrun.inspection import report
from riverrun.run import RunFolder
from riverrun.tasks.pairs.options import Decoding
from riverrun.tasks.pairs.results import conclude, measure, measure_other, nats_per_token, shown, written


def test_nats_are_those_of_every_pair_alone_step_by_step(spelling: Taught) -> None:
    valid = spelling.prepared.splits.valid
    total = -sum(
        log_p(spelling, source, ids_of(spelling, target))
        for source, target in zip(valid.sources, valid.targets, strict=True)
    )
    tokens = sum(len(target.split()) + 1 for target in valid.targets)
    found = nats_per_token(spelling.model, spelling.prepared.valid)
    assert found == pytest.approx(total / tokens, rel=1e-4)


def test_measuring_leaves_the_model_in_its_mode(thought: Taught) -> None:
    thought.model.train()
    nats_per_token(thought.model, thought.prepared.valid)
    assert thought.model.training
    thought.model.eval()


def test_the_figures_are_of_what_is_written_for_each_different_source(spelling: Taught) -> None:
    said: list[str] = []
    metrics = measure(spelling.model, spelling.prepared, say=said.append, baselines=True)
    test = spelling.prepared.splits.test
    found = written(spelling.model, spelling.prepared.coder, spelling.sections["decoding"], test)
    assert metrics["count"] == len(set(test.sources)) == len(found.sources)
    wrong = [target.text not in wanted for target, wanted in zip(found.targets, found.references, strict=True)]
    first = metrics["figures"][0]
    assert first["name"] == "output error"
    assert first["value"] == pytest.approx(np.mean(wrong))
    assert first["low"] <= first["value"] <= first["high"]
    assert metrics["loss"] > 0
    assert [row["name"] for row in metrics["baselines"]] == ["copy", "commonest", "nearest neighbour"]
    assert all(row["figures"][0]["name"] == "output error" for row in metrics["baselines"])
    assert any("this model" in line for line in said)
    json.dumps(metrics)


def test_a_source_with_several_references_is_one_item_and_its_pairs_all_count_for_the_loss(spelling: Taught) -> None:
    corpus = given(["ab", "ab", "c"], ["A B", "B B", "C"], spelling.sections["data"])
    coder, decoding = spelling.prepared.coder, spelling.sections["decoding"]
    metrics = measure_other(spelling.model, coder, decoding, corpus, say=lambda line: None, beside=None)
    assert (metrics["count"], metrics["pairs"]) == (2, 3)
    pairs = zip(corpus.pairs.sources, corpus.pairs.targets, strict=True)
    total = -sum(log_p(spelling, source, ids_of(spelling, target)) for source, target in pairs)
    assert metrics["loss"] == pytest.approx(total / (3 + 3 + 2), rel=1e-4)
    assert metrics["baselines"] == []


def test_so_many_sources_as_asked_are_scored_and_it_is_said(spelling: Taught) -> None:
    corpus = given(SOURCES, TARGETS, spelling.sections["data"])
    coder, said = spelling.prepared.coder, list[str]()
    metrics = measure_other(
        spelling.model, coder, Decoding(scored=7, beam=1), corpus, say=said.append, beside=spelling.prepared
    )
    assert metrics["count"] == 7
    found = written(spelling.model, coder, Decoding(scored=7, beam=1), corpus.pairs)
    assert found.sources == [SOURCES[round(place)] for place in np.floor(np.linspace(0, len(SOURCES) - 1, 7)).tolist()]
    assert f"7 of {len(SOURCES)} sources were scored" in metrics["remarks"][0]
    assert len(metrics["baselines"]) == 3


def test_sources_longer_than_any_are_counted(spelling: Taught) -> None:
    corpus = given(["abcdabcd", "a"], ["A", "A"], spelling.sections["data"])
    found = measure_other(
        spelling.model, spelling.prepared.coder, Decoding(), corpus, say=lambda line: None, beside=None
    )
    assert "1 sources are longer than any of the training part (4 tokens)." in found["remarks"]


def test_targets_that_were_cut_are_counted_and_how_it_was_computed_is_recorded(spelling: Taught) -> None:
    corpus = given(["我 a", "bcd"], ["我喜", "欢苹果"], spelling.sections["data"])
    chosen = Decoding(score="translation", max_length=2)
    found = measure_other(spelling.model, spelling.prepared.coder, chosen, corpus, say=lambda line: None, beside=None)
    assert "2 targets have the 2 tokens that are written at most (--max-length)." in found["remarks"]
    assert any("BLEU is of characters" in remark for remark in found["remarks"])
    assert "BLEU|tok:char|" in found["computed"]


def test_replies_are_set_beside_what_people_answered(spelling: Taught) -> None:
    corpus = given(["a", "b"], ["A", "B B"], spelling.sections["data"])
    found = measure_other(
        spelling.model,
        spelling.prepared.coder,
        Decoding(score="diversity"),
        corpus,
        say=lambda line: None,
        beside=spelling.prepared,
    )
    assert [row["name"] for row in found["baselines"]] == ["copy", "commonest", "nearest neighbour", "people"]
    people = {figure["name"]: figure["value"] for figure in found["baselines"][-1]["figures"]}
    assert people == {"distinct-1": pytest.approx(2 / 3), "distinct-2": 1.0, "commonest answer": 0.5}


def test_what_the_report_shows_is_written(spelling: Taught, tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    (tmp_path / "eval").mkdir()
    (tmp_path / "run.toml").write_text('task = "seq2seq"\n')
    metrics = measure(spelling.model, spelling.prepared, say=lambda line: None, baselines=False)
    run.write_json("eval/metrics.json", metrics)
    conclude(run, spelling.model, spelling.prepared, metrics, say=lambda line: None)
    rows = (tmp_path / "eval" / "predictions.tsv").read_text().splitlines()
    test = spelling.prepared.splits.test
    assert rows[0] == "source\twritten\texpected\tlog_p"
    assert [row.split("\t")[0] for row in rows[1:]] == list(dict.fromkeys(test.sources))
    lengths = run.read_json("eval/lengths.json")
    assert lengths["unit"] == "source characters"
    assert sum(row["count"] for row in lengths["rows"]) == metrics["count"]
    items = run.read_json("eval/alignments.json")["items"]
    assert 0 < len(items) <= 6
    for item in items:
        assert len(item["weights"]) == len(item["target"])
        assert all(len(row) == len(item["source"]) for row in item["weights"])
    mistakes = run.read_json("eval/mistakes.json")["items"]
    assert all(TARGETS[int(one["file"].removeprefix("the pairs given:")) - 1] in one["expected"] for one in mistakes)
    wrong = {row.split("\t")[0] for row in rows[1:] if row.split("\t")[1] != row.split("\t")[2]}
    assert {mistake["text"] for mistake in mistakes} == wrong
    page = report.build(tmp_path).read_text()
    assert "output error" in page
    assert "What it looks at" in page


def test_a_model_without_attention_says_so_in_place_of_alignments(thought: Taught, tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    (tmp_path / "eval").mkdir()
    conclude(run, thought.model, thought.prepared, {}, say=lambda line: None)
    assert "no attention" in run.read_json("eval/alignments.json")["absent"]


def test_what_is_shown_in_training_is_the_validation_pairs_kept(spelling: Taught) -> None:
    coder = spelling.prepared.coder
    lines = shown(spelling.model, coder).splitlines()
    assert [line.split(" -> ")[0] for line in lines] == [source for source, _ in coder.facts["shown"]]
    assert lines[0].split(" -> ")[1].startswith(" ".join(coder.facts["shown"][0][0].upper()))


def test_pairs_with_tokens_that_nobody_has_seen_are_measured_all_the_same(spelling: Taught) -> None:
    coder = spelling.prepared.coder
    pairs = Pairs(["aé"], ["A É"], [""], [""], [""])
    assert np.isfinite(nats_per_token(spelling.model, PairArrays(pairs, coder)))
