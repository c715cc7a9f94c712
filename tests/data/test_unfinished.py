"""What a killed process was writing is swept up; what a living one writes is not touched, whatever its number."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from riverrun.data import unfinished as module
from riverrun.data.unfinished import LOCK, OLD, finish, sweep, unfinished

PROGRAM = """
import sys, time
from pathlib import Path
from riverrun.data.unfinished import unfinished

with unfinished(Path(sys.argv[1]), "tokens-1") as path:
    (path / "half").write_text("x")
    print("writing", flush=True)
    time.sleep(100)
"""


def age(path: Path, seconds: float) -> None:
    for entry in (*path.iterdir(), path):
        then = entry.stat().st_mtime - seconds
        os.utime(entry, (then, then))


def test_a_folder_is_swept_once_its_writer_was_killed_and_not_before(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)], stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout is not None
            writer.stdout.readline()
            [left] = tmp_path.iterdir()
            age(left, 2 * OLD)  # a process that has been stopped for days lives all the same
            assert sweep(tmp_path, "tokens-") == []
            assert (left / "half").read_text() == "x"
        finally:
            writer.send_signal(signal.SIGKILL)
    assert left.is_dir()
    assert sweep(tmp_path, "other-") == []
    assert sweep(tmp_path, "tokens-") == [left]
    assert list(tmp_path.iterdir()) == []


def test_what_is_finished_has_its_name_and_no_lock(tmp_path: Path) -> None:
    home = tmp_path / "tokens-1"
    with unfinished(tmp_path, home.name) as path:
        (path / "ids").write_text("x")
        assert sweep(tmp_path, "tokens-") == []
        finish(path, home)
    assert [entry.name for entry in home.iterdir()] == ["ids"]
    assert sweep(tmp_path, "tokens-") == []
    with unfinished(tmp_path, home.name) as path:  # another was faster
        (path / "ids").write_text("y")
        finish(path, home)
    assert [entry.name for entry in tmp_path.iterdir()] == ["tokens-1"]
    assert (home / "ids").read_text() == "x"


def test_what_cannot_be_put_in_its_place_is_told_and_removed(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"), unfinished(tmp_path, "tokens-1") as path:
        finish(path, tmp_path / "absent" / "tokens-1")
    assert list(tmp_path.iterdir()) == []


def test_without_a_lock_a_folder_is_left_behind_after_a_day(tmp_path: Path) -> None:
    young, old = tmp_path / ".tmp-tokens-1-7", tmp_path / ".tmp-tokens-2-7"
    for path in (young, old):
        path.mkdir()
        (path / "train.part").write_text("x")
    age(old, OLD + 60)
    assert sweep(tmp_path, "tokens-") == [old]
    assert young.is_dir()


def test_where_the_file_system_knows_no_locks_age_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_locked", lambda _: None)
    with unfinished(tmp_path, "tokens-1") as path:
        assert (path / LOCK).exists()
        assert sweep(tmp_path, "tokens-") == []
        age(path, OLD + 60)
        assert sweep(tmp_path, "tokens-") == [path]


def test_a_folder_that_goes_meanwhile_is_no_error(tmp_path: Path) -> None:
    assert sweep(tmp_path / "absent", "tokens-") == []
    assert not module._old(tmp_path / "absent")
