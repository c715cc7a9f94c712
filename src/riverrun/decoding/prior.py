"""Priors: what a target would be likely to begin with whatever the source says, to be held against it.

A model of replies finds "i don't know" likely after anything. Maximum mutual information takes away what a target is
worth without its source (Li et al. 2016, "A diversity-promoting objective function", section 4.5.1, MMI-antiLM):

    L(Y) = ln p(Y | source) - weight * sum over the first `tokens` predictions of ln q(y_t | y_1 ... y_{t-1})

Only the first tokens count, as there: they decide what the reply is about, and the grammar of the rest stays whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from riverrun.data.pair_batch import END
from riverrun.errors import ModelError, OptionError

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Prior:
    """What is held against a target: q, and how much of it.

    model    q
    weight   0 or more; from about 1 on grammar suffers
    tokens   how many predictions of a target count, END among them
    """

    model: Beginnings
    weight: float
    tokens: int

    def __post_init__(self) -> None:
        if not 0 <= self.weight < float("inf"):
            raise OptionError("generic_penalty", f"expected 0 or a positive number, got {self.weight}.")
        if self.tokens < 1:
            raise OptionError("generic_tokens", f"expected a number of tokens from 1, got {self.tokens}.")


class Beginnings:
    """How often the training targets begin so: steps as of a `Transducer`, which read no source.

        q(y_1 ... y_t) = max(c(y_1 ... y_t), 1) / N

    c counts the targets that begin with these tokens (END is one), N all targets. A beginning that never came is worth
    as much as one that came once, so that no reply wins by being nonsense, and the whole term is at most weight * ln N.

    >>> q = Beginnings([[5, 6], [5, 7], [5], [6]], size=8, tokens=2)
    >>> log_q, state = q.step(q.start(), torch.tensor([0]))
    >>> log_q[0, [5, 6, 7]].exp()
    tensor([0.7500, 0.2500, 0.2500], dtype=torch.float64)

    `record` is what a model folder keeps of it: `Beginnings.of(record)` is the same.
    """

    def __init__(self, targets: Sequence[Sequence[int] | npt.NDArray[Any]], *, size: int, tokens: int) -> None:
        """targets: without BEGIN and END. size: V. tokens: how many predictions are counted."""
        self._size, self.tokens = size, tokens
        heads = np.full((len(targets), tokens), END, np.int64)
        for i, target in enumerate(targets):
            heads[i, : len(target)] = target[:tokens]
        over = np.array([len(target) for target in targets], np.int64)
        node = np.zeros(len(targets), np.int64)  # all begin at the root, which is node 0; -1: left
        counts, keys = [np.array([max(len(targets), 1)], np.int64)], [np.zeros(0, np.int64)]
        nodes = 1
        for t in range(tokens):
            on = np.flatnonzero((t <= over) & (node >= 0))  # in the others END has come and gone
            # Nodes are numbered level by level, so that keys ascend over the levels, too.
            found, inverse, times = np.unique(node[on] * size + heads[on, t], return_inverse=True, return_counts=True)
            often = times > 1  # what came once is worth no more than what never came
            numbers = np.where(often, nodes - 1 + often.cumsum(), -1)
            node[on] = numbers[inverse]
            counts.append(times[often])
            keys.append(found[often])
            nodes += int(often.sum())
        self._counts = np.concatenate(counts)  # of each node
        self._keys = np.concatenate([*keys, [np.iinfo(np.int64).max]])  # node * V + token of each but the root; a stop

    @property
    def record(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return {
            "size": self._size,
            "tokens": self.tokens,
            "counts": self._counts.tolist(),
            "keys": self._keys[:-1].tolist(),
        }

    @staticmethod
    def of(record: Mapping[str, Any]) -> Beginnings:
        """What `record` was taken of. Raises ModelError where it is something else."""
        made = Beginnings([], size=int(record["size"]), tokens=0)
        made.tokens = int(record.get("tokens", 5))  # so many, where nothing says it
        made._counts = np.array(record["counts"], np.int64)
        made._keys = np.array([*record["keys"], np.iinfo(np.int64).max], np.int64)
        if len(made._counts) != len(made._keys) or (np.diff(made._keys) <= 0).any() or (made._counts < 1).any():
            raise ModelError("the counts of beginnings are not what riverrun wrote. Restore the model from a copy.")
        return made

    def start(self) -> Tensor:
        """[1] node ids, the root: what a search repeats; -1 is a beginning that never came."""
        return torch.full((1,), ROOT)

    def step(self, state: Tensor, token: Tensor, width: int = 0) -> tuple[Tensor, Tensor]:
        """ln of how much rarer each next token makes the beginning, [R, V]; the nodes after `token`, [R].

        width: of the first, where it is more than V: tokens that were copied begin no other target.
        """
        nodes, ids, device = state.cpu().numpy(), token.cpu().numpy(), token.device
        keys = nodes * self._size + ids
        at = np.searchsorted(self._keys, keys)
        known = (nodes >= 0) & (ids < self._size) & (self._keys[at] == keys)
        after = np.where(nodes == ROOT, 0, np.where(known, at + 1, -1))  # BEGIN leads to node 0
        places, inverse = np.unique(after, return_inverse=True)
        rows = np.zeros((len(places), max(width, self._size)))
        for row, node in zip(rows, places, strict=True):
            if node < 0:
                continue
            row[:] = -np.log(self._counts[node])
            low, high = np.searchsorted(self._keys, [node * self._size, (node + 1) * self._size])
            row[self._keys[low:high] % self._size] += np.log(self._counts[low + 1 : high + 1])
        return torch.from_numpy(rows[inverse]).to(device), torch.from_numpy(after).to(device)


ROOT = -2  # the state before BEGIN was read
