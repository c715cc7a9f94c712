"""Pairs through the command line: killed and resumed, used from a checkpoint, and from standard input."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from cli.material import Killed, Riverrun
from tasks.pairs.material import SOURCES, TARGETS

ROWS = "".join(f"{source}\t{target}\n" for source, target in zip(SOURCES, TARGETS, strict=True))
SMALL = ["--hidden", "8", "--threads", "1", "--no-baselines", "--source-tokens", "chars", "--target-tokens", "spaces"]


def test_a_run_of_a_killed_process_ends_in_the_same_weights_and_is_used_before(
    killed: Killed, riverrun: Riverrun, tmp_path: Path
) -> None:
    (tmp_path / "pairs.tsv").write_text(ROWS)
    given = ["train", "pairs.tsv", *SMALL, "--steps", "12", "--checkpoint-every", "2", "--batch", "16"]
    given += ["--dropout", "0.3", "--scheduled-sampling", "0.2"]
    assert riverrun(*given, "-o", "whole").code == 0
    killed(7, *given, "-o", "broken")
    used = riverrun("predict", "broken", "ab")
    assert (used.code, len(used.out.splitlines())) == (0, 1)
    assert "training has not ended" in used.err
    assert riverrun("resume", "broken").code == 0
    one, two = ((tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("whole", "broken"))
    assert one == two
    metrics = [json.loads((tmp_path / name / "eval" / "metrics.json").read_text()) for name in ("whole", "broken")]
    assert metrics[0]["figures"] == metrics[1]["figures"]


def test_pairs_from_standard_input_are_kept_and_can_be_measured_again(
    riverrun: Riverrun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(ROWS.encode())))
    assert riverrun("train", "-", "--task", "seq2seq", *SMALL, "--steps", "2", "-o", "run").code == 0
    assert len(list((tmp_path / "run" / "input").iterdir())) == 1
    before = (tmp_path / "run" / "eval" / "metrics.json").read_bytes()
    done = riverrun("eval", "run", "--no-baselines", "--beam", "2")
    assert "left as they are" in done.out
    assert (tmp_path / "run" / "eval" / "metrics.json").read_bytes() == before
    done = riverrun("eval", "run")
    assert done.code == 0
    assert sum(line.startswith("verdict    ") for line in done.out.splitlines()) >= 1


def test_the_configuration_of_a_run_repeats_it(riverrun: Riverrun, tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text(ROWS)
    given = ["train", "pairs.tsv", *SMALL, "--steps", "3", "--reverse", "--beam", "2"]
    assert riverrun(*given, "-o", "one").code == 0
    assert riverrun("train", "-c", "one/run.toml", "-o", "two", "--no-baselines").code == 0
    assert (tmp_path / "one" / "run.toml").read_text() == (tmp_path / "two" / "run.toml").read_text()
    one, two = ((tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


def test_data_peek_shows_both_sides(riverrun: Riverrun, tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text(ROWS)
    shown = riverrun("data", "peek", "pairs.tsv", "--json")
    facts = json.loads(shown.out)
    assert (facts["task"], facts["format"]) == ("seq2seq", "tsv")
    assert sum(part["pairs"] for part in facts["parts"].values()) == len(SOURCES)
    assert {token for token, _ in facts["target"]} >= {"A", "B", "C", "D"}
