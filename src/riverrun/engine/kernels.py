"""Torch's own kernels (oneDNN on the CPU, cuDNN on a GPU) for the programs that equal them exactly.

A Program is recognised by its graph, never by its cell's name: it is unified with the four recurrences that torch has,
up to the names of keys and states and the order of sums and products. So a user's own cell that happens to be an LSTM
runs as one.

    torch.lstm       i f g o; h = o tanh(c); c = f c + i g; also with the projected state h = U.q (o tanh(c))
    torch.gru        r z n, reset after the product; h = (1 - z) n + z h
    torch.rnn_tanh   h = tanh(W x + U h + b)
    torch.rnn_relu   h = relu(W x + U h + b)

What the kernels have not, `run` adds around them: an override cuts the sequence where its mask is set, lengths are
packed, and rows of length 0 are kept aside. They know no masks and record nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

from riverrun.engine.program import Program
from riverrun.engine.scanned import Override, Scanned
from riverrun.engine.timeline import flipped, flipped_overrides
from riverrun.engine.trace import relu, sigmoid, tanh, trace
from riverrun.engine.unify import unify

Loop = Callable[[Tensor, Sequence[Tensor], Tensor | None], tuple[Tensor, list[Tensor]]]


class Match(NamedTuple):
    """A program that torch has a kernel for."""

    kernel: str  # "lstm", "gru", "rnn_tanh" or "rnn_relu"
    states: tuple[str, ...]  # the program's, in order
    gates: tuple[tuple[str, str], ...]  # (key of W, key of U) of each gate, in torch's order
    inner: str | None  # the key of the GRU's bias inside the loop
    projection: str | None  # the key of the LSTM's projection


def _lstm(x: Any, U: Any, h: Any, c: Any) -> Any:
    new = sigmoid(x.f + U.f @ h) * c + sigmoid(x.i + U.i @ h) * tanh(x.g + U.g @ h)
    return sigmoid(x.o + U.o @ h) * tanh(new), new


def _lstm_projected(x: Any, U: Any, h: Any, c: Any) -> Any:
    new = sigmoid(x.f + U.f @ h) * c + sigmoid(x.i + U.i @ h) * tanh(x.g + U.g @ h)
    return U.q @ (sigmoid(x.o + U.o @ h) * tanh(new)), new


def _gru(x: Any, U: Any, b: Any, h: Any) -> Any:
    z = sigmoid(x.z + U.z @ h)
    n = tanh(x.n + sigmoid(x.r + U.r @ h) * (U.n @ h + b.m))
    return (1 - z) * n + z * h


def _gru_plain(x: Any, U: Any, h: Any) -> Any:
    z = sigmoid(x.z + U.z @ h)
    return (1 - z) * tanh(x.n + sigmoid(x.r + U.r @ h) * (U.n @ h)) + z * h


def _gru_difference(x: Any, U: Any, b: Any, h: Any) -> Any:
    n = tanh(x.n + sigmoid(x.r + U.r @ h) * (U.n @ h + b.m))
    return n + sigmoid(x.z + U.z @ h) * (h - n)


def _rnn_tanh(x: Any, U: Any, h: Any) -> Any:
    return tanh(x.h + U.h @ h)


def _rnn_relu(x: Any, U: Any, h: Any) -> Any:
    return relu(x.h + U.h @ h)


KNOWN: tuple[tuple[str, Callable[..., Any], tuple[str, ...], str], ...] = (
    ("lstm", _lstm, ("h", "c"), "ifgo"),
    ("lstm", _lstm_projected, ("h", "c"), "ifgo"),
    ("gru", _gru, ("h",), "rzn"),
    ("gru", _gru_plain, ("h",), "rzn"),
    ("gru", _gru_difference, ("h",), "rzn"),
    ("rnn_tanh", _rnn_tanh, ("h",), "h"),
    ("rnn_relu", _rnn_relu, ("h",), "h"),
)


@functools.lru_cache(maxsize=256)
def match(program: Program) -> Match | None:
    """Which of torch's kernels equals this program, or None."""
    for kernel, step, states, gates in KNOWN:
        sizes = {"h": "P"} if step is _lstm_projected else {}
        names = unify(trace(step, states=states, sizes=sizes), program)
        if names is not None:
            return Match(
                kernel,
                program.states,
                tuple((names["x", g], names["matmul", g]) for g in gates),
                names.get(("bias", "m")),
                names.get(("matmul", "q")),
            )
    return None


def run(
    match: Match,
    weights: Mapping[str, Tensor],
    input: Tensor,
    initial: Sequence[Tensor],
    *,
    lengths: Tensor | None = None,
    overrides: Sequence[Override] = (),
    reverse: bool = False,
) -> Scanned:
    """The recurrence by torch's kernel.

    Args:
        match: what `match` found.
        weights: "W.k" [n, I], "U.k" [n, m], "b.k" [n]; a missing "b.k" is no bias.
        input: [T, B, I]; padding is never read.
        initial: [B, n] for each state.
        lengths: [B], or None where all are T.
        overrides: states put in place between steps; each step with one ends a call of the kernel.
        reverse: from the last valid step to the first.

    Returns outputs in the dtype that the kernel computes in (autocast's, where it is on), states in that of `initial`.
    """
    steps = input.shape[0]
    if lengths is not None:
        valid = torch.arange(steps, device=input.device)[:, None] < lengths.to(input.device)[None, :]  # [T, B]
        input = input.masked_fill(~valid[:, :, None], 0.0)
    if reverse:
        input = flipped(input, lengths)
        overrides = flipped_overrides(overrides, lengths, steps)
    parameters, biased = _packed(match, weights)
    computed = _computed_dtype(input)
    with torch.autocast(input.device.type, enabled=False):
        parameters = [p.to(computed) for p in parameters]
        loop = functools.partial(_loop, match.kernel, parameters, biased)
        outputs, states = _cut(match, loop, input.to(computed), [s.to(computed) for s in initial], lengths, overrides)
    if reverse:
        outputs = flipped(outputs, lengths)
    return Scanned(outputs, tuple(s.to(i.dtype) for s, i in zip(states, initial, strict=True)), {})


def _computed_dtype(input: Tensor) -> torch.dtype:
    """Autocast's dtype where it is on; float64 is left alone, as autocast leaves it."""
    kind = input.device.type
    if torch.is_autocast_enabled(kind) and input.dtype != torch.float64:
        return torch.get_autocast_dtype(kind)
    return input.dtype


def _packed(match: Match, weights: Mapping[str, Tensor]) -> tuple[list[Tensor], bool]:
    """[W_ih, W_hh, b_ih, b_hh, W_hr] as torch orders them, and whether the biases are among them.

    They lie in one buffer in cuDNN's own layout, so that cuDNN copies nothing.
    """
    matrices = [torch.cat([weights[f"W.{w}"] for w, _ in match.gates])]
    matrices.append(torch.cat([weights[f"U.{u}"] for _, u in match.gates]))
    # b.k inside the loop takes the place of x.k's own bias, so that one is not counted twice.
    present = {w: None if w == match.inner else weights.get(f"b.{w}") for w, _ in match.gates}
    inner = weights.get(f"b.{match.inner}") if match.inner is not None else None
    biased = inner is not None or any(b is not None for b in present.values())
    vectors: list[Tensor] = []
    if biased:
        size = matrices[0].shape[0] // len(match.gates)
        zero = matrices[0].new_zeros(size)
        vectors.append(torch.cat([zero if b is None else b for b in present.values()]))
        hidden = [zero] * len(match.gates)
        if inner is not None:
            hidden[-1] = inner  # n is the last gate
        vectors.append(torch.cat(hidden))
    if match.projection is not None:
        vectors.append(weights[f"U.{match.projection}"])
    parts = [*matrices, *vectors]
    if matrices[0].is_cuda and match.projection is None:
        flat = torch.cat([part.reshape(-1) for part in parts])
        views = torch.split(flat, [part.numel() for part in parts])
        parts = [view.view(part.shape) for view, part in zip(views, parts, strict=True)]
    return parts, biased


def _loop(
    kernel: str,
    parameters: list[Tensor],
    biased: bool,
    input: Tensor,
    states: Sequence[Tensor],
    lengths: Tensor | None,
) -> tuple[Tensor, list[Tensor]]:
    """One call of the kernel: [T, B, I], states [B, n], positive lengths on the CPU -> outputs [T, B, n], states."""
    function = getattr(torch, kernel)
    learning = torch.is_grad_enabled()  # cuDNN has no backward of what did not run as training
    hidden: Any = tuple(s.unsqueeze(0).contiguous() for s in states)
    if kernel != "lstm":
        hidden = hidden[0]
    if lengths is None:
        output, *new = function(input, hidden, parameters, biased, 1, 0.0, learning, False, False)
        return output, [s.squeeze(0) for s in new]
    packed = pack_padded_sequence(input, lengths, enforce_sorted=False)
    order, back = packed.sorted_indices, packed.unsorted_indices
    assert order is not None
    assert back is not None
    hidden = tuple(h.index_select(1, order) for h in hidden) if kernel == "lstm" else hidden.index_select(1, order)
    data, *new = function(packed.data, packed.batch_sizes, hidden, parameters, biased, 1, 0.0, learning, False)
    places = _places(packed.batch_sizes, lengths, input.shape[0], order)
    output = torch.cat([data, data.new_zeros(1, data.shape[1])])[places]  # [T, B, n]; the last row is padding's
    return output, [s.squeeze(0).index_select(0, back) for s in new]


def _places(sizes: Tensor, lengths: Tensor, steps: int, order: Tensor) -> Tensor:
    """[T, B]: where each step of each row lies in the packed data; padding points at the row after its end."""
    full = torch.zeros(steps, dtype=torch.int64)
    full[: len(sizes)] = sizes
    starts = full.cumsum(0) - full  # [T]
    rank = torch.empty(len(lengths), dtype=torch.int64)
    rank[order.cpu()] = torch.arange(len(lengths))
    valid = torch.arange(steps)[:, None] < lengths[None, :]
    places = torch.where(valid, starts[:, None] + rank[None, :], int(sizes.sum()))
    return places.to(order.device)


def _cut(
    match: Match,
    loop: Loop,
    input: Tensor,
    states: list[Tensor],
    lengths: Tensor | None,
    overrides: Sequence[Override],
) -> tuple[Tensor, list[Tensor]]:
    """Calls of the kernel from one override to the next, rows of no further steps kept aside."""
    steps, rows = input.shape[:2]
    remaining = None if lengths is None else lengths.to("cpu", torch.int64)
    if remaining is not None and bool((remaining == steps).all()):
        remaining = None
    hit = torch.zeros(steps, dtype=torch.bool)
    masks = []
    for override in overrides:
        mask = override.mask
        if remaining is not None:
            mask = mask & (torch.arange(steps)[:, None] < remaining[None, :]).to(mask.device)
        masks.append(mask)
        hit |= mask.any(dim=1).cpu()
    borders = sorted({0, *torch.nonzero(hit).flatten().tolist()})
    parts: list[Tensor] = []
    for start, end in zip(borders, [*borders[1:], steps], strict=True):
        if start < steps and hit[start]:
            for override, mask in zip(overrides, masks, strict=True):
                place = match.states.index(override.state)
                value = override.value if override.value.dim() == 2 else override.value[start]
                states[place] = torch.where(mask[start][:, None], value.to(states[place].dtype), states[place])
        if start < end and rows:
            left = None if remaining is None else (remaining - start).clamp(0, end - start)
            output, states = _window(loop, input[start:end], states, left)
            parts.append(output)
    if not parts:
        return states[0].new_zeros(steps, *states[0].shape), states
    return torch.cat(parts) if len(parts) > 1 else parts[0], states


def _window(loop: Loop, input: Tensor, states: list[Tensor], lengths: Tensor | None) -> tuple[Tensor, list[Tensor]]:
    """One call, over the rows that have a step in it."""
    steps = input.shape[0]
    if lengths is None or bool((lengths == steps).all()):
        output, new = loop(input, states, None)
        return output, list(new)
    if bool((lengths > 0).all()):
        output, new = loop(input, states, lengths)
        return output, list(new)
    busy = torch.nonzero(lengths > 0).flatten()
    if not len(busy):
        return states[0].new_zeros(steps, *states[0].shape), states
    rows = busy.to(input.device)
    output, new = loop(input.index_select(1, rows), [s.index_select(0, rows) for s in states], lengths[busy])
    whole = states[0].new_zeros(steps, *states[0].shape).index_copy(1, rows, output)
    return whole, [old.index_copy(0, rows, part) for old, part in zip(states, new, strict=True)]
