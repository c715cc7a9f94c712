"""What decoding asks of a model that turns one sequence into another: `encode`, `start` and a step.

    memory = model.encode(source)                            once a batch of sources
    state = model.start(memory)                              before the first token
    log_p, state, weights = model.step(memory, state, token) from token to token, BEGIN (data.pair_batch) first

In a memory and in a state the batch is the first dimension of every tensor, so that `select` repeats, reorders and
drops rows of either. A state may have K rows for each row of the memory, side by side: row r of the state belongs to
row r // K of the memory. A beam thus repeats the state alone, and never the memory.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from torch import Tensor

from riverrun.models.protocol import map_state
from riverrun.sequences import Sequences

Memory = Any  # nested (named) tuples of tensors [B, ...], and None: what a decoder looks at
State = Any  # the same of [B K, ...]: where it stands
Held = TypeVar("Held")


class Transducer(Protocol):
    """A model of a target sequence, given a source sequence. No gradients, and evaluation mode, inside."""

    def encode(self, source: Sequences, copies: Tensor | None = None, /) -> Memory:
        """source: [S, B] ids. copies: [S, B], as in PairBatch, for a model that copies source tokens."""

    def start(self, memory: Memory, /) -> State:
        """The state before the first token, one row for each row of the memory."""

    def step(self, memory: Memory, state: State, token: Tensor, /) -> tuple[Tensor, State, Tensor | None]:
        """One token further.

        token: [B K] int64, the token before: BEGIN, then those that were chosen; K rows for each row of the memory.
        Returns the log-probabilities of the next token, [B K, V] (wider where tokens are copied that the vocabulary
        lacks); the state after it was read; and how much each source
        position was attended to, [B K, S], zero at padding, each row summing to 1, or None for a model that has no
        attention.
        """


def select(held: Held, rows: Tensor) -> Held:
    """Those rows of a memory or of a state, in that order; a row may come more than once.

    rows: [N] int64.

    >>> import torch
    >>> select((torch.tensor([[1.0], [2.0]]), None), torch.tensor([1, 1, 0]))
    (tensor([[2.],
            [2.],
            [1.]]), None)
    """
    selected: Held = map_state(lambda tensor: tensor.index_select(0, rows), held)
    return selected
