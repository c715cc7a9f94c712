"""What the native engine promises of its bits, as checks of random calls: every one of them says whether they are the
same. The tests try some calls; benchmarks/engine_bits.py tries them for hours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from random import Random

import torch
from engine.calls import Call, drawn, same_bits
from engine.steps import STEPS, program_of
from torch import Tensor

from riverrun.engine.rewrite import layer_norm, state_dropout, transition, zoneout

REWRITES = (
    lambda p: p,
    lambda p: p,
    layer_norm,
    lambda p: zoneout(p, p.states[0]),
    lambda p: state_dropout(layer_norm(transition(p, 2))),
)
WIDTHS = (1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 63, 64, 65, 70, 100, 128, 130, 200, 257, 300)
ROWS = (1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 17, 24, 30, 65, 70)


def random_call(random: Random) -> Call:
    """Any program, any shape, any options."""
    program = random.choice(REWRITES)(program_of(random.choice(sorted(STEPS))))
    T, B, I, H = random.randint(1, 9), random.choice(ROWS), random.choice(WIDTHS), random.choice(WIDTHS)
    if B * H > 2000:
        H = random.randint(1, 20)
    return drawn(
        program, T=T, B=B, I=I, H=H,
        seed=random.randrange(10**9),
        dtype=random.choice((torch.float32, torch.float32, torch.float64)),
        ragged=random.random() < 0.6,
        forced=random.random() < 0.4,
        stepwise=random.random() < 0.5,
        reverse=random.random() < 0.5,
        bias=random.random() < 0.7,
        scale=min(1.0, 3 / H**0.5),
    )  # fmt: skip


class Found:
    """The results of a call and the gradients of a fixed linear form of them, time and rows apart from weights."""

    def __init__(self, call: Call, arriving: list[Tensor]) -> None:
        self.results = call.run("native")
        values = [override.value for override in call.options["overrides"]]
        leaves = [call.input, *call.initial, *values, *call.weights.values()]
        slopes = torch.autograd.grad(self.results, leaves, arriving, allow_unused=True)
        slopes = [torch.zeros_like(t) if g is None else g for t, g in zip(leaves, slopes, strict=True)]
        states = 1 + len(call.initial)
        self.input, self.initial = slopes[0], slopes[1:states]
        self.values, self.weights = slopes[states : states + len(values)], slopes[states + len(values) :]

    def everything(self) -> list[Tensor]:
        return [*self.results, self.input, *self.initial, *self.values, *self.weights]

    def of_rows(self, rows: list[int]) -> list[Tensor]:
        """What belongs to these rows of the batch."""
        return [t[..., rows, :] for t in (*self.results, self.input, *self.initial, *self.values)]


def arriving_at(call: Call, seed: int) -> list[Tensor]:
    """A gradient for the outputs and for each final state."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(*call.input.shape[:2], call.initial[0].shape[1]), *(s.shape for s in call.initial)]
    return [torch.randn(s, generator=generator, dtype=torch.float64).to(call.input.dtype) for s in shapes]


def leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().clone().requires_grad_()


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run_to_run_and_any_number_of_threads(call: Call, random: Random) -> bool:
    arriving = arriving_at(call, random.randrange(10**6))
    with threads(1):
        expected = Found(call, arriving).everything()
    for count in (1, 2, 3, 4):
        with threads(count):
            if not same_bits(Found(call, arriving).everything(), expected):
                return False
    return True


def any_neighbours(call: Call, random: Random) -> bool:
    """Rows alone, in another order, twice, beside others."""
    arriving = arriving_at(call, random.randrange(10**6))
    expected = Found(call, arriving)
    B = call.input.shape[1]
    for count in (1, random.randint(1, B), random.randint(1, B + 20)):
        rows = [random.randrange(B) for _ in range(count)]
        lengths = call.options["lengths"]
        others = call._replace(
            input=leaf(call.input[:, rows]),
            initial=[leaf(state[rows]) for state in call.initial],
            options={
                **call.options,
                "lengths": None if lengths is None else lengths[rows],
                "overrides": [
                    o._replace(mask=o.mask[:, rows], value=leaf(o.value[..., rows, :]))
                    for o in call.options["overrides"]
                ],
                "masks": {key: mask[..., rows, :] for key, mask in call.options["masks"].items()},
            },
        )
        found = Found(others, [g[..., rows, :] for g in arriving])
        if not same_bits(found.of_rows(list(range(count))), expected.of_rows(rows)):
            return False
    return True


def any_padding(call: Call, random: Random) -> bool:
    """More steps behind the end, with NaN in all that lies there."""
    arriving = arriving_at(call, random.randrange(10**6))
    expected = Found(call, arriving)
    T, B, _ = call.input.shape
    more = random.randint(1, 5)

    def longer(tensor: Tensor, fill: float) -> Tensor:
        return torch.cat([tensor.detach(), tensor.new_full((more, *tensor.shape[1:]), fill)])

    nan = float("nan")
    lengths = call.options["lengths"]
    padded = call._replace(
        input=longer(call.input, nan).requires_grad_(),
        options={
            **call.options,
            "lengths": torch.full((B,), T) if lengths is None else lengths,
            "overrides": [
                o._replace(
                    mask=longer(o.mask, True),
                    value=leaf(longer(o.value, nan) if o.value.dim() == 3 else o.value),
                )
                for o in call.options["overrides"]
            ],
            "masks": {k: longer(m, nan) if m.dim() == 3 else m for k, m in call.options["masks"].items()},
        },
    )
    found = Found(padded, [longer(arriving[0], nan), *arriving[1:]])
    rest = [found.results[0][T:], found.input[T:]]
    rest += [value[T:] for value in found.values if value.dim() == 3]
    if any(bool(tensor.any()) for tensor in rest):  # NaN is not zero either
        return False
    found.results[0], found.input = found.results[0][:T], found.input[:T]
    found.values = [value[:T] if value.dim() == 3 else value for value in found.values]
    return same_bits(found.everything(), expected.everything())


def any_cut(call: Call, random: Random) -> bool:
    """One part of the sequence after the other, the states and their gradients carried over the cuts."""
    T = call.input.shape[0]
    borders = sorted({0, T, *(random.randint(0, T) for _ in range(random.randint(0, T)))})
    parts = list(pairwise(borders))
    reverse, lengths = call.options["reverse"], call.options["lengths"]
    overrides = call.options["overrides"]
    if reverse:  # what acts between two parts is the caller's, who holds the state there
        kept = torch.ones(T, 1, dtype=torch.bool)
        kept[borders[1:-1]] = False
        overrides = [o._replace(mask=o.mask & kept) for o in overrides]
    arriving = arriving_at(call, random.randrange(10**6))
    whole = call._replace(options={**call.options, "overrides": overrides})
    expected = Found(whole, arriving)
    input, initial = leaf(call.input), [leaf(state) for state in call.initial]
    states, outputs = initial, {}
    for begin, end in reversed(parts) if reverse else parts:
        part = call._replace(
            input=input[begin:end],
            initial=states,
            options={
                **call.options,
                "lengths": None if lengths is None else (lengths - begin).clamp(0, end - begin),
                "overrides": [
                    o._replace(mask=o.mask[begin:end], value=o.value[begin:end] if o.value.dim() == 3 else o.value)
                    for o in overrides
                ],
                "masks": {k: m[begin:end] if m.dim() == 3 else m for k, m in call.options["masks"].items()},
            },
        )
        outputs[begin], *states = part.run("native")
    results = [torch.cat([outputs[begin] for begin, _ in parts]), *states]
    slopes = torch.autograd.grad(results, [input, *initial], arriving)
    return same_bits([*results, *slopes], [*expected.results, expected.input, *expected.initial])


def with_gradient_or_without(call: Call, random: Random) -> bool:
    """Where nobody will ask for a gradient, memory is used again from step to step."""
    expected = call.run("native")
    with torch.no_grad():
        return same_bits(call.run("native"), expected)


CHECKS: dict[str, Callable[[Call, Random], bool]] = {
    check.__name__: check
    for check in (run_to_run_and_any_number_of_threads, any_neighbours, any_padding, any_cut, with_gradient_or_without)
}
