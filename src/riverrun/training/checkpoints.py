"""Where checkpoints lie and which are kept: RUN/checkpoints/STEP/, and the pointer files `last` and `best`.

A step's folder is written whole or not at all (files.py). The two newest are kept, and the best. A corrupted one is
passed over for the one before it, with a warning.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from riverrun.errors import ModelError
from riverrun.files import read_folder, remove_folder, sweep, write_atomic, write_folder

KEPT = 2  # the newest ones
POINTERS = ("last", "best")


class Checkpoint(NamedTuple):
    """The files of one checkpoint, checked against their manifest."""

    path: Path
    step: int
    files: Mapping[str, bytes]


def place(run: Path) -> Path:
    """The folder of checkpoints of a run."""
    return run / "checkpoints"


def steps(run: Path) -> list[int]:
    """The steps of which there is a checkpoint, oldest first."""
    folder = place(run)
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal() and path.is_dir())


def pointer(run: Path, name: str) -> int | None:
    """The step that `last` or `best` points to, None where there is no such pointer or it is unreadable."""
    with contextlib.suppress(OSError, ValueError):
        return int((place(run) / name).read_text(encoding="ascii"))
    return None


def save(run: Path, step: int, files: Mapping[str, bytes], *, best: bool = False) -> Path:
    """Write the checkpoint of a step, point `last` (and `best`) to it, and remove those no longer kept.

    Raises OSError where the disk is full; the checkpoints that were there before are then still there, whole.
    """
    folder = place(run)
    path = folder / str(step)
    write_folder(path, files)
    for name in POINTERS if best else POINTERS[:1]:
        write_atomic(folder / name, f"{step}\n".encode())
    older = [other for other in steps(run) if other < step]
    kept = {*older[-(KEPT - 1) :], pointer(run, "best")}
    for other in older:
        if other not in kept:
            remove_folder(folder / str(other))
    return path


def load(run: Path, which: str = "last", *, warn: Callable[[str], None], clean: bool = True) -> Checkpoint:
    """The checkpoint that a pointer names; where it is damaged, the next older one, after a warning.

    clean: remove what a killed process left half written; not where another process may be training in this run.
    Raises ModelError where there is none that can be read.
    """
    if clean and place(run).is_dir():
        sweep(place(run))
    there = steps(run)
    pointed = pointer(run, which)
    if which == "best" and pointed is None:
        raise ModelError(
            f"{place(run) / which}: not found: no evaluation was made in this run. Use the last checkpoint."
        )
    candidates = sorted(there, reverse=True)
    if pointed in there:
        candidates.sort(key=lambda step: (step > pointed, -step))  # the one pointed to, older ones, then newer ones
    problems = []
    for step in candidates:
        path = place(run) / str(step)
        try:
            return Checkpoint(path, step, read_folder(path))
        except ModelError as error:
            problems.append(str(error))
            warn(f"{error} Trying another checkpoint.")
    if not problems:
        raise ModelError(f"{place(run)}: no checkpoint there. Start anew with `riverrun train`.")
    raise ModelError(f"{place(run)}: none of {len(problems)} checkpoints can be read. The first: {problems[0]}")
