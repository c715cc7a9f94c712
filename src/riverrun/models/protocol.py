"""What training sees of a model: a loss over a batch, and a state that is passed on to the next batch.

The loop calls a model in no other way, so a language model, a tagger and an encoder-decoder train through it alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from torch import Tensor

State = Any
"""None, a Tensor, or tuples (lists, dicts, named tuples) of those, nested: what a model carries from batch to batch."""


class Loss(NamedTuple):
    """What a batch costs, as sums over its predicted tokens: means are taken once, over every micro-batch and process.

    total: scalar with gradient; the sum of what is minimised (cross-entropy with label smoothing, regularisers ...).
    tokens: how many tokens (or items) were predicted; ignored targets do not count.
    nats: scalar without gradient; the sum of plain cross-entropy, which is what is shown and compared.
    state: to carry into the next batch, or None; the loop detaches it.
    """

    total: Tensor
    tokens: int
    nats: Tensor
    state: State


class SequenceModel(Protocol):
    """An nn.Module with a loss over batches. `loss(batch, None)` starts from the model's initial state."""

    def loss(self, batch: Any, state: State) -> Loss:
        """The loss of one batch that continues `state`; steps marked in `batch.resets` restart their lane."""


def map_state(change: Callable[[Tensor], Tensor], state: State) -> State:
    """The same structure with every tensor changed.

    >>> map_state(lambda tensor: tensor.detach(), None) is None
    True
    """
    if state is None:
        return None
    if isinstance(state, Tensor):
        return change(state)
    if isinstance(state, dict):
        return {key: map_state(change, value) for key, value in state.items()}
    if isinstance(state, tuple) and hasattr(state, "_fields"):  # a named tuple takes its fields one by one
        return type(state)(*(map_state(change, value) for value in state))
    if isinstance(state, (tuple, list)):
        return type(state)(map_state(change, value) for value in state)
    raise TypeError(f"A carried state is made of tensors, tuples, lists, dicts and None; got {type(state).__name__}.")


def detach(state: State) -> State:
    """The state without its history: truncated back-propagation through time cuts here."""
    return map_state(Tensor.detach, state)
