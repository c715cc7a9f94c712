"""A run that is killed: what it has learnt can be used at once, and going on ends in the bits of an undisturbed run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from cli.material import Killed, Riverrun

import riverrun as rr
from riverrun.files import read_folder

# One thread: the killed process has one, and bits are promised for the same number of threads.
TINY = ["--hidden", "8", "--layers", "2", "--lanes", "4", "--window", "8", "--threads", "1", "--no-baselines"]
MASKS = ["--dropout", "0.3", "--variational", "0.2", "--weight-dropout", "0.2", "--zoneout", "0.1"]
RUN = ["train", "text.txt", "--steps", "12", "--checkpoint-every", "3", *TINY, *MASKS]


@pytest.fixture
def stopped(text: Path, killed: Killed, tmp_path: Path) -> Path:
    """A run of 12 steps that was killed at the eighth."""
    killed(8, *RUN, "-o", "stopped")
    run = tmp_path / "stopped"
    assert (run / "checkpoints" / "last").read_text() == "6\n"
    assert not (run / "model").exists()
    return run


def test_kill_minus_nine_and_resume_end_in_the_weights_of_an_undisturbed_run(
    stopped: Path, riverrun: Riverrun, tmp_path: Path
) -> None:
    threads = torch.get_num_threads()
    try:
        assert riverrun(*RUN, "-o", "whole").code == 0
        done = riverrun("resume", "stopped", "--no-baselines")
    finally:
        torch.set_num_threads(threads)
    assert done.code == 0, done.err
    assert "from step 6" in done.out
    for name in ("model.safetensors", "tokenizer.json"):
        assert (stopped / "model" / name).read_bytes() == (tmp_path / "whole" / "model" / name).read_bytes(), name
    whole, resumed = (read_folder(tmp_path / name / "checkpoints" / "12") for name in ("whole", "stopped"))
    assert {
        name for name in whole if name not in ("training.json", "run.toml") and whole[name] != resumed[name]
    } == set()
    metrics = [json.loads((tmp_path / name / "eval" / "metrics.json").read_text()) for name in ("whole", "stopped")]
    assert metrics[0]["carried"] == metrics[1]["carried"]


def test_a_run_killed_before_its_first_checkpoint_is_begun_anew(
    stopped: Path, riverrun: Riverrun, tmp_path: Path
) -> None:
    shutil.rmtree(stopped / "checkpoints")
    threads = torch.get_num_threads()
    try:
        assert riverrun(*RUN, "-o", "whole").code == 0
        done = riverrun("resume", "stopped", "--no-baselines")
    finally:
        torch.set_num_threads(threads)
    assert done.code == 0, done.err
    assert "from the beginning" in done.out
    weights = [tmp_path / name / "model" / "model.safetensors" for name in ("whole", "stopped")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_resuming_puts_away_the_model_that_an_earlier_stop_left(stopped: Path, riverrun: Riverrun) -> None:
    from riverrun.files import write_folder

    write_folder(stopped / "model", {"model.safetensors": b"old"})
    assert riverrun("resume", "stopped", "--no-baselines").code == 0
    assert (stopped / "model" / "model.safetensors").read_bytes() != b"old"


def test_what_a_killed_run_has_learnt_can_be_used_at_once(stopped: Path, riverrun: Riverrun, tmp_path: Path) -> None:
    before = {path for path in stopped.rglob("*") if path.is_file()}
    done = riverrun("sample", "stopped", "--prompt", "the 3", "-n", "20")
    assert done.code == 0, done.err
    assert done.out.startswith("the 3")
    assert "training has not ended: these are the weights of step 6" in done.err
    assert "copied from the training text" in done.err
    assert {path for path in stopped.rglob("*") if path.is_file()} == before
    scored = json.loads(riverrun("predict", "stopped", "the 3 cats", "--json").out)
    assert scored["predicted"] == 9
    facts = json.loads(riverrun("eval", "stopped", "--no-baselines", "--json").out)
    assert facts["metrics"]["carried"]["nats"] > 0
    assert (stopped / "report.html").is_file()
    loaded = rr.load(stopped)
    assert loaded.predict("the 3 cats")["nats"] == scored["nats"]
    loaded.save(tmp_path / "kept")
    assert rr.load(tmp_path / "kept").predict("the 3 cats")["nats"] == scored["nats"]


def test_a_run_in_training_is_not_disturbed_by_those_who_look(stopped: Path, riverrun: Riverrun) -> None:
    (stopped / "checkpoints" / ".tmp-9-1").mkdir()  # what another process is writing
    assert riverrun("sample", "stopped", "-n", "3", "--no-novelty").code == 0
    assert (stopped / "checkpoints" / ".tmp-9-1").is_dir()


def test_a_killed_run_whose_last_checkpoint_is_damaged_gives_the_one_before(stopped: Path, riverrun: Riverrun) -> None:
    weights = stopped / "checkpoints" / "6" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    done = riverrun("sample", "stopped", "-n", "3", "--no-novelty")
    assert done.code == 0, done.err
    assert "corrupted" in done.err
    assert "step 3" in done.err
    shutil.rmtree(stopped / "checkpoints" / "3")
    done = riverrun("sample", "stopped", "-n", "3")
    assert done.code == 3
    assert "none of 1 checkpoints can be read" in done.err


def test_of_a_run_that_selects_the_best_weights_are_taken(
    text: Path, killed: Killed, riverrun: Riverrun, tmp_path: Path
) -> None:
    killed(8, *RUN, "--patience", "9", "--evaluate-every", "3", "-o", "run")
    best = 3
    assert (tmp_path / "run" / "checkpoints" / "last").read_text() == "6\n"
    (tmp_path / "run" / "checkpoints" / "best").write_text(f"{best}\n")
    done = riverrun("sample", "run", "-n", "3", "--no-novelty")
    assert f"the weights of step {best}" in done.err
