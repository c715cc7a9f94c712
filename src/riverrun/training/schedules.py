"""How far a run is, and the learning rate there.

A budget in minutes is followed by elapsed time, so a run always ends annealed, however fast the machine is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from riverrun.training.options import TrainingOptions


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The limits of a run, 0 where there is none; the one that is reached first ends it."""

    steps: int = 0
    epochs: float = 0.0
    seconds: float = 0.0

    @classmethod
    def of(cls, options: TrainingOptions) -> Budget:
        """The budget that the options set."""
        return cls(steps=options.steps, epochs=options.epochs, seconds=60 * options.minutes)

    def fraction(self, steps: float, epochs: float, seconds: float, *, reserve: float = 0.0) -> float:
        """How much of the budget is used: 0 at the start, 1 or more at the end.

        reserve: seconds to leave over, at most half of them.

        >>> Budget(steps=200, seconds=60).fraction(50, 0.1, 30)
        0.5
        """
        limit = max(self.seconds - reserve, self.seconds / 2)
        pairs = [(steps, self.steps), (epochs, self.epochs), (seconds, limit)]
        return max((now / most for now, most in pairs if most), default=0.0)


def rate(schedule: str, fraction: float, *, warmup: float = 0.0, final: float = 0.0) -> float:
    """The learning rate as a share of its highest, at `fraction` of the budget.

        min(1, f / warmup) * (final + (1 - final) * shape(f)),
        shape = (1 + cos(pi f)) / 2 | 1 - f | 1           for cosine | linear | constant and plateau

    Beyond the end of the budget it stays what it was there.

    >>> rate("cosine", 0.5, final=0.1)
    0.55
    """
    f = min(max(fraction, 0.0), 1.0)
    match schedule:
        case "cosine":
            shape = (1 + math.cos(math.pi * f)) / 2
        case "linear":
            shape = 1 - f
        case _:
            shape = 1.0
    rise = min(1.0, f / warmup) if warmup else 1.0
    return rise * (final + (1 - final) * shape)


def due(every: int, step: int, before: float, now: float, parts: int = 10) -> bool:
    """Whether something happens after this step: each `every` steps, or with every = 0, `parts` times over the budget.

    before, now: the fraction of the budget used before and after the step.
    """
    if every:
        return step % every == 0
    return math.floor(parts * min(now, 1.0)) > math.floor(parts * min(before, 1.0))


PLATEAU = 0.5  # the learning rate is halved at every evaluation that brought no improvement


@dataclass(kw_only=True)
class Selection:
    """What the evaluations on the validation part have shown: the best so far, and how long ago that was."""

    best: float | None = None
    best_step: int | None = None
    since: int = 0  # evaluations without improvement, in a row
    factor: float = 1.0  # of the plateau schedule

    def factor_of(self, schedule: str) -> float:
        """What the learning rate is multiplied with under that schedule."""
        return self.factor if schedule == "plateau" else 1.0

    def update(self, step: int, value: float) -> bool:
        """Take note of an evaluation; True where it is the best so far. NaN never is."""
        if value < (math.inf if self.best is None else self.best):
            self.best, self.best_step, self.since = value, step, 0
            return True
        self.since += 1
        self.factor *= PLATEAU
        return False
