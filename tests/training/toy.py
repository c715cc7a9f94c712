"""A small model with dropout, carried state and tied weights, and a text for it: what the training tests train."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from riverrun.data.batch import Batch
from riverrun.data.streams import Streams
from riverrun.data.tokens import Tokens
from riverrun.models.protocol import Loss, State
from riverrun.training import checkpoints, loop
from riverrun.training.loop import Result, fit
from riverrun.training.options import StreamTraining

VOCABULARY = 12


class Toy(nn.Module):
    """Embedding -> dropout -> LSTM -> DropConnect -> output tied to the embedding."""

    def __init__(self, hidden: int = 8, seed: int = 1, dropout: float = 0.2) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.embedding = nn.Embedding(VOCABULARY, hidden)
        self.recurrent = nn.LSTM(hidden, hidden)
        self.output = nn.Linear(hidden, VOCABULARY)
        self.output.weight = self.embedding.weight
        self.register_buffer("seen", torch.zeros(1, dtype=torch.int64))
        self.dropout = dropout

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        x = functional.dropout(self.embedding(inputs), self.dropout, self.training)  # [T, B, H]
        y, state = self.recurrent(x, state)
        logits = functional.linear(y, functional.dropout(self.output.weight, self.dropout, self.training))
        return logits.to(self.output.weight.dtype), state

    def loss(self, batch: Batch, state: State) -> Loss:
        if self.training:
            self.seen += 1  # a buffer that has to be saved too
        logits, state = self(batch.inputs, state)
        total = functional.cross_entropy(
            logits.flatten(0, 1), batch.targets.flatten(), ignore_index=-1, reduction="sum"
        )  # over T B
        return Loss(total, batch.tokens, total.detach(), state)


def text(count: int = 2000, seed: int = 0, documents: int = 1) -> Tokens:
    """A walk over the vocabulary, which a model can learn to predict."""
    draw = np.random.default_rng(seed)
    ids = (np.cumsum(draw.integers(0, 3, count)) % VOCABULARY).astype(np.uint8)
    starts = np.sort(draw.choice(np.arange(1, count), documents - 1, replace=False))
    return Tokens(ids, np.concatenate([[0], starts]).astype(np.int64))


def streams(**changes: object) -> Streams:
    """Four lanes of windows of seven steps."""
    arguments = {"tokens": text(), "lanes": 4, "window": 7} | changes
    return Streams(arguments.pop("tokens"), **arguments)  # type: ignore[arg-type]


def options(**changes: object) -> StreamTraining:
    """A short run in float32."""
    return StreamTraining(**({"steps": 12, "precision": "float32", "lanes": 4, "window": 7, "threads": 1} | changes))  # type: ignore[arg-type]


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Whether two state dicts are equal bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class Clock:
    """Time that passes only when it is told to, in the place of `time` in the loop."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(loop, "time", self)

    def perf_counter(self) -> float:
        return self.now

    def passes(self, seconds: float, value: object = None) -> object:
        self.now += seconds
        return value


class Slow(Toy):
    """Takes so many seconds for a batch."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def loss(self, batch: Batch, state: State) -> Loss:
        self.clock.passes(self.seconds)
        return super().loss(batch, state)


class Killed(Toy):
    """Kills its process, or raises, in the forward pass of a given batch."""

    def __init__(self, at: int, how: str, **rest: object) -> None:
        super().__init__(**rest)  # type: ignore[arg-type]
        self.at, self.how = at, how

    def loss(self, batch: Batch, state: State) -> Loss:
        loss = super().loss(batch, state)
        if int(self.seen) == self.at:
            if self.how == "raise":
                raise InterruptedError
            import os
            import signal

            os.kill(os.getpid(), signal.SIGKILL)
        return loss


def run(folder: Path, model: Toy, *, resumed: bool = False, **changes: object) -> Result:
    """Train, or resume from the last checkpoint, with an evaluation that depends on the weights."""
    chosen = options(**changes)
    dealt = streams(random_window=chosen.random_window)

    def evaluate() -> float:
        with torch.no_grad():
            torch.rand(3)  # drawing here must not change what training draws
            return float(model.output.weight.square().mean() * 0.01 + 1.0)

    resume = checkpoints.load(folder, warn=print) if resumed else None
    return fit(model, dealt, chosen, folder=folder, evaluate=evaluate, resume=resume)


if __name__ == "__main__":  # in a process of its own, to be killed: FOLDER BATCH OPTION=VALUE ...
    torch.set_num_threads(1)
    given = dict(pair.split("=") for pair in sys.argv[3:])
    kinds = {"steps": int, "checkpoint_every": int, "average": float, "accumulate": int, "evaluate_every": int}
    changed = {name: kinds.get(name, str)(value) for name, value in given.items()}
    if "random_window" in changed:
        changed["random_window"] = True
    run(Path(sys.argv[1]), Killed(int(sys.argv[2]), "kill"), **changed)
