"""Constraints: what a target may be, whatever the model would rather say: tokens are ruled out before one is chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from riverrun.data.pair_batch import BEGIN, END
from riverrun.decoding.inputs import Inputs
from riverrun.errors import OptionError


@dataclass(frozen=True, kw_only=True)
class Constraints:
    """What a target may be; lengths count tokens without END.

    min_length     END is ruled out before
    max_length     END is the only choice after, so that every hypothesis ends and its log-probability is of all of it
    no_repeat      n, or 0: no n tokens in a row occur twice (Paulus et al. 2018, section 2.5); a token ruled out so is
                   not what a forced prefix holds
    never          ids that are not written, beside BEGIN: UNKNOWN, say

    A forced prefix goes before all of them, max_length before min_length, and where the others leave nothing, END is
    what remains.
    """

    min_length: int = 0
    max_length: int = 200
    no_repeat: int = 0
    never: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("min_length", "max_length", "no_repeat"):
            value = getattr(self, name)
            if value < 0:
                raise OptionError(name, f"expected a number of tokens, 0 or more, got {value}.")
        if self.min_length > self.max_length:
            raise OptionError("min_length", f"expected at most max_length, {self.max_length}, got {self.min_length}.")
        if END in self.never:
            raise OptionError("never", f"END ({END}) must stay possible, or nothing would end.")


class Bounds(NamedTuple):
    """The constraints that differ from source to source. limit: [B] int64, tokens at most. prefix: [B, P] or None."""

    limit: Tensor
    prefix: Tensor | None


def bounds(constraints: Constraints, given: Inputs) -> Bounds:
    """Raises OptionError where a prefix is longer than the target may be."""
    lengths, prefix = given.source.lengths, given.prefix
    if prefix is not None and prefix.shape[1] > constraints.max_length:
        longest = f"max_length is {constraints.max_length}"
        raise OptionError("prefix", f"expected no more tokens than a target may have, but {longest}.")
    return Bounds(torch.full_like(lengths, constraints.max_length).to(given.source.data.device), prefix)


def constrain(
    log_p: Tensor, constraints: Constraints, position: int, limit: Tensor, forced: Tensor | None, history: Tensor | None
) -> Tensor:
    """Log-probabilities [R, V] with -inf where a token is ruled out; `log_p` itself is written to.

    position: how many tokens each row has. limit: [R]. forced: [R], the token that has to come, -1 where any may; None:
    nowhere. history: [R, position], the tokens so far; only read with no_repeat.
    """
    first = None if forced is None else log_p.gather(1, forced.clamp(min=0)[:, None])  # [R, 1]
    end = log_p[:, END].clone()
    log_p[:, BEGIN] = -torch.inf
    for token in constraints.never:
        log_p[:, token] = -torch.inf
    if position < constraints.min_length:
        log_p[:, END] = -torch.inf
    if constraints.no_repeat and history is not None and position >= constraints.no_repeat:
        _rule_out_repeats(log_p, history, constraints.no_repeat)
        nothing = log_p.amax(1) == -torch.inf
        log_p[:, END] = torch.where(nothing, end, log_p[:, END])
    over = position >= limit  # [R]
    if over.any():
        log_p.masked_fill_(over[:, None], -torch.inf)
        log_p[:, END] = torch.where(over, end, log_p[:, END])
    if forced is not None and first is not None:
        held = forced >= 0
        log_p.masked_fill_(held[:, None], -torch.inf)
        log_p.scatter_(1, forced.clamp(min=0)[:, None], torch.where(held[:, None], first, log_p[:, :1]))
    return log_p


def _rule_out_repeats(log_p: Tensor, history: Tensor, n: int) -> None:
    """-inf for the tokens that would complete an n-gram which history [R, T] holds; T >= n."""
    if n == 1:
        log_p.scatter_(1, history, -torch.inf)
        return
    windows = history.unfold(1, n, 1)  # [R, T - n + 1, n]
    same = (windows[:, :, :-1] == history[:, None, 1 - n :]).all(2)  # [R, T - n + 1]
    row, window = same.nonzero(as_tuple=True)
    log_p[row, windows[row, window, -1]] = -torch.inf
