"""The loss of predicted tokens: cross-entropy, its smoothed form, and the activity regularisers of AWD."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from riverrun.data.batch import Batch
from riverrun.models.options import LanguageModelOptions
from riverrun.models.protocol import Loss, State

IGNORED = -1  # a target that is not predicted


def regularised(
    options: LanguageModelOptions, batch: Batch, logits: Tensor, dropped: Tensor, output: Tensor, state: State
) -> Loss:
    """The loss of a batch with the regularisers that the options ask for; they count once a token, so that sums add up.

    logits: [T, B, V]. output, dropped: [T, B, n], what the network gave and what the output layer read of it.
    """
    total, nats = cross_entropy(logits, batch.targets, options.label_smoothing)
    if options.activity:
        total = total + batch.tokens * activity(dropped, options.activity)
    if options.temporal_activity:
        total = total + batch.tokens * temporal_activity(output, batch.resets, options.temporal_activity)
    return Loss(total, batch.tokens, nats, state)


def cross_entropy(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    """What is minimised and what is shown, both sums over the targets that are not -1.

        nats = sum_t -ln p(y_t)        total = (1 - s) nats + s sum_t mean_v -ln p_t(v)

    logits: [..., V], of any precision; the softmax is computed in float32 at least, since under autocast they come in
    bfloat16, whose 8 bits would be lost in the sum of exponentials. targets: [...], int64. smoothing: s in [0, 1).
    Returns total with gradient and nats without, both scalars; zero where no target counts.
    """
    logits = logits.flatten(0, -2)  # [N, V]
    if logits.dtype in (torch.bfloat16, torch.float16):
        logits = logits.float()
    targets = targets.flatten()  # [N]
    if not smoothing:
        total = functional.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum")
        return total, total.detach()
    log_p = functional.log_softmax(logits, -1)
    nats = functional.nll_loss(log_p, targets, ignore_index=IGNORED, reduction="sum")
    spread = -torch.where(targets != IGNORED, log_p.mean(-1), log_p.new_zeros(())).sum()
    return (1 - smoothing) * nats + smoothing * spread, nats.detach()


def activity(output: Tensor, weight: float) -> Tensor:
    """Activation regularisation: weight * mean of output^2 (AR; Merity, McCann & Socher 2017). output: [T, B, n]."""
    return weight * output.float().square().mean() if output.numel() else output.new_zeros(())


def temporal_activity(output: Tensor, resets: Tensor | None, weight: float) -> Tensor:
    """Weight * mean of (h_t - h_{t-1})^2 (TAR; the same source), over the pairs of steps that no reset separates.

    output: [T, B, n];  resets: [T, B] bool, or None.
    """
    change = (output[1:] - output[:-1]).float().square().mean(-1)  # [T-1, B]
    if not change.numel():
        return output.new_zeros(())
    if resets is None:
        return weight * change.mean()
    together = (~resets[1:]).to(change.dtype)
    return weight * (change * together).sum() / together.sum().clamp(min=1)
