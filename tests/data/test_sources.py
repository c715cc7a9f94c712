"""Paths of every sort are opened as plain bytes, in an order that does not depend on the machine."""

import bz2
import gzip
import hashlib
import io
import lzma
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from riverrun.data import sources
from riverrun.data.sources import find, members
from riverrun.errors import DataError


def contents(*paths: Path | str) -> list[tuple[str, bytes]]:
    return [(Path(m.name).name, m.stream.read()) for source in find(paths) for m in members(source)]


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)])
def test_compressed_files_are_read_uncompressed(suffix: str, pack: object, tmp_path: Path) -> None:
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(pack(b"hello"))  # type: ignore[operator]
    [source] = find([path])
    [(member, data)] = [(m, m.stream.read()) for m in members(source)]
    assert (data, member.suffix) == (b"hello", ".txt")
    assert (source.size, source.sha256) == (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())


def test_a_folder_is_its_files_in_the_order_of_their_paths_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z.txt", "a/c.txt", ".hidden", ".git/config", "B.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert [data.decode() for _, data in contents(tmp_path)] == ["B.txt", "a/c.txt", "a/z.txt", "b.txt"]


@pytest.mark.parametrize("name", ["t.zip", "t.tar", "t.tar.gz", "t.tgz", "t.tar.xz"])
def test_archives_give_their_members_in_the_order_of_their_names(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    files = {"b.txt": b"two", "a.txt": b"one", "d/c.txt.gz": gzip.compress(b"three"), ".skip": b"", "__MACOSX/x": b"!"}
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as zipped:
            for inner, data in files.items():
                zipped.writestr(inner, data)
    else:
        with tarfile.open(path, "w:" + {"tgz": "gz", "tar": ""}.get(name.split(".")[-1], name.split(".")[-1])) as tar:
            for inner, data in files.items():
                info = tarfile.TarInfo(inner)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    assert [data for _, data in contents(path)] == [b"one", b"two", b"three"]


@pytest.mark.parametrize("in_memory", [1 << 26, 4])
def test_standard_input_can_be_read_twice_at_once(in_memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_IN_MEMORY", in_memory)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"from a pipe")))
    [source] = find(["-"])
    with source.open() as one, source.open() as two:
        assert one.read(4) == b"from"
        assert two.read() == b"from a pipe"
        assert one.read() == b" a pipe"
        assert one.tell() == 11
    assert source.sha256 == hashlib.sha256(b"from a pipe").hexdigest()


def test_a_missing_file_is_told_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "shakespeare.txt").write_text("x")
    with pytest.raises(DataError, match=r"shakespear.txt: no such file.*Did you mean 'shakespeare.txt'"):
        find([tmp_path / "shakespear.txt"])


def test_runs_are_no_data_of_the_folder_they_lie_in(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    for name in ("runs/a/run.toml", "runs/a/data.json", "runs/a/checkpoints/1/x", "runs/token-arrays/y", "runs/b.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert [Path(source.name).name for source in find([tmp_path])] == ["a.txt", "b.txt"]
    assert len(find([tmp_path / "runs/a"])) == 3, "where it is asked for itself"


def test_what_tells_about_data_may_be_left_out_of_a_folder(tmp_path: Path) -> None:
    for name in ("a.txt", "README.md", "LICENSE"):
        (tmp_path / name).write_text("a")
    assert len(find([tmp_path])) == 3
    assert [Path(source.name).name for source in find([tmp_path], beside=False)] == ["a.txt"]
    assert len(find([tmp_path / "README.md"], beside=False)) == 1


def test_a_folder_without_files_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no files in this folder"):
        find([tmp_path])


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("a.txt.gz", b"plain text", "not what its suffix says"),
        ("a.txt.gz", gzip.compress(b"hello" * 100)[:-12], "broken or cut off"),
        ("a.txt.xz", b"plain text", "broken or cut off"),
        ("a.zip", b"plain text", "broken or cut off"),
        ("a.tar", b"plain text" * 100, "broken or cut off"),
    ],
)
def test_a_broken_archive_is_told_by_name(name: str, data: bytes, told: str, tmp_path: Path) -> None:
    from riverrun.data import DataOptions, read

    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=f"{name}: {told}"):
        list(read([tmp_path / name], DataOptions()).pieces())
