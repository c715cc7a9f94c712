"""A cell's `step`, run on symbols, gives its Program; run on tensors, it is the reference.

    def step(x, U, h):                      # reserved: x, U, b, p; every other argument is a state
        z = sigmoid(x.z + U.z @ h)          # x.k = W.k x_t + b.k;  U.k @ v = v U.k^T
        return (1 - z) * h + z * tanh(x.n)

Whatever cannot be an operation of the Program (a branch on a value, numpy, an unknown function, `v @ U.k`) is a
CellError that names the line.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any, NoReturn, TypeVar, overload

import torch
from torch import Tensor
from torch.nn.functional import linear

from riverrun.engine.program import BINARY, Program, pruned
from riverrun.engine.symbols import Leaves, Matrices, Recorder, Symbol, here
from riverrun.errors import CellError, nearest

RESERVED = ("x", "U", "b", "p")
Value = TypeVar("Value", "Symbol", Tensor)


def trace(
    step: Callable[..., Any],
    *,
    states: Sequence[str],
    sizes: Mapping[str, str] | None = None,
    candidate: str | None = None,
) -> Program:
    """The Program of a cell's step.

    Args:
        step: a plain function; `x`, `U`, `b`, `p` are reserved, its other arguments are the states, by name. It returns
            the new states in the order of `states`; the first is the output.
        states: the names of the states, the output first.
        sizes: the symbol of a state's width, or of a key's where no state settles it. Every other width is "H".
        candidate: the local that recurrent dropout multiplies.

    Raises:
        CellError: the step does something that the list of operations in `program.py` has not; the message names the
            line, and what to write.

    >>> print(trace(lambda x, U, h: tanh(x.h + U.h @ h), states=("h",)))
    %0 = state h  [H]
    %1 = x h  [H]
    %2 = matmul h %0  [H]
    %3 = add %1 %2  [H]
    %4 = tanh %3  [H]
    new: h = %4
    """
    states, sizes = tuple(states), dict(sizes or {})
    wanted = arguments(step, states)
    recorder = Recorder()
    leaves: dict[str, Any] = {
        "x": Leaves(recorder, "x", "x"),
        "U": Matrices(recorder),
        "b": Leaves(recorder, "bias", "b"),
        "p": Leaves(recorder, "vector", "p"),
    }
    for state in states:
        symbol = recorder.leaf("state", state)
        leaves[state] = symbol
        recorder.name_width(symbol.index, sizes.get(state, "H"), state)
    result, locals_ = _run_watched(step, {name: leaves[name] for name in wanted})
    outputs = _new_states(step, result, states)
    for state, symbol in zip(states, outputs, strict=True):
        recorder.same_width(leaves[state].index, symbol.index, f"the new state {state}", _line(step))
    named = {name: value.index for name, value in locals_.items() if isinstance(value, Symbol)}
    named |= {state: symbol.index for state, symbol in zip(states, outputs, strict=True)}
    nodes = recorder.finished(sizes)
    kept, new, names = pruned(nodes, tuple(symbol.index for symbol in outputs), named.items())
    program = Program(
        nodes=kept,
        states=states,
        outputs=new,
        named=names,
        candidate=candidate,
        state_widths=tuple(nodes[leaves[state].index].width for state in states),
    )
    for key in program.b_keys:
        if key in program.x_keys:
            where = next(n.where for n in kept if n.op == "bias" and n.key == key)
            raise CellError(f"{where}: b.{key} is taken: x.{key} has the bias b.{key} already. Pick another key.")
    if candidate is not None and candidate not in program.names:
        known = ", ".join(program.names)
        raise CellError(
            f"{_line(step)}: candidate: expected a local of step, one of {known}; came {candidate!r}."
            + nearest(candidate, program.names)
        )
    return program


def run_step(
    step: Callable[..., Any],
    x: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    states: Sequence[Tensor] | Mapping[str, Tensor],
) -> tuple[Tensor, ...]:
    """The step itself on tensors: the reference of everything.

    Args:
        step: the cell's step.
        x: x.k for each key, [B, n]: W.k x_t + b.k, projected already.
        weights: "U.k" [n, m], "b.k" [n] (a missing one is no bias), "p.k" [n].
        states: [B, n] each, in the order of step's own arguments, or by name.

    Returns the new states in the order in which step returns them.
    """
    names = [name for name in inspect.signature(step).parameters if name not in RESERVED]
    given = dict(states) if isinstance(states, Mapping) else dict(zip(names, states, strict=True))
    leaves: dict[str, Any] = {
        "x": _Tensors(x, "", None),
        "U": _TensorMatrices(weights),
        "b": _Tensors(weights, "b.", 0.0),
        "p": _Tensors(weights, "p.", None),
        **given,
    }
    result = step(**{name: leaves[name] for name in arguments(step, tuple(given))})
    return (result,) if isinstance(result, Tensor) else tuple(result)


# ---- the functions that a step may call; riverrun.cells exports them


def _apply(op: str, *values: Any) -> Any:
    for value in values:
        if isinstance(value, Symbol):
            return value.recorder.operation(op, values)
    if op == "softplus":
        return torch.nn.functional.softplus(values[0])
    if op in BINARY and isinstance(values[0], Tensor) and not isinstance(values[1], Tensor):
        values = (values[0], torch.full_like(values[0], values[1]))
    elif op in BINARY and isinstance(values[1], Tensor) and not isinstance(values[0], Tensor):
        values = (torch.full_like(values[1], values[0]), values[1])
    return getattr(torch, op)(*values)


def sigmoid(v: Value) -> Value:
    """1 / (1 + exp(-v))."""
    return _apply("sigmoid", v)  # type: ignore[no-any-return]


def tanh(v: Value) -> Value:
    """The hyperbolic tangent."""
    return _apply("tanh", v)  # type: ignore[no-any-return]


def relu(v: Value) -> Value:
    """max(v, 0)."""
    return _apply("relu", v)  # type: ignore[no-any-return]


def exp(v: Value) -> Value:
    """e to the power of v."""
    return _apply("exp", v)  # type: ignore[no-any-return]


def log(v: Value) -> Value:
    """The natural logarithm."""
    return _apply("log", v)  # type: ignore[no-any-return]


def softplus(v: Value) -> Value:
    """log(1 + exp(v))."""
    return _apply("softplus", v)  # type: ignore[no-any-return]


def square(v: Value) -> Value:
    """v squared."""
    return _apply("square", v)  # type: ignore[no-any-return]


def sqrt(v: Value) -> Value:
    """The square root."""
    return _apply("sqrt", v)  # type: ignore[no-any-return]


@overload
def maximum(a: Symbol, b: Symbol | float) -> Symbol: ...
@overload
def maximum(a: Tensor, b: Tensor | float) -> Tensor: ...
def maximum(a: Any, b: Any) -> Any:
    """The larger of the two, place by place."""
    return _apply("maximum", a, b)


@overload
def minimum(a: Symbol, b: Symbol | float) -> Symbol: ...
@overload
def minimum(a: Tensor, b: Tensor | float) -> Tensor: ...
def minimum(a: Any, b: Any) -> Any:
    """The smaller of the two, place by place."""
    return _apply("minimum", a, b)


# ---- tensors


class _Tensors:
    """x, b or p on tensors."""

    def __init__(self, values: Mapping[str, Tensor], prefix: str, missing: float | None) -> None:
        self.__dict__.update(_values=values, _prefix=prefix, _missing=missing)

    def __getattr__(self, key: str) -> Any:
        values: Mapping[str, Tensor] = self.__dict__["_values"]
        found = values.get(self._prefix + key, self._missing)
        if found is None:
            raise AttributeError(f"{self._prefix}{key}: expected one of {', '.join(values)}.")
        return found


class _TensorMatrices:
    """U on tensors."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self.__dict__.update(_weights=weights)

    def __getattr__(self, key: str) -> _TensorMatrix:
        weights: Mapping[str, Tensor] = self.__dict__["_weights"]
        if f"U.{key}" not in weights:
            raise AttributeError(f"U.{key}: expected one of {', '.join(weights)}.")
        return _TensorMatrix(key, weights[f"U.{key}"])


class _TensorMatrix:
    """U.k on tensors: U.k @ v is v U.k^T, which torch's own @ is not."""

    def __init__(self, key: str, weight: Tensor) -> None:
        self.key = key
        self.weight = weight

    def __matmul__(self, v: Tensor) -> Tensor:
        return linear(v, self.weight)

    def __rmatmul__(self, v: Tensor) -> NoReturn:
        raise CellError(f"{here()}: v @ U.{self.key}: write U.{self.key} @ v, which means v U.{self.key}^T.")

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> NoReturn:
        key = next((a.key for a in args if isinstance(a, _TensorMatrix)), "k")
        raise CellError(f"{here()}: v @ U.{key}: write U.{key} @ v, which means v U.{key}^T.")


# ---- the step as Python sees it


def arguments(step: Callable[..., Any], states: tuple[str, ...]) -> list[str]:
    """The names of step's arguments, checked: the reserved ones and every state."""
    parameters = inspect.signature(step).parameters.values()
    names = [p.name for p in parameters]
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise CellError(f"{_line(step)}: step({', '.join(names)}): expected plain arguments, came {parameter}.")
        if parameter.name not in RESERVED and parameter.name not in states:
            raise CellError(
                f"{_line(step)}: step({', '.join(names)}): {parameter.name!r} is neither x, U, b, p nor one of the "
                f"states {states}. Add it to `states`, or take it away.{nearest(parameter.name, states)}"
            )
    for state in states:
        if state in RESERVED:
            raise CellError(f"{_line(step)}: states: {state!r} is reserved. Pick another name.")
        if state not in names:
            raise CellError(f"{_line(step)}: step({', '.join(names)}): expected an argument for the state {state!r}.")
    if not states or len(set(states)) != len(states):
        raise CellError(f"{_line(step)}: states: expected at least one name, each once; came {states}.")
    return names


def _new_states(step: Callable[..., Any], result: Any, states: tuple[str, ...]) -> list[Symbol]:
    values = list(result) if isinstance(result, (tuple, list)) else [result]
    expected = f"step returns the new states in order: {', '.join(states)}"
    if len(values) != len(states):
        raise CellError(f"{_line(step)}: {expected}; came {len(values)} value(s).")
    for state, value in zip(states, values, strict=True):
        if not isinstance(value, Symbol):
            raise CellError(f"{_line(step)}: {expected}; for {state} came {type(value).__name__}.")
    return values


def _run_watched(step: Callable[..., Any], given: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """step(**given), and its locals at return. The profile hook sees the frame; nothing else of Python shows it."""
    code = getattr(inspect.unwrap(step), "__code__", None)
    found: dict[str, Any] = {}

    def watch(frame: FrameType, event: str, argument: Any) -> None:
        if event == "return" and frame.f_code is code:
            found.clear()
            found.update(frame.f_locals)

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        result = step(**given)
    finally:
        sys.setprofile(before)
    return result, found


def _line(step: Callable[..., Any]) -> str:
    code = getattr(inspect.unwrap(step), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else repr(step)
