"""Two processes train what one would: the same gradient, the same stop, and a resume in the same bits."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training import ranks, toy

from riverrun.errors import UsageError
from riverrun.training import checkpoints, distributed
from riverrun.training.loop import fit


def two(folder, *what):
    """Run both ranks as torchrun would; returns their exit codes and what they said."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "PYTHONPATH": str(Path(ranks.__file__).parents[1]),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, ranks.__file__, str(folder), *what],
            env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    errors = [process.communicate(timeout=200)[1] for process in processes]
    return [process.returncode for process in processes], errors


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Everything that needs no killing, in one start of both processes."""
    folder = tmp_path_factory.mktemp("ranks")
    codes, errors = two(folder, "exchange", "gradient", "signal", "whole")
    assert codes == [0, 0], errors
    return folder


def record(folder, what, rank):
    return json.loads((folder / f"{what}-{rank}.json").read_text())


def test_two_ranks_give_the_weights_of_one_process_on_ragged_batches(trained):
    first = ranks.streams().next()
    assert (first.targets[:, :2] >= 0).sum() != (first.targets[:, 2:] >= 0).sum()  # a mean of means would be wrong
    alone = fit(toy.Toy(dropout=0.0), ranks.streams(), toy.options(**ranks.SHORT))
    for rank in range(2):
        for name, tensor in load_file(trained / f"gradient-{rank}.st").items():
            if name != "seen":
                torch.testing.assert_close(tensor, alone.weights[name], rtol=1e-12, atol=1e-12)
        came = record(trained, "gradient", rank)
        assert (came["steps"], came["tokens"]) == (alone.steps, alone.tokens)
        assert came["best"] == 6.0  # rank 0's evaluation counts, on both


def test_only_rank_0_tells(trained):
    assert record(trained, "gradient", 0)["told"] > 0
    assert record(trained, "gradient", 1)["told"] == 0


def test_a_signal_to_one_rank_stops_both_after_the_same_step(trained):
    both = [record(trained, "signal", rank) for rank in range(2)]
    assert [(one["stopped"], one["number"]) for one in both] == [("signal", 15), ("signal", 15)]
    assert both[0]["steps"] == both[1]["steps"] == 3
    assert checkpoints.pointer(trained / "signal", "last") == 3


def test_two_ranks_killed_and_resumed_end_in_the_same_bits_and_the_dead_peer_is_noticed(trained):
    codes, errors = two(trained, "kill")
    assert codes[0] == -9, errors
    assert codes[1] != 0
    assert checkpoints.pointer(trained / "killed", "last") == 4
    codes, errors = two(trained, "resume")
    assert codes == [0, 0], errors
    whole, resumed = (checkpoints.load(trained / name, warn=print).files for name in ("whole", "killed"))
    assert {"rank-0.json", "rank-1.json"} < set(whole)
    assert whole["rank-0.safetensors"] != whole["rank-1.safetensors"]  # lanes and masks of their own
    for name in set(whole) - {"training.json"}:
        assert whole[name] == resumed[name], name


def test_as_many_processes_are_asked_for_as_there_were(trained):
    with pytest.raises(UsageError, match="made by 2 processes; resume with as many, not 1"):
        fit(toy.Toy(), ranks.streams(), toy.options(), resume=checkpoints.load(trained / "whole", warn=print))


def test_alone_there_is_nothing_to_join(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert distributed.connect() == (0, 1, 0)
    assert distributed.ranks() == (0, 1, 0)
    distributed.disconnect()


def test_a_hung_peer_is_noticed_within_a_minute():
    assert distributed.TIMEOUT.total_seconds() == 60
