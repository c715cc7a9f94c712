"""Inputs: sources as a search takes them, and any number of them decoded in batches of about equal length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from riverrun.data.pair_batch import BEGIN, END
from riverrun.decoding.hypothesis import Hypothesis
from riverrun.errors import UsageError
from riverrun.sequences import Sequences

Ids = Sequence[int] | np.ndarray[Any, Any]

ROWS = 256  # sources in a batch, at most
TOKENS = 16_384  # and no more source tokens than this, padding counted


class Inputs(NamedTuple):
    """B sources in one batch.

    source: [S, B] ids. copies: [S, B], as in PairBatch, or None. prefix: [B, P] int64, the tokens with which each
    target has to begin, -1 after them; None where none has to. place: [B] int64, the number of each source among all,
    from which its random numbers come.
    """

    source: Sequences
    copies: Tensor | None
    prefix: Tensor | None
    place: Tensor

    @property
    def size(self) -> int:
        """B."""
        return int(self.source.data.shape[1])


Search = Callable[[Inputs], list[list[Hypothesis]]]


def inputs(
    sources: Sequence[Ids],
    *,
    copies: Sequence[Ids] | None = None,
    prefixes: Sequence[Ids] | None = None,
    places: Sequence[int] | None = None,
    device: torch.device | None = None,
) -> Inputs:
    """One batch of sources.

    sources: ids of each. copies: for each the ids of its tokens as targets, as in PairBatch.
    prefixes: the tokens with which each target begins, without BEGIN. places: 0, 1, ... where not given.

    >>> inputs([[3, 4], [5]]).source.data.tolist()
    [[3, 5], [4, 0]]
    """
    prefix = None
    if prefixes is not None:
        if any(token in (BEGIN, END) for one in prefixes for token in one):
            raise UsageError("prefix: expected tokens of the target, but the mark of a beginning or an end came.")
        if any(len(one) for one in prefixes):
            prefix = torch.from_numpy(_padded(prefixes, -1)).to(device)
    return Inputs(
        Sequences(
            torch.from_numpy(_padded(sources, 0)).T.contiguous().to(device),
            torch.tensor([len(one) for one in sources], dtype=torch.int64),
        ),
        None if copies is None else torch.from_numpy(_padded(copies, -1)).T.contiguous().to(device),
        prefix,
        torch.tensor(range(len(sources)) if places is None else places, dtype=torch.int64),
    )


def in_batches(
    search: Search,
    sources: Sequence[Ids],
    *,
    copies: Sequence[Ids] | None = None,
    prefixes: Sequence[Ids] | None = None,
    device: torch.device | None = None,
    rows: int = ROWS,
    tokens: int = TOKENS,
) -> list[list[Hypothesis]]:
    """What `search` finds for each source, in the order given. The batches hold sources of about equal length.

    rows, tokens: of a batch, at most (padding counted; one source at least). What is found does not depend on them.

    >>> in_batches(partial(beam, model, width=5), sources)  # doctest: +SKIP
    """
    found: list[list[Hypothesis]] = [[] for _ in sources]
    for batch in batches([len(one) for one in sources], rows, tokens):
        given = inputs(
            [sources[i] for i in batch],
            copies=None if copies is None else [copies[i] for i in batch],
            prefixes=None if prefixes is None else [prefixes[i] for i in batch],
            places=batch,
            device=device,
        )
        for i, hypotheses in zip(batch, search(given), strict=True):
            found[i] = hypotheses
    return found


def batches(lengths: Sequence[int], rows: int, tokens: int) -> Iterator[list[int]]:
    """The sources of each batch, longest first (so that what does not fit into memory shows at once)."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (len(batch) == rows or (len(batch) + 1) * lengths[batch[0]] > tokens):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _padded(rows: Sequence[Ids], value: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """[B, longest], `value` after each row's end."""
    padded = np.full((len(rows), max((len(row) for row in rows), default=0)), value, np.int64)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    return padded
