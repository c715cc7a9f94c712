"""Pairs made ready: parts, vocabularies of the training part alone, and what is said and recorded of them."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import pytest
from tasks.pairs.material import SOURCES, TARGETS, sections

from riverrun.data.pairs import given, read
from riverrun.decoding.prior import Beginnings
from riverrun.errors import DataError, OptionError, UsageError
from riverrun.estimators.sequence_to_sequence import Seq2Seq
from riverrun.tasks.pairs.prepare import prepare
from riverrun.tasks.sequence_to_sequence import TASK


def test_parts_are_recorded_and_said() -> None:
    chosen = sections()
    prepared = prepare(given(SOURCES, TARGETS, chosen["data"]), chosen)
    record = prepared.record()
    counts = {part: found["pairs"] for part, found in record["parts"].items()}
    assert sum(counts.values()) == len(SOURCES)
    assert counts["train"] == len(prepared.train)
    assert counts["valid"] == len(prepared.valid)
    assert record["tokens"] == {"source": "chars", "target": "spaces"}
    assert record["vocabulary"] == {"source": 4 + 3, "target": 4 + 3}
    assert (record["left_out"], record["rows_dropped"], record["shared_vocabulary"]) == (0, 0, False)
    assert len(record["files"][0]["sha256"]) == 64
    json.dumps(record)
    lines = prepared.lines()
    assert f"pairs      {counts['train']} train, {counts['valid']} valid, {counts['test']} test" in lines
    assert "tokens     chars (7 in the vocabulary) -> spaces (7 in the vocabulary)" in lines
    assert all(line[10] == " " for line in lines)
    facts, shown = prepared.peek()
    assert dict(facts["source"])["a"] == "".join(prepared.splits.train.sources).count("a")
    assert f"  | {prepared.splits.train.sources[0]} -> {prepared.splits.train.targets[0]}" in shown


def test_the_vocabulary_is_the_training_parts_alone(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("ab\tx\nb\ty\n")
    (tmp_path / "valid.tsv").write_text("abq\tx\n")
    (tmp_path / "test.tsv").write_text("z\ty\nab\tx\n")
    chosen = sections(valid=str(tmp_path / "valid.tsv"), test=str(tmp_path / "test.tsv"))
    prepared = prepare(read([tmp_path / "train.tsv"], chosen["data"]), chosen)
    assert prepared.coder.source.size == 3 + 2
    assert prepared.coder.source.unknown("abqz") == ["q", "z"]
    assert len(prepared.files) == 3
    assert any("1 sources of the test part are in the training part" in line for line in prepared.lines())


def test_a_coder_that_is_given_is_taken() -> None:
    chosen = sections()
    first = prepare(given(SOURCES, TARGETS, chosen["data"]), chosen)
    coder = TASK.load_coder(TASK.save_coder(first.coder))
    again = prepare(given(["xyz", "ab", "ba"], ["X", "A B", "B A"], chosen["data"]), chosen, coder=coder)
    assert again.coder is coder
    assert again.coder.source.size == first.coder.source.size


def test_a_few_validation_pairs_are_kept_to_be_shown() -> None:
    chosen = sections()
    prepared = prepare(given(SOURCES, TARGETS, chosen["data"]), chosen)
    shown = [tuple(pair) for pair in prepared.coder.facts["shown"]]
    valid = prepared.splits.valid
    assert len(shown) == 4
    assert set(shown) <= set(zip(valid.sources, valid.targets, strict=True))


def test_beginnings_are_counted_where_a_penalty_needs_them() -> None:
    chosen = sections(generic_penalty=0.5, generic_tokens=2)
    prepared = prepare(given(SOURCES, TARGETS, chosen["data"]), chosen)
    coder = TASK.load_coder(TASK.save_coder(prepared.coder))
    assert coder.beginnings is not None
    q = Beginnings.of(coder.beginnings)
    train = prepared.splits.train.targets
    first = Counter(target.split()[0] for target in train)
    import torch

    log_q, _ = q.step(q.start(), torch.tensor([0]))
    for symbol, count in first.items():
        token = int(prepared.coder.target.encode([symbol]).ids[0])
        assert float(log_q[0, token].exp()) == pytest.approx(count / len(train))
    without = sections()
    assert prepare(given(SOURCES, TARGETS, without["data"]), without).coder.beginnings is None


def test_copies_are_made_for_a_model_that_copies() -> None:
    chosen = sections(copy=True, source_tokens="spaces")
    prepared = prepare(given(TARGETS, TARGETS, chosen["data"]), chosen)
    assert prepared.train.copies is not None
    plain = sections()
    assert prepare(given(SOURCES, TARGETS, plain["data"]), plain).train.copies is None


def test_targets_longer_than_what_is_written_are_told_before_training() -> None:
    chosen = sections(max_length=3)
    prepared = prepare(given(SOURCES, TARGETS, chosen["data"]), chosen)
    longer = sum(len(target.split()) > 3 for target in prepared.splits.train.targets)
    told = f"note       {longer:,} training targets are longer than the 3 tokens that are written (--max-length)"
    assert longer > 0
    assert told in prepared.lines()


def test_a_score_that_cannot_be_computed_is_told_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    chosen = sections(score="translation")
    with pytest.raises(DataError, match="BLEU and chrF need sacrebleu: pip install sacrebleu"):
        prepare(given(SOURCES, TARGETS, chosen["data"]), chosen)


def test_a_penalty_on_attention_is_refused_where_there_is_none() -> None:
    with pytest.raises(UsageError, match="coverage_penalty: does nothing with attention='none'"):
        Seq2Seq(attention="none", coverage_penalty=0.2, steps=1).fit(SOURCES, TARGETS)


def test_one_table_of_vectors_needs_one_vocabulary() -> None:
    chosen = sections(shared=True)
    prepared = prepare(given(SOURCES, TARGETS, chosen["data"]), chosen)
    with pytest.raises(OptionError, match=r"shared: source and target have a vocabulary each. Add shared_vocabulary"):
        TASK.model(chosen["model"], prepared.coder)
