"""Streams: contiguous lanes of one token array, dealt in windows, with every reset where it belongs.

The array of N tokens is cut into `lanes` (times `world`) lanes of L = (N - 1) // lanes steps; lane b reads tokens
b L ... b L + L - 1 and predicts the next of each. A batch is the next window of all lanes, so the state that a model
carries from batch to batch is that of uninterrupted text. At most lanes - 1 tokens at the end are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from riverrun.data.batch import IGNORED, Batch
from riverrun.data.tokens import Tokens
from riverrun.errors import DataError, UsageError

FRESH_KEY = 1  # apart from the key of the random windows, which is (seed, 0)


class Streams:
    """Endless batches of `lanes` lanes; one object owns the cursor, the epochs and the resets.

    tokens: the part to deal. lanes: B, per rank. window: T, the steps of a batch (truncated BPTT).
    random_window: draw T anew each time: window with probability 0.95, else half of it, plus normal noise of standard
    deviation 5, at least 5 (Merity, Keskar & Socher 2018, "Regularizing and optimizing LSTM language models",
    section 5); the batch's `scale` is T / window. seed: of these draws; draw k depends on (seed, k) only.
    fresh: the chance that a lane forgets its state before a window. A model that always carries its state never learns
    to begin, and writes nonsense until its state has come into reach of what it knows.
    rank, world: this process and how many there are; rank r owns columns r lanes ... (r + 1) lanes - 1 of the batches
    that one process with world x lanes lanes would see.

    The last window of an epoch is as short as what is left. Every lane is reset at the first step of an epoch, and
    wherever a document begins; a target that would lie in the next document is -1.

    Raises UsageError where lanes or window do not fit, DataError for tokens too few to fill the lanes.
    """

    def __init__(
        self,
        tokens: Tokens,
        *,
        lanes: int,
        window: int,
        random_window: bool = False,
        fresh: float = 0.0,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        for name, value in (("lanes", lanes), ("window", window), ("world", world)):
            if value < 1:
                raise UsageError(f"{name}: expected at least 1, got {value}.")
        if not 0 <= fresh <= 1:
            raise UsageError(f"fresh: expected a share from 0 to 1, got {fresh:g}.")
        if not 0 <= rank < world:
            raise UsageError(f"rank: expected 0 to {world - 1} for world {world}, got {rank}.")
        total = lanes * world
        self.length = (len(tokens.ids) - 1) // total  # L, the steps of a lane
        if self.length < 1:
            raise DataError(
                f"the training part has {len(tokens.ids):,} tokens, too few for {total} lanes: "
                f"use at most {max(len(tokens.ids) - 1, 1)} (--lanes), or more text."
            )
        self.lanes, self.window, self.random_window, self.seed = lanes, window, random_window, seed
        self.rank, self.world, self.fresh = rank, world, fresh
        self._starts = tokens.starts
        span = self.length * total
        columns = slice(rank * lanes, (rank + 1) * lanes)
        self._inputs = tokens.ids[:span].reshape(total, self.length)[columns]  # views: a memory map stays one
        self._targets = tokens.ids[1 : span + 1].reshape(total, self.length)[columns]
        self._origins = np.arange(total, dtype=np.int64)[columns] * self.length  # [B]
        self._cursor, self._epochs, self._draws = 0, 0, 0

    @property
    def epoch(self) -> float:
        """How often the data has been gone through, with its fraction."""
        return self._epochs + self._cursor / self.length

    def next(self) -> Batch:
        """The next window of every lane."""
        begin = self._cursor
        end = min(begin + self._draw(), self.length)
        inputs = torch.from_numpy(self._inputs[:, begin:end].T.astype(np.int64))  # [T, B]
        targets = torch.from_numpy(self._targets[:, begin:end].T.astype(np.int64))
        resets, crossed = _boundaries(self._starts, self._origins, begin, end, targets)
        tokens = int((targets >= 0).sum()) if crossed else targets.numel()
        if begin == 0 or self.fresh:
            first = np.ones(self.lanes, bool) if begin == 0 else self._forgetful(begin)
            if first.any():
                if resets is None:
                    resets = torch.zeros(inputs.shape, dtype=torch.bool)
                resets[0] |= torch.from_numpy(first)
        self._cursor = end
        if end == self.length:
            self._cursor, self._epochs = 0, self._epochs + 1
        scale = (end - begin) / self.window if self.random_window else 1.0
        return Batch(inputs, targets, resets, tokens, begin, scale)

    def state_dict(self) -> dict[str, Any]:
        """The cursor, for JSON: with it, `load_state_dict` goes on with the very next batch."""
        return {
            "cursor": self._cursor,
            "epochs": self._epochs,
            "draws": self._draws,
            "lanes": self.lanes * self.world,
            "length": self.length,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken, over the same data and as many lanes in all (ranks may differ)."""
        own = self.state_dict()
        for name, what in (("lanes", "lanes over all processes"), ("length", "steps in a lane")):
            if state[name] != own[name]:
                raise DataError(
                    f"the checkpoint was made with {state[name]} {what}, now there are {own[name]}: "
                    "resume with the data and the number of lanes that the run began with."
                )
        self._cursor, self._epochs, self._draws = int(state["cursor"]), int(state["epochs"]), int(state["draws"])

    def _forgetful(self, begin: int) -> NDArray[np.bool_]:
        """[B]: the lanes that begin afresh in the window at `begin` of this epoch, the same whatever the ranks."""
        if not self.fresh:
            return np.zeros(self.lanes, bool)
        key = np.array([self.seed, FRESH_KEY], np.uint64)
        draws = np.random.Generator(np.random.Philox(key=key, counter=[begin, self._epochs, 0, 0]))
        mine = slice(self.rank * self.lanes, (self.rank + 1) * self.lanes)
        return draws.random(self.lanes * self.world)[mine] < self.fresh

    def _draw(self) -> int:
        if not self.random_window:
            return self.window
        generator = np.random.Generator(np.random.Philox(key=self.seed, counter=self._draws))
        self._draws += 1
        middle = self.window if generator.random() < 0.95 else self.window / 2
        return max(int(generator.normal(middle, 5)), min(5, self.window))


def evaluation(tokens: Tokens, window: int, *, lanes: int = 1, overlap: int = 0) -> Iterator[Batch]:
    """Walk a part once, predicting every token but the first of each document, exactly once each.

    With one lane (the default) the state is carried from the first token to the last. With more, lane b scores the
    b-th stretch of the text after reading `overlap` tokens before it unscored, so that a part is gone through faster,
    with at least `overlap` tokens of context; targets are then -1 where a lane warms up, and where the last lane is
    over. Reading the targets lane by lane gives the text in its order.
    """
    if window < 1 or lanes < 1 or overlap < 0:
        raise UsageError(f"window, lanes >= 1 and overlap >= 0 expected, got {window}, {lanes} and {overlap}.")
    count = len(tokens.ids) - 1
    if count < 1:
        return
    begins = origins(tokens, lanes, overlap)  # [B]
    lanes = len(begins)
    length = -(-count // lanes)  # the steps that each lane scores
    overlap = overlap if lanes > 1 else 0
    for begin in range(0, overlap + length, window):
        end = min(begin + window, overlap + length)
        places = begins + np.arange(begin, end, dtype=np.int64)[:, None]  # [T, B]
        scored = (places < count) & (np.arange(begin, end)[:, None] >= overlap)
        inside = places.clip(0, count - 1)
        inputs = torch.from_numpy(tokens.ids[inside].astype(np.int64))
        targets = torch.from_numpy(np.where(scored, tokens.ids[inside + 1].astype(np.int64), IGNORED))
        resets, _ = _boundaries(tokens.starts, begins, begin, end, targets)
        if begin == 0:
            if resets is None:
                resets = torch.zeros(inputs.shape, dtype=torch.bool)
            resets[0] = True
        yield Batch(inputs, targets, resets, int((targets >= 0).sum()), begin)


def origins(tokens: Tokens, lanes: int, overlap: int) -> NDArray[np.int64]:
    """[B]: the token at which each lane of `evaluation` begins to read, before the text for those that wait; with few
    tokens there are fewer lanes."""
    count = len(tokens.ids) - 1
    lanes = max(1, min(lanes, count))
    return np.arange(lanes, dtype=np.int64) * -(-count // lanes) - (overlap if lanes > 1 else 0)


def _boundaries(
    starts: NDArray[np.int64], origins: NDArray[np.int64], begin: int, end: int, targets: torch.Tensor
) -> tuple[torch.Tensor | None, bool]:
    """Resets [T, B] at document starts in begin..end-1 (None where there is none); ignores targets across them, and
    says whether there may be such."""
    first = starts.searchsorted(origins + begin, side="left")
    last = starts.searchsorted(origins + end, side="right")  # a start at `end` makes the last target cross
    busy = (last > first).nonzero()[0]
    if not len(busy):
        return None, False
    resets = torch.zeros(targets.shape, dtype=torch.bool)
    for lane in busy:
        steps = torch.from_numpy(starts[first[lane] : last[lane]] - origins[lane] - begin)  # in 0..T
        resets[steps[steps < end - begin], lane] = True
        targets[steps[steps > 0] - 1, lane] = IGNORED
    return resets if bool(resets.any()) else None, True
