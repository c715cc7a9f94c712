"""An independent recurrent network for the tests: row by row, step by step, lists instead of masks.

Nothing here comes from riverrun but the names of the weights. A step is a function (x, states, hooks) -> new states;
hooks are what an option puts between: `drop(v)` on the operand of U, `candidate(g)` on the candidate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

Step = Callable[..., tuple[Tensor, ...]]


def same(v: Tensor) -> Tensor:
    """The hook that does nothing."""
    return v


def lstm(w: Mapping[str, Tensor]) -> Step:
    """The LSTM of Gers et al. 2000 on one row: x [I], h [P or H], c [H]."""

    def step(x, states, *, drop=same, candidate=same, norm=None):
        h, c = states
        a = {}
        for k in "ifgo":
            wx, uh = w[f"W.{k}"] @ x, w[f"U.{k}"] @ drop(h)
            if norm is not None:
                wx, uh = norm(f"ln_x.{k}", wx), norm(f"ln_u.{k}", uh)
            a[k] = wx + uh + w.get(f"b.{k}", torch.zeros(()))
        new = torch.sigmoid(a["f"]) * c + torch.sigmoid(a["i"]) * candidate(torch.tanh(a["g"]))
        h = torch.sigmoid(a["o"]) * torch.tanh(new)
        return (w["U.projection"] @ h if "U.projection" in w else h), new

    return step


def gru(w: Mapping[str, Tensor]) -> Step:
    """The GRU that resets before the product, on one row."""

    def step(x, states, *, drop=same, candidate=same, norm=None):
        (h,) = states
        a = {k: w[f"W.{k}"] @ x + w.get(f"b.{k}", torch.zeros(())) for k in "rzn"}
        r = torch.sigmoid(a["r"] + w["U.r"] @ drop(h))
        z = torch.sigmoid(a["z"] + w["U.z"] @ drop(h))
        n = candidate(torch.tanh(a["n"] + w["U.n"] @ (r * drop(h))))
        return ((1 - z) * h + z * n,)

    return step


def elman(w: Mapping[str, Tensor]) -> Step:
    """Elman's network on one row."""

    def step(x, states, *, drop=same, candidate=same, norm=None):
        return (torch.tanh(w["W.h"] @ x + w.get("b.h", torch.zeros(())) + w["U.h"] @ drop(states[0])),)

    return step


def run(
    step: Step,
    x: Tensor,
    begin: Sequence[Tensor],
    *,
    initial: Sequence[Tensor] | None = None,
    length: int | None = None,
    resets: Sequence[bool] = (),
    reverse: bool = False,
    forced: Tensor | None = None,
    after: Callable[..., tuple[Tensor, ...]] | None = None,
    hooks: Callable[[int], dict] = lambda t: {},
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """One row: x [T, I], begin: tensors [n] -> (outputs [T, n] with zeros at padding, final states).

    after(t, old, new) may change the new states (zoneout); hooks(t) are the step's keyword arguments.
    """
    length = x.shape[0] if length is None else length
    initial = [torch.zeros_like(s) for s in begin] if initial is None else initial
    order = list(range(length))[:: -1 if reverse else 1]
    states, found = tuple(begin), {}
    for place, t in enumerate(order):
        border = t + 1 if reverse else t  # between border - 1 and border
        if forced is not None and place > 0:
            states = (forced[order[place - 1]], *states[1:])
        if resets and border < length and resets[border]:
            states = tuple(initial)
        old, states = states, step(x[t], states, **hooks(t))
        if after is not None:
            states = after(t, old, states)
        found[t] = states[0]
    zero = torch.zeros_like(begin[0])
    return torch.stack([found.get(t, zero) for t in range(x.shape[0])]), states
