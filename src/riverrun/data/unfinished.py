"""Unfinished folders: locked for as long as their writer lives, so that what a killed process left can be swept up.

The lock is the system's (flock), so it ends with the process however that ends, and no number of a process that was
given away anew is mistaken for a living one. Where a file system knows no locks, a folder is taken for left behind once
nothing in it has changed for a day.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from riverrun.files import TEMP

LOCK = "lock"
OLD = 24 * 3600.0  # seconds


@contextlib.contextmanager
def unfinished(folder: Path, name: str) -> Iterator[Path]:
    """A new folder in `folder` to write what will be called `name`; what is left of it afterwards is removed.

    Rename it (`finish`) within the context. Raises OSError where it cannot be written.
    """
    path = folder / f"{TEMP}{name}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    path.mkdir(parents=True)
    try:
        # Locked before it has the name that `sweep` looks for, so that a lock that can be had has no living owner.
        with (path / f"{LOCK}-new").open("w+b") as handle:
            _locked(handle)
            os.replace(path / f"{LOCK}-new", path / LOCK)
            yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def finish(path: Path, home: Path) -> None:
    """Give an unfinished folder its name; where another process was faster with the same, that one's stays."""
    (path / LOCK).unlink()
    try:
        os.replace(path, home)
    except OSError:
        if not home.exists():
            raise


def sweep(folder: Path, name: str) -> list[Path]:
    """Remove the unfinished folders in `folder` whose name begins with `name` and that nobody writes any more."""
    removed = []
    for path in sorted(folder.glob(f"{TEMP}{name}*")):
        with contextlib.ExitStack() as stack:  # holds the lock until the folder is gone: two may sweep at once
            if _abandoned(path, stack):
                shutil.rmtree(path, ignore_errors=True)
                removed.append(path)
    return removed


def _abandoned(path: Path, stack: contextlib.ExitStack) -> bool:
    try:
        handle = stack.enter_context((path / LOCK).open("r+b"))
    except OSError:  # its writer is about to make the lock, has just taken it away, or was killed between
        return _old(path)
    taken = _locked(handle)
    return _old(path) if taken is None else taken


def _locked(handle: IO[bytes]) -> bool | None:
    """Take the lock of an open file: True, or False where another has it; None where there are no locks."""
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _old(path: Path) -> bool:
    """Whether nothing in a folder has changed for a day; False for one that has gone meanwhile."""
    try:
        newest = max(entry.stat().st_mtime for entry in (path, *path.iterdir()))
    except OSError:
        return False
    return time.time() - newest > OLD
