"""Steps to try the engine on, and a scan written as naively as can be: row by row, valid step by valid step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from riverrun.engine.program import Program
from riverrun.engine.scanned import Override
from riverrun.engine.trace import (
    exp,
    log,
    maximum,
    minimum,
    relu,
    run_step,
    sigmoid,
    softplus,
    sqrt,
    square,
    tanh,
    trace,
)


def elman(x: Any, U: Any, h: Any) -> Any:
    return tanh(x.h + U.h @ h)


def linear(x: Any, U: Any, h: Any) -> Any:
    return x.h + U.h @ h


def lstm(x: Any, U: Any, h: Any, c: Any) -> Any:
    i = sigmoid(x.i + U.i @ h)
    f = sigmoid(x.f + U.f @ h)
    o = sigmoid(x.o + U.o @ h)
    g = tanh(x.g + U.g @ h)
    c = f * c + i * g
    return o * tanh(c), c


def peephole(x: Any, U: Any, p: Any, h: Any, c: Any) -> Any:
    i = sigmoid(x.i + U.i @ h + p.i * c)
    f = sigmoid(x.f + U.f @ h + p.f * c)
    c = f * c + i * tanh(x.g + U.g @ h)
    o = sigmoid(x.o + U.o @ h + p.o * c)
    return o * tanh(c), c


def gru(x: Any, U: Any, h: Any) -> Any:
    r = sigmoid(x.r + U.r @ h)
    z = sigmoid(x.z + U.z @ h)
    n = tanh(x.n + U.n @ (r * h))
    return (1 - z) * h + z * n


def gru_after(x: Any, U: Any, b: Any, h: Any) -> Any:
    r = sigmoid(x.r + U.r @ h)
    z = sigmoid(x.z + U.z @ h)
    n = tanh(x.n + r * (U.n @ h + b.m))
    return (1 - z) * n + z * h


def multiplicative(x: Any, U: Any, h: Any, c: Any) -> Any:
    m = x.m * (U.m @ h)
    i = sigmoid(x.i + U.i @ m)
    f = sigmoid(x.f + U.f @ m)
    c = f * c + i * (x.g + U.g @ m)
    return sigmoid(x.o + U.o @ m) * tanh(c), c


def jordan(x: Any, U: Any, b: Any, y: Any) -> Any:
    h = tanh(x.h + U.h @ y)
    return sigmoid(U.y @ h + b.y)


def minimal(x: Any, h: Any) -> Any:
    z = sigmoid(x.z)
    return (1 - z) * h + z * x.h


def three_products(x: Any, U: Any, h: Any) -> Any:
    a = relu(x.a + U.a @ h)
    b = tanh(U.b @ a)
    return b + U.c @ (a * b)


def everything(x: Any, U: Any, b: Any, p: Any, h: Any, k: Any) -> Any:
    """Every operation that a step may write, one weight in two products, and a state that is handed on."""
    both = U.a @ h + U.a @ k + b.a
    v = softplus(both) * abs(x.q) + maximum(x.r, h) - minimum(x.s, k) / (square(k) + 2)
    w = exp(-square(v)) * p.w + log(2 + square(x.w)) * sqrt(1 + square(h)) - relu(x.u)
    return tanh(w) / 2, -h


def twins(x: Any, U: Any, h: Any, k: Any) -> Any:
    """One value for both states."""
    v = tanh(x.h + U.h @ h + U.k @ k)
    return v, v


def straight(x: Any, h: Any, k: Any) -> Any:
    """New states that are leaves, and an old state that nothing reads."""
    return x.a, h


STEPS: dict[str, tuple[Callable[..., Any], tuple[str, ...], dict[str, str]]] = {
    "elman": (elman, ("h",), {}),
    "linear": (linear, ("h",), {}),
    "lstm": (lstm, ("h", "c"), {}),
    "peephole": (peephole, ("h", "c"), {}),
    "gru": (gru, ("h",), {}),
    "gru_after": (gru_after, ("h",), {}),
    "multiplicative": (multiplicative, ("h", "c"), {}),
    "jordan": (jordan, ("y",), {"y": "O"}),
    "minimal": (minimal, ("h",), {}),
    "three_products": (three_products, ("h",), {}),
    "everything": (everything, ("h", "k"), {}),
    "twins": (twins, ("h", "k"), {}),
    "straight": (straight, ("h", "k"), {}),
}


def program_of(name: str) -> Program:
    step, states, sizes = STEPS[name]
    return trace(step, states=states, sizes=sizes)


class Case(NamedTuple):
    """A program with distinct random weights, inputs and states, all of them leaves with gradient."""

    program: Program
    weights: dict[str, Tensor]
    input: Tensor  # [T, B, I]
    initial: list[Tensor]

    def leaves(self) -> list[Tensor]:
        return [self.input, *self.initial, *self.weights.values()]


def case(
    name: str | Program,
    *,
    T: int = 5,
    B: int = 4,
    I: int = 3,
    H: int = 4,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> Case:
    program = name if isinstance(name, Program) else program_of(name)
    generator = torch.Generator().manual_seed(seed)
    sizes = {"H": H, "O": H + 1, "P": max(H - 1, 1), "I": I}

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).mul(0.7).to(dtype).requires_grad_()

    weights = {name: draw(*shape) for name, shape in program.resolve(sizes).items()}
    return Case(program, weights, draw(T, B, I), [draw(B, sizes[width]) for width in program.state_widths])


def naive(
    name: str,
    weights: Mapping[str, Tensor],
    input: Tensor,
    initial: Sequence[Tensor],
    *,
    lengths: Sequence[int] | None = None,
    overrides: Sequence[Override] = (),
    reverse: bool = False,
) -> tuple[Tensor, list[Tensor]]:
    """Outputs [T, B, n] and final states, one row and one step at a time."""
    step, names, _ = STEPS[name]
    steps, batch = input.shape[:2]
    keys = [weight[2:] for weight in weights if weight.startswith("W.")]
    rows, finals = [], []
    for row in range(batch):
        states = {state: value[row : row + 1] for state, value in zip(names, initial, strict=True)}
        length = steps if lengths is None else int(lengths[row])
        found: list[Tensor] = [torch.zeros_like(initial[0][:1])] * steps
        for t in reversed(range(length)) if reverse else range(length):
            border = t + 1 if reverse else t
            for state, mask, value in overrides if border < length else ():
                if mask[border, row]:
                    states[state] = (value if value.dim() == 2 else value[border])[row : row + 1]
            x = {
                key: input[t, row : row + 1] @ weights[f"W.{key}"].T + weights.get(f"b.{key}", input.new_zeros(()))
                for key in keys
            }
            states = dict(zip(names, run_step(step, x, weights, states), strict=True))
            found[t] = states[names[0]]
        rows.append(torch.stack(found))
        finals.append([states[state] for state in names])
    return torch.cat(rows, 1), [torch.cat(of_state) for of_state in zip(*finals, strict=True)]


def weighed(*tensors: Tensor) -> Tensor:
    """A sum in which every element counts differently."""
    return sum((t * torch.linspace(-1, 2, t.numel(), dtype=t.dtype).sin().reshape(t.shape)).sum() for t in tensors)  # type: ignore[return-value]


def gradients(of: Tensor, to: Sequence[Tensor], *, create_graph: bool = False) -> list[Tensor]:
    """Gradients, with zeros where nothing depends."""
    found = torch.autograd.grad(of, to, allow_unused=True, create_graph=create_graph)
    return [torch.zeros_like(t) if g is None else g for t, g in zip(to, found, strict=True)]
