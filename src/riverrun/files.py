"""Files that are whole or absent: atomic writes, and folders sealed by a SHA-256 manifest.

A reader of any file here sees the old content or the new, never a part (temp file in the same folder, fsync, rename,
fsync of the folder). safetensors loads a flipped bit silently, so a folder carries `manifest.json` with the SHA-256 of
each of its files, checked on reading.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from riverrun.errors import ModelError

MANIFEST = "manifest.json"
TEMP = ".tmp-"  # every temporary file and folder starts with it, so that `sweep` finds the orphans of a killed process


def sha256(data: bytes) -> str:
    """The SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    # Linux and macOS only: elsewhere a folder cannot be opened, and the rename is as durable as the system makes it.
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_atomic(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, atomically and durably. Raises OSError (disk full) with the old content untouched."""
    temp = path.with_name(f"{TEMP}{path.name}-{os.getpid()}")
    try:
        _write_synced(temp, data)
        os.replace(temp, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temp.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename, error.filename2 = str(path), None  # the user knows that name, not the temporary one
        raise
    _sync_folder(path.parent)


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a sealed folder: all of `files` and their manifest, or nothing.

    An existing folder of that name is replaced. A folder cannot be renamed over another, so between two renames there
    is an instant with neither; `read_folder` then finds the old one under its `.tmp-old-` name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temp = path.with_name(f"{TEMP}{path.name}-{os.getpid()}")
    old = path.with_name(f"{TEMP}old-{path.name}")
    shutil.rmtree(temp, ignore_errors=True)
    try:
        temp.mkdir()
        for name, data in files.items():
            _write_synced(temp / name, data)
        manifest = {name: {"sha256": sha256(data), "bytes": len(data)} for name, data in files.items()}
        _write_synced(temp / MANIFEST, json.dumps(manifest, indent=1).encode())
        _sync_folder(temp)
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)
            os.replace(path, old)
        os.replace(temp, path)
    except BaseException:
        shutil.rmtree(temp, ignore_errors=True)
        if old.exists() and not path.exists():
            os.replace(old, path)
        raise
    _sync_folder(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def read_folder(path: Path, names: Iterable[str] | None = None) -> dict[str, bytes]:
    """The files of a sealed folder (all, or those named), each checked against the manifest.

    Raises ModelError naming the file where one is missing or its bytes are not those that were written.
    """
    old = path.with_name(f"{TEMP}old-{path.name}")
    if not path.exists() and old.exists():
        path = old
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
        known = {name: entry["sha256"] for name, entry in manifest.items()}
    except (FileNotFoundError, NotADirectoryError):
        raise ModelError(
            f"{path / MANIFEST}: not found, so {path} is no complete model or checkpoint folder."
        ) from None
    except OSError as error:
        raise ModelError(f"{path / MANIFEST}: cannot be read ({error.strerror}).") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(
            f"{path / MANIFEST}: not a readable manifest ({error}). Restore the folder from a copy."
        ) from None
    files = {}
    for name in known if names is None else names:
        if name not in known:
            raise ModelError(f"{path / name}: not listed in {MANIFEST}, so this folder was written without it.")
        try:
            data = (path / name).read_bytes()
        except OSError as error:
            remedy = "Make it readable" if isinstance(error, PermissionError) else "Restore the folder from a copy"
            raise ModelError(f"{path / name}: cannot be read ({error.strerror}). {remedy}.") from None
        if sha256(data) != known[name]:
            raise ModelError(
                f"{path / name}: corrupted: its SHA-256 is not the one in {MANIFEST}. Restore the folder from a copy."
            )
        files[name] = data
    return files


def remove_folder(path: Path) -> None:
    """Remove a folder so that no reader, and no process killed half-way, ever sees a part of it under its name."""
    gone = path.with_name(f"{TEMP}gone-{path.name}")
    shutil.rmtree(gone, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        os.replace(path, gone)
    shutil.rmtree(gone, ignore_errors=True)


def sweep(folder: Path) -> list[Path]:
    """Remove what killed processes left half written below `folder`; returns what was removed.

    An old folder whose successor never took its place is put back instead.
    """
    removed = []
    for path in sorted(folder.rglob(f"{TEMP}*")):
        if not path.exists():
            continue
        kept = path.with_name(path.name.removeprefix(f"{TEMP}old-"))
        if path.name.startswith(f"{TEMP}old-") and not kept.exists():
            os.replace(path, kept)
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        removed.append(path)
    return removed
