"""What engine.py measures: the shapes, and each cell written once more, for the peers.

A cell here is one step on packed weights, in operations that torch and JAX both have: the loop that a person would
write by hand. Inputs are projected for all steps in one product before the loop. Matrices lie as [inputs, outputs], so
that neither framework has to turn them. riverrun's own cells are named, and never used by a peer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Blocks = Sequence[str] | Sequence[Sequence[str]]  # vectors side by side, or a matrix of matrices
Step = Callable[["Maths", Mapping[str, Any], Any, Sequence[Any]], tuple[Any, ...]]


class Shape(NamedTuple):
    """Steps, rows, width of the input, width of the state."""

    T: int
    B: int
    I: int
    H: int

    def __str__(self) -> str:
        return f"{self.T}, {self.B}, {self.I}, {self.H}"


SMALL = Shape(25, 1, 100, 100)
SHAPES = (
    Shape(1, 1, 128, 128),
    SMALL,
    Shape(50, 32, 128, 128),
    Shape(50, 64, 256, 256),
    Shape(35, 20, 650, 650),
    Shape(50, 64, 512, 512),
    Shape(128, 64, 64, 1024),
)


class Maths(NamedTuple):
    """What a step needs of a framework."""

    sigmoid: Callable[[Any], Any]
    tanh: Callable[[Any], Any]
    sqrt: Callable[[Any], Any]
    split: Callable[[Any, int], Sequence[Any]]  # n equal parts of the last axis
    join: Callable[[Sequence[Any]], Any]  # along the last axis
    norm: Callable[[Any, int], Any]  # each of n equal parts of the last axis to mean 0 and variance 1


# ------------------------------------------------------------------ the steps: x is the projected input of this step


def lstm(m: Maths, w: Mapping[str, Any], x: Any, s: Sequence[Any]) -> tuple[Any, ...]:
    h, c = s
    i, f, g, o = m.split(x + h @ w["U"], 4)
    c = m.sigmoid(f) * c + m.sigmoid(i) * m.tanh(g)
    return m.sigmoid(o) * m.tanh(c), c


def gru_after(m: Maths, w: Mapping[str, Any], x: Any, s: Sequence[Any]) -> tuple[Any, ...]:
    (h,) = s
    xr, xz, xn = m.split(x, 3)
    ur, uz, un = m.split(h @ w["U"], 3)
    z = m.sigmoid(xz + uz)
    n = m.tanh(xn + m.sigmoid(xr + ur) * (un + w["b_hn"]))
    return ((1 - z) * n + z * h,)


def gru(m: Maths, w: Mapping[str, Any], x: Any, s: Sequence[Any]) -> tuple[Any, ...]:
    (h,) = s
    xr, xz, xn = m.split(x, 3)
    ur, uz = m.split(h @ w["U"], 2)
    z = m.sigmoid(xz + uz)
    n = m.tanh(xn + (m.sigmoid(xr + ur) * h) @ w["U_n"])
    return ((1 - z) * h + z * n,)


def rnn(m: Maths, w: Mapping[str, Any], x: Any, s: Sequence[Any]) -> tuple[Any, ...]:
    return (m.tanh(x + s[0] @ w["U"]),)


def peephole(m: Maths, w: Mapping[str, Any], x: Any, s: Sequence[Any]) -> tuple[Any, ...]:
    h, c = s
    i, f, g, o = m.split(x + h @ w["U"], 4)
    i, f = m.sigmoid(i + w["p_i"] * c), m.sigmoid(f + w["p_f"] * c)
    c = f * c + i * m.tanh(g)
    return m.sigmoid(o + w["p_o"] * c) * m.tanh(c), c


def full_gates(m: Maths, w: Mapping[str, Any], x: Any, s: Sequence[Any]) -> tuple[Any, ...]:
    h, c, *gates = s
    i, f, g, o = m.split(x + h @ w["U"], 4)
    ri, rf, ro = m.split(m.join(gates) @ w["R"], 3)
    i, f = m.sigmoid(i + w["p_i"] * c + ri), m.sigmoid(f + w["p_f"] * c + rf)
    c = f * c + i * m.tanh(g)
    o = m.sigmoid(o + w["p_o"] * c + ro)
    return o * m.tanh(c), c, i, f, o


def layer_norm_lstm(m: Maths, w: Mapping[str, Any], x: Any, s: Sequence[Any]) -> tuple[Any, ...]:
    h, c = s
    i, f, g, o = m.split(x + m.norm(h @ w["U"], 4) * w["ln_u"], 4)
    c = m.sigmoid(f) * c + m.sigmoid(i) * m.tanh(g)
    return m.sigmoid(o) * m.tanh(c), c


def own(m: Maths, w: Mapping[str, Any], x: Any, s: Sequence[Any]) -> tuple[Any, ...]:
    h, c = s
    f, o, g = m.split(x + h @ w["U"], 3)
    f = m.sigmoid(f + w["p_f"] * c)
    c = f * c + m.sqrt(1 - f * f) * m.tanh(g)
    return m.sigmoid(o) * m.tanh(c), c


# ------------------------------------------------------------------ the cells


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell as the peers see it.

    title: its name in the tables
    ours: the name of riverrun's, or "own" for the class in engine_own_cell.py
    step: the function above
    packed: the peers' weights as blocks of riverrun's; "W", "b" and "ln_x" belong to the input's projection
    states: how many states it has, all H wide
    norm: layer norm inside the gates
    """

    title: str
    ours: str
    step: Step
    packed: Mapping[str, Blocks]
    states: int
    norm: bool = False
    gates: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "gates", len(self.packed["b"]))

    def project(self, m: Maths, w: Mapping[str, Any], x: Any) -> Any:
        """The inputs [..., I] of all steps to what a step reads, [..., gates H]."""
        return m.norm(x @ w["W"], self.gates) * w["ln_x"] + w["b"] if self.norm else x @ w["W"] + w["b"]

    def names(self) -> list[str]:
        """riverrun's names of all weights, sorted."""
        return sorted(name for blocks in self.packed.values() for name in _flat(blocks))

    def weights(self, I: int, H: int, seed: int = 0) -> dict[str, Array]:
        """riverrun's weights: uniform in +-1 / sqrt(H), as torch's modules start; gains of layer norm around 1."""
        random = np.random.default_rng([seed, I, H])
        found = {}
        for name in self.names():
            shape = {"W": (H, I), "U": (H, H)}.get(name[0], (H,))
            value = random.uniform(-(H**-0.5), H**-0.5, shape)
            found[name] = (value + 1.0 if ".ln_" in name else value).astype(np.float32)
        return found

    def pack(self, weights: Mapping[str, Array]) -> dict[str, Array]:
        """riverrun's weights, or gradients of them, as the peers have them."""
        return {key: _packed(blocks, weights) for key, blocks in self.packed.items()}

    def flops(self, shape: Shape, call: str) -> float:
        """Multiplications and additions of the products; with the gradients of input and weights three times those."""
        W, U = self._elements(shape)
        return 2.0 * shape.T * shape.B * (W + U) * (3 if call == "train" else 1)

    def read(self, shape: Shape, call: str) -> float:
        """Bytes of weights that one row must move at least: W once, U at every step; backward both once more, and
        their gradients written once."""
        W, U = self._elements(shape)
        return 4.0 * (W + shape.T * U) * (2 if call == "train" else 1) + (4.0 * (W + U) if call == "train" else 0.0)

    def working_set(self, shape: Shape) -> int:
        """Bytes of all matrices."""
        return 4 * sum(self._elements(shape))

    def _elements(self, shape: Shape) -> tuple[int, int]:
        """Of the input's matrices, and of the others."""
        kinds = [name[0] for name in self.names()]
        return kinds.count("W") * shape.H * shape.I, kinds.count("U") * shape.H * shape.H


def _flat(blocks: Blocks) -> list[str]:
    return [name for row in blocks for name in ([row] if isinstance(row, str) else row)]


def _packed(blocks: Blocks, weights: Mapping[str, Array]) -> Array:
    if isinstance(blocks[0], str):
        return np.concatenate([weights[str(name)] for name in blocks])
    return np.ascontiguousarray(np.block([[weights[name].T for name in row] for row in blocks]))


def _gates(prefix: str, keys: str) -> list[str]:
    return [f"{prefix}.{key}" for key in keys]


def _with_gates(keys: str, **more: Blocks) -> dict[str, Blocks]:
    return {"W": [_gates("W", keys)], "U": [_gates("U", keys)], "b": _gates("b", keys), **more}


PEEPHOLES = {"p_i": ["p.i"], "p_f": ["p.f"], "p_o": ["p.o"]}
GATE_TO_GATE = [["U.ii", "U.if_", "U.io"], ["U.fi", "U.ff", "U.fo"], ["U.oi", "U.of", "U.oo"]]  # rows: from i, f, o

CELLS: Mapping[str, Cell] = {
    "lstm": Cell(title="LSTM", ours="lstm", step=lstm, states=2, packed=_with_gates("ifgo")),
    "gru-after": Cell(
        title="GRU, reset after", ours="gru-after", step=gru_after, states=1, packed=_with_gates("rzn", b_hn=["b.hn"])
    ),
    "rnn": Cell(title="RNN, tanh", ours="elman", step=rnn, states=1, packed=_with_gates("h")),
    "peephole": Cell(
        title="peephole LSTM", ours="peephole", step=peephole, states=2, packed=_with_gates("ifgo", **PEEPHOLES)
    ),
    "gru": Cell(
        title="GRU, reset before",
        ours="gru",
        step=gru,
        states=1,
        packed={**_with_gates("rzn"), "U": [["U.r", "U.z"]], "U_n": [["U.n"]]},
    ),
    "fgr": Cell(
        title="full gate recurrence",
        ours="fgr",
        step=full_gates,
        states=5,
        packed=_with_gates("ifgo", R=GATE_TO_GATE, **PEEPHOLES),
    ),
    "ln-lstm": Cell(
        title="layer-norm LSTM",
        ours="lstm",
        norm=True,
        step=layer_norm_lstm,
        states=2,
        packed=_with_gates("ifgo", ln_x=_gates("p.ln_x", "ifgo"), ln_u=_gates("p.ln_u", "ifgo")),
    ),
    "own": Cell(title="a user's own", ours="own", step=own, states=2, packed=_with_gates("fog", p_f=["p.f"])),
}


def inputs(shape: Shape, seed: int = 1) -> tuple[Array, Array]:
    """The input [T, B, I] and the gradient of the output [T, B, H] of a case."""
    random = np.random.default_rng([seed, *shape])
    x = random.standard_normal((shape.T, shape.B, shape.I), dtype=np.float32)
    return x, random.standard_normal((shape.T, shape.B, shape.H), dtype=np.float32)
