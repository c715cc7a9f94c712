"""What decoding asks of a model: `initial_state`, a call over a window, and a step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor

State = Any  # nested tuples of tensors, or None; decoding carries it and never looks inside but for the device


class StepModel(Protocol):
    """A model of a token sequence, one batch entry a column.

    `initial_state(B)` is the state before the first token. `model(inputs [T, B], state)` gives `(logits [T, B, V],
    state)` for a window and `step(state, token [B])` gives `(logits [B, V], state)` for one token: both of the next
    token, and T steps in a row mean the same as a window of T.
    """

    def initial_state(self, batch: int, /) -> State: ...

    def step(self, state: State, token: Tensor, /) -> tuple[Tensor, State]: ...

    def __call__(self, inputs: Tensor, state: State, /) -> tuple[Tensor, State]: ...


@contextmanager
def evaluating(model: StepModel) -> Iterator[None]:
    """No gradients, and evaluation mode (no dropout) where the model has modes; the mode it was in comes back.

    Enter it around each call and leave it before a `yield`, so that a consumer's grad mode is never touched.
    """
    training = isinstance(model, torch.nn.Module) and model.training
    if isinstance(model, torch.nn.Module) and training:
        model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        if isinstance(model, torch.nn.Module) and training:
            model.train()


def device_of(state: State) -> torch.device:
    """The device of the first tensor in a nested state; the CPU where there is none."""
    first = _first_tensor(state)
    return torch.device("cpu") if first is None else first.device


def _first_tensor(state: State) -> Tensor | None:
    if isinstance(state, Tensor):
        return state
    if isinstance(state, tuple | list):
        return next((found for part in state if (found := _first_tensor(part)) is not None), None)
    return None
