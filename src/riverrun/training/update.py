"""One update of the weights: loss and gradient of some batches, the guard's look at both, clipping, the optimiser.

    g = sum over micro-batches and ranks of d total / d w  /  sum over them of tokens

so that neither accumulation nor the number of processes changes what is minimised: the mean over tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from riverrun.models.protocol import Loss, State, detach
from riverrun.training import distributed, optimisation
from riverrun.training.averages import Average
from riverrun.training.distributed import Ranks
from riverrun.training.guard import Guard
from riverrun.training.hardware import Precision
from riverrun.training.options import TrainingOptions


class Update(NamedTuple):
    """What one update came to.

    nats: sum of plain cross-entropy over `tokens` tokens, on all ranks; norm: the gradient's, before clipping.
    state: to carry into the next batch. made: False where the weights were left as they are.
    shared: the sums over the ranks of the numbers that were given to be shared.
    """

    nats: float
    norm: float
    tokens: int
    state: State
    made: bool
    shared: list[float]


class Updater:
    """The weights and all that changes with them: optimiser, loss scale, guard, average."""

    def __init__(
        self, model: nn.Module, options: TrainingOptions, device: torch.device, precision: Precision, ranks: Ranks
    ) -> None:
        self.model, self.options = model, options
        self._device, self._precision, self._ranks = device, precision, ranks
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = optimisation.build(model, options)
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision.products == torch.float16)
        self.average = Average(model, options.average) if options.average else None
        self.guard = Guard()

    def update(
        self, batches: Sequence[Any], state: State, lr: float, *, step: int, share: Callable[[], list[float]]
    ) -> Update:
        """Draw the gradient of consecutive batches and follow it.

        share: called after the gradient is there; its numbers come back summed over the ranks.
        Raises Diverged, naming the batch, where the numbers stay bad.
        """
        total_nats, tokens, state = self._backward(batches, state)
        nats, norm, tokens, shared = self._look(batches, total_nats, tokens, share)
        gradients = optimisation.gradients(self.parameters)
        made = False
        if self._scale_too_large(nats, norm):
            self.scaler.step(self.optimizer)  # sees the infinity, leaves the weights as they are
            self.scaler.update()
        elif self.guard.passes(nats, norm, step=step, batch=f"at position {batches[-1].position} of the stream"):
            optimisation.clip(gradients, norm, self.options.clip_norm, self.options.clip_value)
            for group in self.optimizer.param_groups:
                group["lr"] = lr
            if self.scaler.is_enabled():
                self.scaler.step(self.optimizer)
                self.scaler.update()
            else:
                self.optimizer.step()
            if self.average is not None:
                self.average.update()
            made = True
        else:
            state = None  # the carried state may be what is bad: begin afresh
        for parameter in self.parameters:
            parameter.grad = None
        return Update(nats, norm, tokens, state, made, shared)

    def _backward(self, batches: Sequence[Any], state: State) -> tuple[Tensor, int, State]:
        """Accumulate the gradient of the summed loss divided by the number of tokens that the batches announce."""
        loss_of: Callable[[Any, State], Loss] = self.model.loss  # type: ignore[assignment]
        announced = _announced(batches)
        sums, tokens = [], 0
        for batch in batches:
            with self._precision.autocast(self._device):
                loss = loss_of(moved(batch, self._device), state)
            # d (total / announced), without the division as one more operation with a gradient
            share = torch.full_like(loss.total, 1 / announced)
            self.scaler.scale(loss.total).backward(share)  # type: ignore[no-untyped-call]
            state = detach(loss.state)
            sums.append(loss.nats.detach())
            tokens += loss.tokens
        return sums[0] if len(sums) == 1 else torch.stack(sums).sum(), tokens, state

    def _look(
        self, batches: Sequence[Any], total_nats: Tensor, tokens: int, share: Callable[[], list[float]]
    ) -> tuple[float, float, int, list[float]]:
        """Bring the gradient to the mean over all tokens; returns nats, the gradient's norm, tokens, shared numbers.

        On one rank the device is waited for once: for nats and norm together.
        """
        announced, shared = _announced(batches), share()
        if self._ranks.world > 1:
            torch._foreach_mul_(optimisation.gradients(self.parameters), float(announced))
            distributed.add_up(self.parameters)
            nats, count, *shared = distributed.totals([float(total_nats), tokens, *shared], self._device)
            total_nats, tokens, announced = torch.tensor(nats, device=self._device), int(count), 1
        gradients = optimisation.gradients(self.parameters)
        if tokens not in (announced, 0):
            torch._foreach_mul_(gradients, announced / tokens)
        if self.scaler.is_enabled():
            self.scaler.unscale_(self.optimizer)
        norm = optimisation.total_norm(gradients)
        if self._device.type == "cpu":
            return float(total_nats), float(norm), tokens, shared
        both = torch.stack((total_nats.to(norm), norm)).tolist()
        return both[0], both[1], tokens, shared

    def _scale_too_large(self, nats: float, norm: float) -> bool:
        """float16 only: gradients overflow while the loss is fine, so the loss scale is still being searched for."""
        if not self.scaler.is_enabled():
            return False
        return math.isfinite(nats) and not math.isfinite(norm) and self.scaler.get_scale() > 1


def moved(batch: Any, device: torch.device) -> Any:
    """The batch with every tensor in it on the device."""
    if device.type == "cpu":
        return batch
    return type(batch)(*(_moved(value, device) for value in batch))


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    return moved(value, device) if isinstance(value, tuple) and hasattr(value, "_fields") else value


def _announced(batches: Sequence[Any]) -> int:
    tokens: int = sum(batch.tokens for batch in batches)
    return max(tokens, 1)
