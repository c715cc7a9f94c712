"""Which checkpoints are kept, which is taken, and what happens where one is damaged or the disk is full."""

from __future__ import annotations

import errno

import pytest

from riverrun import files
from riverrun.errors import ModelError
from riverrun.files import TEMP
from riverrun.training import checkpoints


def fill(run, steps, best=()):
    for step in steps:
        checkpoints.save(run, step, {"x": str(step).encode()}, best=step in best)


def flip(run, step):
    path = checkpoints.place(run) / str(step) / "x"
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(bytes(data))


def test_the_two_newest_and_the_best_are_kept(tmp_path):
    fill(tmp_path, [0, 10, 20, 30, 100], best=[10])
    assert checkpoints.steps(tmp_path) == [10, 30, 100]
    assert (checkpoints.pointer(tmp_path, "last"), checkpoints.pointer(tmp_path, "best")) == (100, 10)
    fill(tmp_path, [110], best=[110])
    assert checkpoints.steps(tmp_path) == [100, 110]


def test_the_last_and_the_best_are_read(tmp_path):
    fill(tmp_path, [0, 10, 20, 30], best=[10])
    assert checkpoints.load(tmp_path, warn=print).files["x"] == b"30"
    best = checkpoints.load(tmp_path, "best", warn=print)
    assert (best.step, best.files["x"]) == (10, b"10")


def test_a_flipped_bit_is_passed_over_for_the_one_before_with_a_warning(tmp_path):
    fill(tmp_path, [0, 10, 20])
    flip(tmp_path, 20)
    warnings = []
    assert checkpoints.load(tmp_path, warn=warnings.append).step == 10
    assert len(warnings) == 1
    assert "20/x: corrupted" in warnings[0]


def test_where_all_are_damaged_it_says_so(tmp_path):
    fill(tmp_path, [0, 10])
    flip(tmp_path, 0)
    flip(tmp_path, 10)
    with pytest.raises(ModelError, match="none of 2 checkpoints can be read"):
        checkpoints.load(tmp_path, warn=lambda text: None)


def test_where_there_is_none_it_says_what_to_do(tmp_path):
    with pytest.raises(ModelError, match="riverrun train"):
        checkpoints.load(tmp_path, warn=print)
    fill(tmp_path, [0])
    with pytest.raises(ModelError, match="no evaluation"):
        checkpoints.load(tmp_path, "best", warn=print)


def test_a_lost_or_damaged_pointer_gives_the_newest(tmp_path):
    fill(tmp_path, [9, 10])
    for damaged in (b"", b"abc", b"77\n", b"\xff"):
        (checkpoints.place(tmp_path) / "last").write_bytes(damaged)
        assert checkpoints.load(tmp_path, warn=print).step == 10
    (checkpoints.place(tmp_path) / "last").unlink()
    assert checkpoints.load(tmp_path, warn=print).step == 10


def test_the_pointer_counts_where_a_kill_came_between_folder_and_pointer(tmp_path):
    fill(tmp_path, [9, 10])
    files.write_atomic(checkpoints.place(tmp_path) / "last", b"9\n")
    assert checkpoints.load(tmp_path, warn=print).step == 9
    fill(tmp_path, [10])  # written again, over the one that is there
    assert checkpoints.load(tmp_path, warn=print).step == 10


def test_orphans_of_a_killed_process_are_swept_away(tmp_path):
    fill(tmp_path, [10])
    (checkpoints.place(tmp_path) / f"{TEMP}20-4711").mkdir()
    assert checkpoints.load(tmp_path, warn=print).step == 10
    assert not list(checkpoints.place(tmp_path).glob(f"{TEMP}*"))


def test_a_full_disk_leaves_those_before_untouched(tmp_path, monkeypatch):
    fill(tmp_path, [0, 10])

    def no_space(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        fill(tmp_path, [20])
    assert checkpoints.steps(tmp_path) == [0, 10]
    assert checkpoints.load(tmp_path, warn=print).step == 10
