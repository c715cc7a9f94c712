"""Ranking: by what a beam search orders the hypotheses that have ended, and when none can come that is better.

    score(Y) = L(Y) / lp(|Y|) + beta * sum over source positions i of ln min(sum over steps j of a_ij, 1)

L is ln p(Y | source), less what a prior takes away (prior.py); |Y| counts END, which is one of the predictions whose
probabilities p multiplies; a_ij is the attention of step j to position i, END's step included.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from riverrun.errors import OptionError, nearest

KINDS = ("gnmt", "mean")
UNSEEN = 1e-6  # what a position counts that nothing looked at, so that the logarithm stays a number


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Length and coverage in a score.

    normalise   "gnmt": lp(n) = ((5 + n) / 6)^alpha (Wu et al. 2016, equation 14); "mean": lp(n) = n^alpha, which with
                alpha = 1 makes the score the mean log-probability of a token
    alpha       0 ranks by log-probability alone, which favours short targets
    coverage    beta, 0 or more: lowers the score of a target whose steps left source positions out (Wu et al. 2016,
                equation 14); for models with attention
    """

    normalise: str = "gnmt"
    alpha: float = 0.6
    coverage: float = 0.0

    def __post_init__(self) -> None:
        if self.normalise not in KINDS:
            known = f"expected one of {', '.join(KINDS)}"
            raise OptionError("normalise", f"{known}, got {self.normalise!r}.{nearest(str(self.normalise), KINDS)}")
        for name in ("alpha", "coverage"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise OptionError(name, f"expected 0 or a positive number, got {value}.")

    def penalty(self, length: Tensor | int) -> Tensor:
        """lp of a number of predictions, END counted; float64.

        >>> round(Ranking(alpha=1.0).penalty(7).item(), 3), Ranking(normalise="mean", alpha=1.0).penalty(7).item()
        (2.0, 7.0)
        """
        offset = 5 if self.normalise == "gnmt" else 0
        n = torch.as_tensor(length, dtype=torch.float64)
        found: Tensor = ((offset + n) / (offset + 1)) ** self.alpha
        return found

    def covered(self, looked: Tensor, valid: Tensor) -> Tensor:
        """[N]: the coverage term. looked: [N, S], attention summed over the steps. valid: [N, S], no padding."""
        terms = looked.double().clamp(min=UNSEEN, max=1.0).log()
        return self.coverage * torch.where(valid, terms, 0.0).sum(1)

    def bound(self, total: Tensor, near: Tensor | int, far: Tensor) -> Tensor:
        """The best score that a hypothesis can still reach.

            L falls with every token and coverage is at most 0, so  score <= L / lp(n)  for some n from `near` to `far`.

        That is largest at `far` where L < 0, and at `near` where a prior has made L positive. total: [B, W], L so far.
        near: the fewest predictions that it can end with, far: [B, 1], the most.
        """
        return torch.maximum(total / self.penalty(near).to(total.device), total / self.penalty(far))
