"""Averages of the weights along the way, moving or of averaged SGD: they are what is evaluated and kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

INTERVAL = 5  # evaluations that averaged SGD waits for an improvement (Merity et al. 2018 take 5)


class Average:
    """A running average of a model's parameters.

        decay > 0:  a <- k a + (1 - k) w,  k = min(decay, (n + 1) / (n + 10))      exponential, with a short start
        decay = 0:  a <- a + (w - a) / n                                           the mean of all since the start

    The average starts at the weights that it is made from and counts them as its first.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self._live = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._average = {name: p.detach().clone() for name, p in self._live.items()}
        self.count = 1

    @torch.no_grad()
    def update(self) -> None:
        """Take the present weights in."""
        self.count += 1
        keep = min(self._decay, self.count / (self.count + 9)) if self._decay else 1 - 1 / self.count
        torch._foreach_lerp_(list(self._average.values()), list(self._live.values()), 1 - keep)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within this context the model has the average as its weights; after it, its own again, bit for bit."""
        own = {name: p.detach().clone() for name, p in self._live.items()}
        try:
            self._copy(self._average)
            yield
        finally:
            self._copy(own)

    @torch.no_grad()
    def _copy(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self._live.items():
            parameter.copy_(values[name])

    def tensors(self) -> dict[str, Tensor]:
        """The average by parameter name, not copied."""
        return dict(self._average)

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor], count: int) -> None:
        """Go on from a saved average."""
        for name, value in self._average.items():
            value.copy_(tensors[name])
        self.count = count


def triggers(history: list[float], interval: int = INTERVAL) -> bool:
    """Whether averaging begins: the newest value is worse than the best of those more than `interval` ago.

    history: validation losses, oldest first. Non-monotonically triggered ASGD (Merity, Keskar and Socher 2018,
    algorithm 1): one bad evaluation is noise, none better for `interval` evaluations is not.

    >>> triggers([2.0, 2.1, 2.1, 2.2], interval=2), triggers([2.0, 2.1, 2.1, 1.9], interval=2)
    (True, False)
    """
    earlier = history[: -interval - 1] if interval else history[:-1]
    return bool(earlier) and history[-1] > min(earlier)
