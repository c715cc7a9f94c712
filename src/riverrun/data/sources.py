"""Sources: what a user's paths stand for: files, folders, archives, standard input; opened as bytes, uncompressed.

    notes.txt   notes.txt.gz (.bz2, .xz)   notes/ (every file below it, in the order of their paths)
    notes.zip   notes.tar   notes.tar.gz (every member, in the order of their names)   - (standard input)

Hidden files (and the `__MACOSX` folder of zip files) are passed over, and so are the folders of runs.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import shutil
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple, cast

from riverrun.errors import DataError, nearest

STANDARD_INPUT = "-"
ARCHIVES = (".zip", ".tar")  # suffixes, that of compression taken away
# What lies beside data and is none, by the beginning of its name.
BESIDE = ("readme", "license", "licence", "copying", "notice", "changelog", "citation")
_COMPRESSED: dict[str, Callable[[IO[bytes]], IO[bytes]]] = {
    ".gz": lambda raw: cast(IO[bytes], gzip.GzipFile(fileobj=raw)),
    ".bz2": lambda raw: bz2.BZ2File(raw),
    ".xz": lambda raw: lzma.LZMAFile(raw),  # noqa: SIM115  (closed with the file below it)
}
_BROKEN = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, NotImplementedError)
_IN_MEMORY = 1 << 26  # bytes of standard input, or of an unpacked archive; more go to a temporary file


class Source(NamedTuple):
    """One file as the user knows it. open: a new handle at its first byte; each handle has a position of its own."""

    name: str
    size: int
    sha256: str
    open: Callable[[], IO[bytes]]


class Member(NamedTuple):
    """One document to read: a file, or a member of an archive (its name then is `archive:member`)."""

    name: str
    suffix: str  # lower case, without that of compression
    stream: IO[bytes]  # uncompressed
    position: Callable[[], int]  # bytes of the source that have been read


def looks_like_file(text: str) -> bool:
    """Whether a text is more likely the name of a file than what it should hold."""
    return len(text) < 256 and not any(c.isspace() for c in text) and bool(Path(text).suffix)


def files_below(folder: Path, *, beside: bool = True) -> list[Path]:
    """The files below a folder, in the order of their paths. beside: also README, LICENSE and their like."""
    below = sorted((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.relative_to(folder).parts)
    of_runs = {toml.parent for toml in folder.rglob("run.toml") if (toml.parent / "data.json").is_file()} - {folder}
    of_runs.update(folder.rglob("token-arrays"))
    kept = [p for p in below if not _hidden(p.relative_to(folder).parts) and of_runs.isdisjoint(p.parents)]
    return kept if beside else [p for p in kept if not is_beside(p.name)]


def is_beside(name: str) -> bool:
    """Whether a file's name says that it tells about the data beside it.

    >>> is_beside("LICENSE.txt"), is_beside("train.conllu")
    (True, False)
    """
    return name.lower().startswith(BESIDE)


def find(paths: Iterable[str | Path], *, beside: bool = True) -> list[Source]:
    """The files behind `paths`, folders in their order. beside: of folders also README, LICENSE and their like.

    Raises DataError naming one that is missing or unreadable.
    """
    sources = []
    for given in paths:
        if str(given) == STANDARD_INPUT:
            sources.append(_standard_input())
            continue
        path = Path(given)
        with reading(str(path)):
            if path.is_dir():
                files = files_below(path, beside=beside)
                if not files:
                    raise DataError(f"{path}: no files in this folder; expected text files, one document each.")
                sources.extend(_file(p) for p in files)
            else:
                sources.append(_file(path))
    return sources


def members(source: Source) -> Iterator[Member]:
    """The documents of a source, one after the other; each stream is closed when the next is asked for."""
    stem, suffix = without_compression(source.name)
    with ExitStack() as stack, reading(source.name):
        raw = stack.enter_context(source.open())
        if suffix.endswith(".zip") and stem == source.name:
            archive = stack.enter_context(zipfile.ZipFile(raw))
            files = (info for info in archive.infolist() if not info.is_dir())
            for info in sorted(files, key=lambda info: info.filename):
                if info.flag_bits & 1:
                    raise DataError(f"{source.name}:{info.filename}: encrypted. Unpack the archive yourself.")
                if not _hidden(PurePosixPath(info.filename).parts):
                    with archive.open(info) as stream:
                        yield _member(f"{source.name}:{info.filename}", stream, raw.tell)
        elif suffix.endswith(".tar"):
            spool = cast(IO[bytes], stack.enter_context(tempfile.SpooledTemporaryFile(_IN_MEMORY)))
            plain = raw if stem == source.name else _unpack(source.name, raw, spool)
            tar = stack.enter_context(tarfile.open(fileobj=plain, mode="r:"))
            for entry in sorted((entry for entry in tar if entry.isfile()), key=lambda entry: entry.name):
                if not _hidden(PurePosixPath(entry.name).parts):
                    with cast(IO[bytes], tar.extractfile(entry)) as stream:
                        yield _member(f"{source.name}:{entry.name}", stream, raw.tell)
        else:
            yield _member(source.name, raw, raw.tell)


def documents(source: Source) -> Iterator[Member]:
    """The members of a source without those of an archive that tell about the others: `_about.txt`, README, LICENSE."""
    for member in members(source):
        inside = member.name.removeprefix(source.name + ":")
        name = PurePosixPath(inside).name
        if inside == member.name or not (name.startswith("_") or is_beside(name)):
            yield member


def head(path: Path, size: int) -> bytes:
    """The first bytes of a file, uncompressed; none where it cannot be read."""
    try:
        with path.open("rb") as raw:
            return _member(str(path), raw, raw.tell).stream.read(size)
    except (OSError, *_BROKEN):
        return b""


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Tell what went wrong with file `name` in a sentence."""
    try:
        yield
    except FileNotFoundError:
        path = Path(name)
        beside = os.listdir(path.parent) if path.parent.is_dir() else []
        raise DataError(
            f"{name}: no such file or folder.{nearest(path.name, beside)} "
            "Give the path of a file or a folder, or `-` for standard input."
        ) from None
    except gzip.BadGzipFile as error:
        raise DataError(f"{name}: not what its suffix says ({error}). Unpack it, or take it off the list.") from None
    except _BROKEN as error:
        raise DataError(f"{name}: broken or cut off ({error or type(error).__name__}). Fetch the file again.") from None
    except OSError as error:
        raise DataError(f"{name}: cannot be read ({error.strerror or error}).") from None


def _file(path: Path) -> Source:
    with reading(str(path)), path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Source(str(path), file.tell(), digest, lambda: path.open("rb"))


def _standard_input() -> Source:
    if sys.stdin is None:
        raise DataError("standard input: closed; expected text to be piped in.")
    data = sys.stdin.buffer.read(_IN_MEMORY + 1)
    if len(data) <= _IN_MEMORY:
        return Source("standard input", len(data), hashlib.sha256(data).hexdigest(), lambda: io.BytesIO(data))
    unnamed, digest, size = _Unnamed(), hashlib.sha256(), 0
    with reading("standard input"), open(unnamed.handle, "wb", closefd=False) as file:
        while data:
            digest.update(data)
            size += file.write(data)
            data = sys.stdin.buffer.read(1 << 20)
    return Source("standard input", size, digest.hexdigest(), lambda: io.BufferedReader(_Shared(unnamed)))


class _Unnamed:
    """A temporary file without a name, which vanishes with its last reader."""

    def __init__(self) -> None:
        self.handle, name = tempfile.mkstemp()
        os.unlink(name)

    def __del__(self) -> None:
        os.close(self.handle)


class _Shared(io.RawIOBase):
    """Such a file, read from a position of one's own."""

    def __init__(self, file: _Unnamed) -> None:
        self._file, self._position = file, 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer))
        data = os.pread(self._file.handle, len(view), self._position)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)


def _member(name: str, raw: IO[bytes], position: Callable[[], int]) -> Member:
    stem, suffix = without_compression(name)
    stream = raw if stem == name else _COMPRESSED[Path(name).suffix.lower()](raw)
    return Member(name, suffix, stream, position)


def without_compression(name: str) -> tuple[str, str]:
    """`a.txt.gz` -> (`a.txt`, `.txt`); `a.tgz` -> (`a.tar`, `.tar`); a plain name comes back as it is."""
    path = Path(name)
    if path.suffix.lower() == ".tgz":
        path = path.with_suffix(".tar")
    elif path.suffix.lower() in _COMPRESSED:
        path = path.with_suffix("")
    else:
        return name, path.suffix.lower()
    return str(path), path.suffix.lower()


def _unpack(name: str, raw: IO[bytes], spool: IO[bytes]) -> IO[bytes]:
    """A compressed archive unpacked into `spool`, in which members can be read in any order."""
    suffix = ".gz" if name.lower().endswith(".tgz") else Path(name).suffix.lower()
    with _COMPRESSED[suffix](raw) as stream:
        shutil.copyfileobj(stream, spool, 1 << 20)
    spool.seek(0)
    return spool


def _hidden(parts: Sequence[str]) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)
