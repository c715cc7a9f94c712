"""Update rules: torch's own, in their fused form where there is one, and the clipping of gradients.

Matrices decay; biases, gains and other vectors do not: they are few, and pulling a forget bias towards 0 undoes its
purpose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from riverrun.training.options import TrainingOptions

# g / sqrt(floor + sum of g^2), with the floor inside the root as in the lecture: outside it, as torch's default
# has it, the curves part at the second window. The lecture's floor is 1e-8 for gradients of a sum over 25 steps; ours
# are of means, hence its square.
ADAGRAD_FLOOR = 1e-8 / 25**2
ADAGRAD_EPSILON = 1e-20  # outside the root; with the floor it has nothing left to do


def groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """The trainable parameters in two groups: those that decay (two dimensions or more) and those that do not."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in parameters if p.dim() > 1]
    vectors = [p for p in parameters if p.dim() <= 1]
    both = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return [group for group in both if group["params"]]


def build(model: nn.Module, options: TrainingOptions) -> torch.optim.Optimizer:
    """The optimiser that the options name, over the model's trainable parameters.

    Fused on the CPU and on CUDA: for 2 x 512 LSTM weights on one core, AdamW takes 2.6 ms a step fused and 13.9 ms
    otherwise. RMSprop has no fused form. `asgd` is plain SGD here; its average is averages.py.
    """
    parameters = groups(model, options.weight_decay)
    lr, betas = options.lr, (0.9, options.beta2)
    on_cpu = all(p.device.type == "cpu" for p in model.parameters())
    match options.optimiser:
        case "adamw":
            return torch.optim.AdamW(parameters, lr=lr, betas=betas, fused=True)
        case "adam":
            return torch.optim.Adam(parameters, lr=lr, betas=betas, fused=True)
        case "sgd" | "asgd":
            return torch.optim.SGD(parameters, lr=lr, fused=True)
        case "momentum":
            return torch.optim.SGD(parameters, lr=lr, momentum=options.momentum, fused=True)
        case "adagrad":  # fused on the CPU only
            adagrad = Adagrad if on_cpu else torch.optim.Adagrad
            return adagrad(
                parameters, lr=lr, initial_accumulator_value=ADAGRAD_FLOOR, eps=ADAGRAD_EPSILON, fused=on_cpu
            )
        case "rmsprop":
            return torch.optim.RMSprop(parameters, lr=lr, alpha=options.beta2)
    raise AssertionError(options.optimiser)  # TrainingOptions has checked it


class Adagrad(torch.optim.Adagrad):
    """torch's Adagrad and its fused kernel, reached without what torch does around it at every step.

    That is worth it for the networks that Adagrad is for here: of min-char-rnn's 0.8 ms a window it took 0.09.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update by the gradients that there are."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        alike: dict[tuple[float, ...], list[Tensor]] = {}  # parameters by what their groups say
        for group in self.param_groups:
            said = (group["lr"], group["lr_decay"], group["weight_decay"], group["eps"], group["maximize"])
            alike.setdefault(said, []).extend([p for p in group["params"] if p.grad is not None])
        for (lr, lr_decay, weight_decay, eps, maximize), moved in alike.items():
            states = [self.state[p] for p in moved]
            steps = [state["step"] for state in states]
            torch._foreach_add_(steps, 1)
            torch._fused_adagrad_(
                moved,
                gradients(moved),
                [state["sum"] for state in states],
                steps,
                lr=lr, lr_decay=lr_decay, weight_decay=weight_decay, eps=eps, maximize=bool(maximize),
            )  # fmt: skip
        return loss

    step.hooked = True  # type: ignore[attr-defined]  # torch would wrap it in a profiler's record


def gradients(parameters: Iterable[Tensor]) -> list[Tensor]:
    """The gradients that there are."""
    return [p.grad for p in parameters if p.grad is not None]


def total_norm(gradients: list[Tensor]) -> Tensor:
    """The Euclidean norm of all gradients together: torch's own, without its sorting where devices and dtypes agree."""
    if len({(g.device, g.dtype) for g in gradients}) != 1:
        return nn.utils.get_total_norm(gradients)
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    return norm


def clip(gradients: list[Tensor], norm: float, clip_norm: float, clip_value: float) -> None:
    """Scale the gradients, whose norm is `norm`, to a norm of at most `clip_norm`; then bound every element.

        g <- g min(1, clip_norm / |g|);   g <- max(-clip_value, min(clip_value, g))      (0: no limit)

    In place. The norm is known before, since the guard reads it, so that nothing is scaled where nothing is too long.
    """
    if clip_norm and norm > clip_norm:
        torch._foreach_mul_(gradients, clip_norm / norm)
    if clip_value:
        torch._foreach_clamp_min_(gradients, -clip_value)
        torch._foreach_clamp_max_(gradients, clip_value)
