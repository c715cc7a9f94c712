"""`riverrun train` and `resume` by torchrun, as a user starts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from cli.material import SMALL

from riverrun.cli import watch
from riverrun.cli.voice import Voice
from riverrun.training import distributed
from riverrun.training.distributed import Ranks


def two(folder: Path, *arguments: str) -> str:
    """What two ranks say that are started by torchrun."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, "-m", "riverrun", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=250,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.mark.slow
def test_two_ranks_train_resume_and_leave_one_run_told_once(tmp_path: Path, text: Path) -> None:
    said = two(tmp_path, "train", "text.txt", "--steps", "4", *SMALL, "-o", "run")
    for line in (
        "task       lm",
        "run        run",
        "baselines, trained",
        "fixed-window network",
        "report     run/report",
    ):
        assert said.count(line) == 1, line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "text.txt"]
    starts = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [event["ranks"] for event in starts if event["event"] == "start"] == [2]
    toml = tmp_path / "run" / "run.toml"
    toml.write_text(toml.read_text().replace("steps = 4", "steps = 6"))
    assert "from step 4" in two(tmp_path, "resume", "run", "--no-baselines")
    assert (tmp_path / "run" / "checkpoints" / "last").read_text() == "6\n"


@pytest.mark.parametrize(("rank", "code"), [(0, 0), (1, 0)])
def test_ranks_part_before_what_rank_0_does_alone(monkeypatch: pytest.MonkeyPatch, rank: int, code: int) -> None:
    # The fixed-window baseline trains, too: joined to the other ranks, it would wait for them in vain.
    order: list[str] = []
    monkeypatch.setattr(distributed, "ranks", lambda: Ranks(rank, 2, rank))
    monkeypatch.setattr(distributed, "disconnect", lambda: order.append("part"))
    monkeypatch.setattr(watch, "finish", lambda *_, **__: order.append("finish") or {})
    result = SimpleNamespace(stopped="budget", steps=1, tokens=1, seconds=1.0, nats=1.0)
    trained = SimpleNamespace(
        result=result, run=SimpleNamespace(path=Path("run")), configuration=SimpleNamespace(task="lm")
    )
    assert watch.Watcher(Voice(json=False)).finish(trained, baselines=True) == code  # type: ignore[arg-type]
    assert order == (["part", "finish"] if rank == 0 else ["part"])
