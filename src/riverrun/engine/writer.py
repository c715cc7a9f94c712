"""A stack of layers that writes tokens by itself: the native engine's generator.

Everything is packed once and frozen: later changes of the weights are not seen. Of a token the first layer needs only
W.k e + b.k, e its vector, which is a row of a table made here.
"""

from __future__ import annotations

import ctypes
import struct
from array import array
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from riverrun.engine.code import Code, forward_code
from riverrun.engine.library import library
from riverrun.engine.lower import measure
from riverrun.engine.program import Program
from riverrun.errors import RiverrunError, UsageError

NAMES = {torch.float32: "float", torch.float64: "double"}
STATUS = {16: "the call does not fit together, which is a mistake in riverrun", 17: "there is not enough memory"}
HEADER = 24


class Packed(NamedTuple):
    """A matrix as the library reads it, for `v @ matrix.T`."""

    panels: Tensor
    K: int
    N: int


class Layer(NamedTuple):
    """One layer of a stack: a step, its weights, its masks [1, n] if it has any, and its matrices once more, packed."""

    program: Program
    weights: Mapping[str, Tensor]
    masks: Mapping[str, Tensor]
    panels: Mapping[str, Packed]


class Draws(NamedTuple):
    """How tokens are drawn: the words of `Sampling` in csrc/draw.hpp. `excluded`: ids that are never drawn."""

    temperature: float
    top_p: float
    top_k: int
    seed: int
    excluded: tuple[int, ...] = ()


def serves(dtype: torch.dtype) -> bool:
    """Whether the library is there and computes in this type."""
    return library().handle is not None and dtype in NAMES


def packed(matrix: Tensor) -> Packed:
    """A matrix [N, K], packed."""
    (N, K), (by_row, by_column) = matrix.shape, matrix.stride()
    pack = _entry("pack", matrix.dtype, ctypes.c_int64, "pllllp")
    panels = matrix.new_empty(pack(matrix.data_ptr(), by_column, by_row, K, N, None))
    pack(matrix.data_ptr(), by_column, by_row, K, N, panels.data_ptr())
    return Packed(panels, K, N)


def linear(x: Tensor, matrix: Packed, bias: Tensor | None, out: Tensor | None = None) -> Tensor:
    """x [B, K] @ matrix.T + bias: [B, N]; a row's bits depend on the row alone. `out`: where to, also part of a row."""
    x = x if x.stride(-1) == 1 else x.contiguous()
    out = x.new_empty(x.shape[0], matrix.N) if out is None else out
    entry = _entry("linear", x.dtype, None, "lpllplppli")
    entry(
        x.shape[0], x.data_ptr(), x.stride(0), matrix.K, matrix.panels.data_ptr(), matrix.N,
        None if bias is None else bias.data_ptr(), out.data_ptr(), out.stride(0), torch.get_num_threads(),
    )  # fmt: skip
    return out


class Writer:
    """A stack, its token vectors and its output layer, on the library.

    Args:
        vectors: [V, E], what the first layer reads of each token; None: the tokens are one-hot.
        layers: bottom to top; each reads the first state of the one below.
        head: [V, n], packed, and bias [V], of the output layer.
    """

    def __init__(self, vectors: Tensor | None, layers: Sequence[Layer], head: Packed, bias: Tensor) -> None:
        self.dtype, self.vocabulary = bias.dtype, head.N
        self._head, self._bias = head, bias
        self._layers = []
        width = head.N if vectors is None else vectors.shape[1]
        for layer in layers:
            self._layers.append(_Layer(layer, width, self.dtype))
            width = self._layers[-1].widths[0]
        self._table = self._layers[0].table(vectors, self.vocabulary)

    def write(
        self,
        logits: Tensor,
        states: Sequence[Sequence[Tensor]],
        token: Tensor,
        running: Tensor,
        count: int,
        *,
        draws: Draws,
        position: int,
        stop: int | None,
    ) -> tuple[int, Tensor]:
        """Draw `count` tokens in B streams, or fewer where all have stopped.

        states: of each layer [B, n] each. logits: [B, V]. token: [B], the last ones. running: [B] of uint8. All of
        these are written over: they are then what a next call goes on from. position: of the first token; at 0 it is
        drawn from the logits, later on `token` is read before.

        Returns what the library answers, 0 or a reason of csrc/draw.hpp, and the tokens [count or fewer, B], -1 after a
        stream's end.
        """
        self._check(logits, states, token, running)
        batch = logits.shape[0]
        out = torch.empty(count, batch, dtype=torch.int64)
        excluded = array("q", draws.excluded)
        held: list[Any] = [excluded]
        words = array(
            "q",
            [
                len(self._layers), batch, self.vocabulary, self._head.K, count, position, -1 if stop is None else stop,
                position > 0, torch.get_num_threads(),
                self._head.panels.data_ptr(), self._bias.data_ptr(),
                logits.data_ptr(), token.data_ptr(), running.data_ptr(), out.data_ptr(),
                _bits(draws.temperature), _bits(draws.top_p), min(draws.top_k, self.vocabulary), _signed(draws.seed),
                excluded.buffer_info()[0] if excluded else 0, len(excluded), 0, 0, 0,
            ],
        )  # fmt: skip
        below = None
        for layer, state in zip(self._layers, states, strict=True):
            call = layer.call(state, below, self._table if below is None else None, token, held)
            words.extend((call.buffer_info()[0], len(call)))
            held.append(call)
            below = state[0]
        entry = _entry("generate", self.dtype, ctypes.c_int, "pl")
        answer = entry(words.buffer_info()[0], len(words))
        if answer in STATUS:
            raise RiverrunError(f"the native engine: {STATUS[answer]}.")
        return answer, out[: words[21]]

    def _check(self, logits: Tensor, states: Sequence[Sequence[Tensor]], token: Tensor, running: Tensor) -> None:
        """What the library cannot see of the memory that it is given."""
        batch = len(logits)
        expected = [(logits, self.dtype, [batch, self.vocabulary])]
        expected += [(token, torch.int64, [batch]), (running, torch.uint8, [batch])]
        for layer, state in zip(self._layers, states, strict=True):
            expected += [(one, self.dtype, [batch, n]) for one, n in zip(state, layer.widths, strict=True)]
        for tensor, dtype, shape in expected:
            if tensor.dtype != dtype or list(tensor.shape) != shape or not (tensor.is_contiguous() and tensor.is_cpu):
                came = f"{tensor.dtype} {list(tensor.shape)}"
                raise UsageError(f"write: expected {dtype} {shape} without gaps on the CPU, came {came}.")


class _Layer:
    """One layer's weights, packed, and the words of its call."""

    def __init__(self, layer: Layer, inputs: int, dtype: torch.dtype) -> None:
        program, weights = layer.program, layer.weights
        self.inputs = inputs
        sizes = {"I": inputs}
        for name, shape in program.weights.items():
            if name in weights:
                sizes |= dict(zip(shape, weights[name].shape, strict=True))
        self.widths = [sizes[symbol] for symbol in program.state_widths]
        states = [torch.empty(1, width, dtype=dtype) for width in self.widths]
        found = tuple(measure(program, weights, inputs, states).items())
        self.biases = frozenset(key for key in program.x_biases if f"b.{key}" in weights)
        self.code: Code = forward_code(program, found, frozenset(), self.biases, frozenset())
        self.given = layer
        self.panels = [layer.panels[name] for name, _ in self.code.weights]
        self.zeros = torch.zeros(max((width for _, _, width in self.code.arrays), default=0), dtype=dtype)

    def table(self, vectors: Tensor | None, vocabulary: int) -> Tensor:
        """[V, sum n]: every W.k e + b.k, in the order of the code's columns."""
        found = []
        for key in self.given.program.x_keys:
            bias = self.given.weights.get(f"b.{key}") if key in self.biases else None
            if vectors is not None:
                found.append(linear(vectors, self.given.panels[f"W.{key}"], bias))
            else:
                columns = self.given.weights[f"W.{key}"].T  # [V, n]
                found.append(columns if bias is None else columns + bias)
        return torch.cat(found, 1) if found else self.zeros.new_zeros(vocabulary, 1)  # a step that reads no x

    def call(
        self, state: Sequence[Tensor], below: Tensor | None, table: Tensor | None, token: Tensor, held: list[Any]
    ) -> array[int]:
        """The words of a scan of one step: the state is read and then written over."""
        code, batch = self.code, state[0].shape[0]
        source = below if table is None else table
        assert source is not None
        words = [
            1, batch, self.inputs, 0, torch.get_num_threads(), source.data_ptr(), 0, source.stride(0),
            len(state), 0, len(code.arrays), len(code.weights), 0, 0, 0, 0,
            0 if table is None else token.data_ptr(), 0,
            code.constants.ctypes.data, code.words.ctypes.data, len(code.words), 0, 0, 0,
        ]  # fmt: skip
        for role, key, width in code.arrays:
            if role == "after":
                after = torch.empty(batch, width, dtype=state[0].dtype)
                held.append(after)
                words += [after.data_ptr(), width, batch, width]
            elif role == "mask":
                words += [self.given.masks[str(key)].data_ptr(), 0, batch, width]
            else:
                words += [self.given.weights.get(str(key), self.zeros).data_ptr(), 0, 1, width]
        for matrix in self.panels:
            words += [matrix.panels.data_ptr(), 0, 0, matrix.K, matrix.N, 1]
        for index, one in enumerate(state):
            words += [one.data_ptr(), one.shape[1], one.shape[1], index, one.data_ptr(), 0, 0]
        return array("q", words)


def _bits(value: float) -> int:
    return struct.unpack("q", struct.pack("d", value))[0]  # type: ignore[no-any-return]


def _signed(value: int) -> int:
    return struct.unpack("q", struct.pack("Q", value))[0]  # type: ignore[no-any-return]


@cache
def _entry(name: str, dtype: torch.dtype, result: Any, arguments: str) -> Any:
    kinds = {"p": ctypes.c_void_p, "l": ctypes.c_int64, "i": ctypes.c_int}
    entry = getattr(library().handle, f"rr_{name}_{NAMES[dtype]}")
    entry.argtypes = [kinds[letter] for letter in arguments]
    entry.restype = result
    return entry
