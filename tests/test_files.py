"""Files are whole or absent: after a failure, a kill or a flipped bit, nothing damaged is ever taken for good."""

from __future__ import annotations

import errno
import os
import random
import signal
import stat
import subprocess
import sys
import time

import pytest

from riverrun import files
from riverrun.errors import ModelError
from riverrun.files import MANIFEST, TEMP, read_folder, remove_folder, sweep, write_atomic, write_folder

CONTENT = {"a.bin": bytes(range(256)), "b.json": b'{"x": 1}', "empty": b""}
OTHER = {"a.bin": b"other", "c": b"new"}


def temporary(folder):
    return [path.name for path in folder.rglob(f"{TEMP}*")]


def no_space(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_an_atomic_write_replaces_the_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "last"
    write_atomic(path, b"1")
    write_atomic(path, b"22")
    assert path.read_bytes() == b"22"
    assert [p.name for p in tmp_path.iterdir()] == ["last"]


def test_a_full_disk_leaves_the_old_file_and_no_temporary_one(tmp_path, monkeypatch):
    path = tmp_path / "last"
    write_atomic(path, b"old")
    monkeypatch.setattr(files.os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert temporary(tmp_path) == []


def test_an_atomic_write_renames_only_what_is_synced_and_then_syncs_the_folder(tmp_path, monkeypatch):
    calls = []
    real_sync, real_replace = os.fsync, os.replace

    def sync(handle):
        calls.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        real_sync(handle)

    def replace(*paths):
        calls.append("rename")
        real_replace(*paths)

    monkeypatch.setattr(files.os, "fsync", sync)
    monkeypatch.setattr(files.os, "replace", replace)
    write_atomic(tmp_path / "x", b"1")
    assert calls == ["file", "rename", "folder"]
    calls.clear()
    write_folder(tmp_path / "7", {"x": b"1"})
    assert calls == ["file", "file", "folder", "rename", "folder"]  # content, manifest, inside; then into its place


def test_a_sealed_folder_reads_back_whole_or_in_part(tmp_path):
    write_folder(tmp_path / "deep" / "7", CONTENT)
    assert read_folder(tmp_path / "deep" / "7") == CONTENT
    assert read_folder(tmp_path / "deep" / "7", ["b.json"]) == {"b.json": CONTENT["b.json"]}


def test_writing_a_folder_again_replaces_all_of_it(tmp_path):
    write_folder(tmp_path / "7", CONTENT)
    write_folder(tmp_path / "7", OTHER)
    assert read_folder(tmp_path / "7") == OTHER
    assert sorted(p.name for p in (tmp_path / "7").iterdir()) == ["a.bin", "c", MANIFEST]
    assert temporary(tmp_path) == []


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_a_full_disk_leaves_the_old_folder_and_no_temporary_one(tmp_path, monkeypatch, failing):
    write_folder(tmp_path / "7", CONTENT)
    real, calls = os.fsync, []

    def sync(handle):
        calls.append(handle)
        if len(calls) == failing:
            no_space()
        real(handle)

    monkeypatch.setattr(files.os, "fsync", sync)
    with pytest.raises(OSError, match="No space"):
        write_folder(tmp_path / "7", OTHER)
    assert read_folder(tmp_path / "7") == CONTENT
    assert temporary(tmp_path) == []


def test_a_failure_between_the_two_renames_puts_the_old_folder_back(tmp_path, monkeypatch):
    write_folder(tmp_path / "7", CONTENT)
    real, calls = os.replace, []

    def replace(*paths):
        calls.append(paths)
        if len(calls) == 2:
            no_space()
        real(*paths)

    monkeypatch.setattr(files.os, "replace", replace)
    with pytest.raises(OSError, match="No space"):
        write_folder(tmp_path / "7", OTHER)
    assert read_folder(tmp_path / "7") == CONTENT


def test_a_kill_between_the_two_renames_leaves_the_old_folder_readable_and_sweep_puts_it_back(tmp_path):
    write_folder(tmp_path / "7", CONTENT)
    os.replace(tmp_path / "7", tmp_path / f"{TEMP}old-7")
    assert read_folder(tmp_path / "7") == CONTENT
    sweep(tmp_path)
    assert (tmp_path / "7").is_dir()
    assert read_folder(tmp_path / "7") == CONTENT


@pytest.mark.parametrize("name", sorted(CONTENT))
def test_one_flipped_bit_or_a_missing_byte_is_an_error_that_names_the_file(tmp_path, name):
    write_folder(tmp_path / "7", CONTENT)
    path = tmp_path / "7" / name
    data = path.read_bytes()
    for damaged in {bytes([data[0] ^ 1]) + data[1:] if data else b"x", data[:-1] if data else b"\0"}:
        path.write_bytes(damaged)
        with pytest.raises(ModelError, match=f"{name}: corrupted"):
            read_folder(tmp_path / "7")
    path.unlink()
    with pytest.raises(ModelError, match=f"{name}: cannot be read"):
        read_folder(tmp_path / "7")


def test_a_damaged_manifest_is_an_error_that_says_so(tmp_path):
    write_folder(tmp_path / "7", CONTENT)
    for damaged in (b"", b"[1, 2]", b"null", b"3", b'{"a.bin": 3}', b'{"a.bin": {}}', b"\xff\xfe"):
        (tmp_path / "7" / MANIFEST).write_bytes(damaged)
        with pytest.raises(ModelError, match="not a readable manifest"):
            read_folder(tmp_path / "7")
    (tmp_path / "7" / MANIFEST).unlink()
    with pytest.raises(ModelError, match="no complete model or checkpoint"):
        read_folder(tmp_path / "7")


def test_what_is_no_folder_or_not_listed_is_an_error_too(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelError, match="no complete model"):
        read_folder(tmp_path / "file")
    with pytest.raises(ModelError, match="no complete model"):
        read_folder(tmp_path / "absent")
    write_folder(tmp_path / "7", CONTENT)
    (tmp_path / "7" / "stray").write_text("not sealed")
    assert read_folder(tmp_path / "7") == CONTENT
    with pytest.raises(ModelError, match="stray: not listed"):
        read_folder(tmp_path / "7", ["stray"])


def test_sweep_removes_orphans_and_only_them(tmp_path):
    write_folder(tmp_path / "7", CONTENT)
    (tmp_path / f"{TEMP}last-123").write_bytes(b"part")
    (tmp_path / f"{TEMP}8-123").mkdir()
    (tmp_path / f"{TEMP}8-123" / f"{TEMP}inner").write_bytes(b"part")
    (tmp_path / f"{TEMP}gone-6").mkdir()
    (tmp_path / f"{TEMP}old-7").mkdir()  # its successor took its place
    removed = sweep(tmp_path)
    assert {path.name for path in removed} == {f"{TEMP}last-123", f"{TEMP}8-123", f"{TEMP}gone-6", f"{TEMP}old-7"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["7"]
    assert read_folder(tmp_path / "7") == CONTENT


def test_a_folder_is_removed_under_another_name(tmp_path, monkeypatch):
    write_folder(tmp_path / "7", CONTENT)
    names = []
    real = files.shutil.rmtree
    monkeypatch.setattr(files.shutil, "rmtree", lambda path, **rest: (names.append(path.name), real(path, **rest)))
    remove_folder(tmp_path / "7")
    assert "7" not in names
    assert list(tmp_path.iterdir()) == []
    remove_folder(tmp_path / "7")  # what is not there is removed already


WRITER = """
import sys
from pathlib import Path
from riverrun.files import write_atomic, write_folder
root = Path(sys.argv[1])
number = 0
while True:
    number += 1
    data = str(number).encode() * 50_000
    write_folder(root / "7", {"number": str(number).encode(), "a": data, "b": data})
    write_atomic(root / "last", str(number).encode())
    if number == 1:
        print("ready", flush=True)
"""


def test_kill_minus_nine_at_any_moment_leaves_a_whole_folder_and_a_whole_file(tmp_path):
    draw = random.Random(0)
    for _ in range(8):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(draw.uniform(0.0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        sweep(tmp_path)
        content = read_folder(tmp_path / "7")
        number = int(content["number"])
        assert content["a"] == content["b"] == str(number).encode() * 50_000
        assert int((tmp_path / "last").read_bytes()) in (number, number - 1)
        assert temporary(tmp_path) == []
