"""together: the data of a run made ready once a machine: one rank reads and tokenises, the others map what it made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from riverrun.data.options import DataOptions
from riverrun.data.readers import Corpus
from riverrun.data.tokenizer import Tokenizer
from riverrun.errors import DataError
from riverrun.pipeline.prepare import Prepared, prepare
from riverrun.training import distributed

FAILED, WAITED = b"failed", b""  # what a rank says instead of a vocabulary


def prepare_together(
    corpus: Corpus,
    options: DataOptions,
    *,
    select: bool,
    tokenizer: Tokenizer | None = None,
    unit: str | None = None,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Prepared:
    """What `prepare` gives, on every rank; the arguments are its own.

    The first rank of each machine makes the vocabulary and, where the corpus is large, the array in `cache`. The others
    wait for it, take its vocabulary and map the array; a small corpus each tokenises into its own memory.
    Raises DataError where another rank could not do its part, which that rank explains.
    """
    ranks = distributed.ranks()

    def make(tokenizer: Tokenizer | None, checked: bool) -> Prepared:
        return prepare(
            corpus,
            options,
            select=select,
            tokenizer=tokenizer,
            unit=unit,
            cache=cache,
            checked=checked,
            progress=progress,
        )

    if ranks.world == 1:
        return make(tokenizer, False)
    with distributed.patience() as gather:
        prepared = None
        said = FAILED if ranks.local == 0 else WAITED
        try:
            if ranks.local == 0:
                prepared = make(tokenizer, False)
                said = prepared.tokenizer.to_json()
        finally:
            told = _told(gather, said)
        said = FAILED
        try:
            if prepared is None:
                prepared = make(Tokenizer.from_json(told[ranks.leader]), True)
            said = WAITED
        finally:
            _told(gather, said)
    return prepared


def _told(gather: Callable[[bytes], list[bytes]], said: bytes) -> list[bytes]:
    """What every rank says, once all have spoken. Raises DataError where another one has failed, or ended."""
    try:
        told = gather(said)
    except RuntimeError:
        told = [FAILED]
    if FAILED in told and said != FAILED:  # its own failure a rank has told already
        raise DataError("another process could not make the data ready; its message says why.")
    return told
