"""Buckets: separate examples, dealt in shuffled batches of about equal length, from a cursor that can be saved.

An epoch is a new permutation of all examples. It is cut into pools of POOL batches; each pool is sorted by length, so
that little is padding, and cut into batches, and the batches of all pools are shuffled. All of it depends on seed and
epoch alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from riverrun.errors import DataError, UsageError

POOL = 50  # batches that are sorted together: more pads less, and mixes lengths less

Integers = NDArray[np.int64]


class Dealt(NamedTuple):
    """The examples of one batch, [B], by their number, and its place in the epoch, which names it in an error."""

    indices: Integers
    position: int


class Buckets:
    """Endless batches of examples of the given lengths.

    lengths: [N], how long each example is, in whatever counts as a token. rows: most examples in a batch, over all
    processes. tokens: most tokens in a batch, padding counted (0: no limit; an example that is longer goes alone).
    rank, world: this process and how many there are; each takes every world-th example of the same batches.

    Raises UsageError where rows or rank make no sense, DataError where there are fewer examples than processes.

    >>> buckets = Buckets(np.array([3, 1, 2, 3]), rows=2)
    >>> sorted(np.concatenate([buckets.next().indices, buckets.next().indices]).tolist()), buckets.epoch
    ([0, 1, 2, 3], 1.0)
    """

    def __init__(
        self, lengths: Integers, *, rows: int, tokens: int = 0, seed: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        if rows < 1 or tokens < 0:
            raise UsageError(f"rows of at least 1 and tokens of at least 0 expected, got {rows} and {tokens}.")
        if not 0 <= rank < world <= rows:
            raise UsageError(f"rank: expected 0 to {world - 1} for {world} processes, at most one a row; got {rank}.")
        if len(lengths) < world:
            raise DataError(f"the training part has {len(lengths):,} examples, too few for {world} processes.")
        self._lengths, self._rows, self._tokens = lengths, rows, tokens
        self._seed, self._rank, self._world = seed, rank, world
        self._epochs, self._cursor = 0, 0
        self._batches = self._deal()

    @property
    def epoch(self) -> float:
        """How often the examples have been gone through, with its fraction."""
        return self._epochs + self._cursor / len(self._batches)

    def next(self) -> Dealt:
        """The next batch of this process."""
        position = self._cursor
        batch = self._batches[position]
        self._cursor += 1
        if self._cursor == len(self._batches):
            self._epochs, self._cursor = self._epochs + 1, 0
            self._batches = self._deal()
        return Dealt(batch[self._rank :: self._world], position)

    def state_dict(self) -> dict[str, Any]:
        """The cursor, for JSON: with it, `load_state_dict` goes on with the very next batch."""
        return {
            "cursor": self._cursor,
            "epochs": self._epochs,
            "examples": len(self._lengths),
            "batches": len(self._batches),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken, over the same examples."""
        before = (self._epochs, self._cursor)
        self._epochs, self._cursor = int(state["epochs"]), int(state["cursor"])
        self._batches = self._deal()
        for name, found in (("examples", len(self._lengths)), ("batches", len(self._batches))):
            if state[name] != found:
                self._epochs, self._cursor = before
                self._batches = self._deal()
                raise DataError(
                    f"the checkpoint was made with {state[name]} {name}, now there are {found}: resume with the data "
                    "and the size of batches that the run began with."
                )

    def _deal(self) -> list[Integers]:
        """The batches of the epoch at hand."""
        random = np.random.Generator(np.random.Philox(key=self._seed, counter=[0, 0, 0, self._epochs]))
        order = random.permutation(len(self._lengths))
        batches: list[Integers] = []
        for begin in range(0, len(order), self._rows * POOL):
            pool = order[begin : begin + self._rows * POOL]
            batches += self._cut(pool[np.argsort(self._lengths[pool], kind="stable")])
        batches = _merged(batches, self._world)
        return [batches[place] for place in random.permutation(len(batches))]

    def _cut(self, pool: Integers) -> list[Integers]:
        """Examples in the order of their lengths, cut where a batch is full."""
        found, begin = [], 0
        for place in range(1, len(pool) + 1):
            full = place - begin == self._rows
            if place < len(pool) and self._tokens:
                full |= (place + 1 - begin) * int(self._lengths[pool[place]]) > self._tokens
            if full or place == len(pool):
                found.append(pool[begin:place])
                begin = place
        return found


def _merged(batches: list[Integers], world: int) -> list[Integers]:
    """No batch with fewer examples than processes: such a one joins the one before it."""
    found: list[Integers] = []
    for batch in batches:
        if found and min(len(batch), len(found[-1])) < world:
            found[-1] = np.concatenate([found[-1], batch])
        else:
            found.append(batch)
    return found
