"""together: the data of a run made ready once a machine: one rank reads and tokenises, the others map what it made."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from riverrun.errors import DataError
from riverrun.tasks.task import Prepared, Task
from riverrun.training import distributed

FAILED, WAITED = b"failed", b""  # what a rank says instead of a coder


def prepare_together(task: Task, make: Callable[[Any, bool], Prepared]) -> Prepared:
    """What `make(coder, checked)` gives, on every rank.

    make: the task's `prepare`. Where coder is None it makes one of the training part; checked: arrays that lie in the
    cache are mapped without another look. The first rank of each machine makes the coder and, where the corpus is
    large, the arrays. The others wait for it, take its coder and map the arrays; a small corpus each reads into its own
    memory.
    Raises DataError where another rank could not do its part, which that rank explains.
    """
    ranks = distributed.ranks()
    if ranks.world == 1:
        return make(None, False)
    with distributed.patience() as gather:
        prepared = None
        said = FAILED if ranks.local == 0 else WAITED
        try:
            if ranks.local == 0:
                prepared = make(None, False)
                said = _packed(task.save_coder(prepared.coder))
        finally:
            told = _told(gather, said)
        said = FAILED
        try:
            if prepared is None:
                prepared = make(task.load_coder(_unpacked(told[ranks.leader])), True)
            said = WAITED
        finally:
            _told(gather, said)
    return prepared


def _packed(files: dict[str, bytes]) -> bytes:
    return json.dumps({name: data.decode("latin-1") for name, data in files.items()}).encode()


def _unpacked(data: bytes) -> dict[str, bytes]:
    return {name: text.encode("latin-1") for name, text in json.loads(data).items()}


def _told(gather: Callable[[bytes], list[bytes]], said: bytes) -> list[bytes]:
    """What every rank says, once all have spoken. Raises DataError where another one has failed, or ended."""
    try:
        told = gather(said)
    except RuntimeError:
        told = [FAILED]
    if FAILED in told and said != FAILED:  # its own failure a rank has told already
        raise DataError("another process could not make the data ready; its message says why.")
    return told
