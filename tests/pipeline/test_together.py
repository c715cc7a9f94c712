"""Of two ranks the first reads and tokenises, the other waits for it and maps what it made."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pipeline import ranks

TEXT = "".join(f"the {n % 7} cats sat on the {n % 5} mats, and {n % 3} dogs looked on.\n" for n in range(120))


def two(folder: Path, *what: str, machines: int = 1) -> list[int]:
    """Run both ranks as torchrun would, on one machine or each on its own; returns their exit codes."""
    (folder / "text.txt").write_text(TEXT)
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
            env=environment | {"RANK": str(rank), "LOCAL_RANK": str(rank if machines == 1 else 0)},
        )
        for rank in range(2)
    ]
    return [process.wait(timeout=200) for process in processes]


def said(folder: Path, what: str, rank: int) -> dict[str, Any]:
    return dict(json.loads((folder / f"{what}-{rank}.json").read_text()))


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that needs no killing, in one start of both processes."""
    folder = tmp_path_factory.mktemp("ranks")
    assert two(folder, "large", "small", "refused", "follower") == [0, 0]
    return folder


@pytest.mark.parametrize("what", ["large", "small"])
def test_both_ranks_have_the_same_parts_and_only_the_first_made_the_vocabulary(ready: Path, what: str) -> None:
    first, other = (said(ready, what, rank) for rank in range(2))
    for key in ("mapped", "record", "vocabulary", "ids"):
        assert first[key] == other[key], key
    assert "vocabulary" in first["done"]
    assert "vocabulary" not in other["done"]


def test_a_large_corpus_is_tokenised_by_the_first_rank_alone_however_long_it_takes(ready: Path) -> None:
    first, other = (said(ready, "large", rank) for rank in range(2))
    assert first["done"].count("tokens") == 1
    assert other["done"] == [], "neither tokenised, nor compared with its SHA-256 again"
    [home] = (ready / "arrays-large").iterdir()
    assert other["mapped"] == str((home / "ids.bin").resolve())


def test_a_small_corpus_lies_in_the_memory_of_each(ready: Path) -> None:
    assert [said(ready, "small", rank)["mapped"] for rank in range(2)] == ["", ""]
    assert said(ready, "small", 1)["done"] == ["tokens"]
    assert not (ready / "arrays-small").exists()


def test_where_the_first_rank_fails_it_says_why_and_the_other_stops(ready: Path) -> None:
    assert said(ready, "refused", 0)["message"].endswith("no room for it")
    other = said(ready, "refused", 1)
    assert (other["error"], other["done"]) == ("DataError", [])
    assert "another process could not make the data ready" in other["message"]


def test_where_another_rank_fails_the_first_stops(ready: Path) -> None:
    assert said(ready, "follower", 1)["error"] == "MemoryError"
    assert said(ready, "follower", 0)["error"] == "DataError"


def test_a_rank_that_is_killed_is_noticed_at_once(tmp_path: Path) -> None:
    codes = two(tmp_path, "killed")
    assert codes[0] == -signal.SIGKILL
    assert "another process could not make the data ready" in said(tmp_path, "killed", 1)["message"]


def test_on_machines_of_their_own_both_ranks_read(tmp_path: Path) -> None:
    assert two(tmp_path, "large", machines=2) == [0, 0]
    first, other = (said(tmp_path, "large", rank) for rank in range(2))
    assert first["ids"] == other["ids"]
    assert "vocabulary" in first["done"]
    assert "vocabulary" in other["done"]
