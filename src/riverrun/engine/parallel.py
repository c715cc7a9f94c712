"""Recurrences without a loop: all steps at once where every state enters its own new value linearly.

A state s that obeys s_t = a_t s_{t-1} + b_t, with a and b free of s, needs no loop over time: pairs (a, b) compose as
(a, b) after (a', b') = (a a', a b' + b), which is associative, so a tree of log2 T levels gives all prefixes (Blelloch
1990; minGRU and minLSTM, Feng et al. 2024, are made for it). Nothing is divided and no logarithm is taken: where
|a| <= 1 the tree is as stable as the loop.

States may build on each other: once the course of one is known it is an input to the next. So c' = f c + i g,
h' = o tanh(c'), with gates of x alone, is two such states, the second with a = 0. `match` finds that order, for any
cell. The tree itself is in prefixes.py.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear

from riverrun.engine.lower import FUNCTIONS
from riverrun.engine.prefixes import prefixes
from riverrun.engine.program import Program
from riverrun.engine.scanned import Override, Scanned
from riverrun.engine.timeline import flipped, flipped_overrides

KNOWN, AFFINE, BAD = 0, 1, 2


class Match(NamedTuple):
    """The order in which the states of a program can be found, each for all steps at once."""

    order: tuple[int, ...]


@functools.lru_cache(maxsize=256)
def match(program: Program) -> Match | None:
    """The order of states, or None where some state enters its own future otherwise than linearly."""
    order: list[int] = []
    while len(order) < len(program.states):
        left = [s for s in range(len(program.states)) if s not in order]
        following = next((s for s in left if _degree(program, s, order) < BAD), None)
        if following is None:
            return None
        order.append(following)
    return Match(tuple(order))


def _degree(program: Program, state: int, before: Sequence[int]) -> int:
    """How the state's new value depends on its old one, given the course of the states before it."""
    settled = {program.outputs[s] for s in before}
    names = {program.states[s] for s in before}
    degrees: list[int] = []
    for index, node in enumerate(program.nodes):
        inputs = [degrees[i] for i in node.inputs]
        worst = max(inputs, default=KNOWN)
        if index in settled:
            worst = KNOWN
        elif node.op == "state" and node.key not in names:
            worst = AFFINE if node.key == program.states[state] else BAD
        elif worst == AFFINE and not _linear(node.op, inputs):
            worst = BAD
        degrees.append(worst)
    return degrees[program.outputs[state]]


def _linear(op: str, inputs: Sequence[int]) -> bool:
    """Does the operation keep what is linear in the state linear, place by place?"""
    if op == "mul":
        return KNOWN in inputs
    if op == "div":
        return inputs[1] == KNOWN
    return op in ("add", "sub", "neg")


def run(
    match: Match,
    program: Program,
    weights: Mapping[str, Tensor],
    input: Tensor,
    initial: Sequence[Tensor],
    *,
    lengths: Tensor | None = None,
    overrides: Sequence[Override] = (),
    masks: Mapping[str, Tensor] | None = None,
    record: Sequence[str] = (),
    reverse: bool = False,
) -> Scanned:
    """The recurrence for all steps at once, in torch operations that autograd and its transforms know.

    Args:
        match: what `match` found for this program.
        weights: "W.k" [n, I], "U.k" [n, m], "b.k" [n] (a missing one is no bias), "p.k" [n].
        input: [T, B, I]; padding is never read.
        initial: [B, n] for each state.
        lengths: [B], or None where all are T.
        overrides: states put in place between steps.
        masks: [B, n] or [T, B, n] for each mask of the program.
        record: names of values to give back for all steps, detached.
        reverse: from the last valid step to the first.
    """
    steps, rows = input.shape[:2]
    masks = masks or {}
    if steps == 0 or rows == 0:
        width = initial[0].shape[-1]
        records = {name: initial[0].new_zeros(steps, rows, width) for name in record}
        return Scanned(initial[0].new_zeros(steps, rows, width), tuple(initial), records)
    valid = None
    if lengths is not None:
        valid = (torch.arange(steps, device=input.device)[:, None] < lengths.to(input.device))[:, :, None]  # [T, B, 1]
        input = input.masked_fill(~valid, 0.0)
    if reverse:
        input = flipped(input, lengths)
        overrides = flipped_overrides(overrides, lengths, steps)
        masks = {name: mask if mask.dim() < 3 else flipped(mask, lengths) for name, mask in masks.items()}
    course = _Course(program, weights, input, masks)
    for state in match.order:
        mine = [o for o in overrides if o.state == program.states[state]]
        course.settle(state, initial[state], mine, valid)
    settled = [course.new[s] for s in range(len(program.states))]
    outputs = settled[0]
    records = {name: course.record(program.names[name], valid) for name in record}
    if reverse:
        outputs = flipped(outputs, lengths)
        records = {name: flipped(value, lengths) for name, value in records.items()}
    return Scanned(outputs, tuple(_last(s, i, lengths) for s, i in zip(settled, initial, strict=True)), records)


def _last(course: Tensor, initial: Tensor, lengths: Tensor | None) -> Tensor:
    """[B, n]: the state after each row's last step, the initial one for a row without steps."""
    if lengths is None:
        return course[-1]
    ends = lengths.to(course.device)
    rows = torch.arange(len(ends), device=course.device)
    return torch.where((ends > 0)[:, None], course[(ends - 1).clamp(min=0), rows], initial.to(course.dtype))


Affine = tuple[Tensor | None, Tensor | None]  # (a, b) of a s + b; None is zero


class _Course:
    """What is known for all steps so far: the values of nodes [T, B, n] (or broadcastable), and the states' course."""

    def __init__(
        self, program: Program, weights: Mapping[str, Tensor], input: Tensor, masks: Mapping[str, Tensor]
    ) -> None:
        self.program, self.weights, self.input, self.masks = program, weights, input, masks
        self.values: dict[int, Tensor] = {}
        self.new: dict[int, Tensor] = {}  # state -> its course, [T, B, n], zero at padding
        self.old: dict[str, Tensor] = {}  # state's name -> what each step reads

    def settle(self, state: int, initial: Tensor, overrides: Sequence[Override], valid: Tensor | None) -> None:
        """Find the whole course of one state."""
        name, output = self.program.states[state], self.program.outputs[state]
        a, b = self._affine(output, name)
        shape = (*self.input.shape[:2], initial.shape[-1])
        bias = initial.new_zeros(shape) if b is None else b.to(initial.dtype).expand(shape)
        if a is None:
            new = bias if valid is None else bias.masked_fill(~valid, 0.0)
        else:
            slope = a.to(initial.dtype).expand(shape)
            for _, mask, value in reversed(overrides):  # the last one holds: what it sets has no slope for the others
                here = mask[:, :, None]
                bias = torch.where(here, slope * value.to(initial.dtype) + bias, bias)
                slope = slope.masked_fill(here, 0.0)
            if valid is not None:
                slope, bias = slope.masked_fill(~valid, 0.0), bias.masked_fill(~valid, 0.0)
            first = slope[:1] * initial + bias[:1]
            new = prefixes(slope, torch.cat([first, bias[1:]]))
        old = torch.cat([initial[None], new[:-1]])
        for _, mask, value in overrides:
            old = torch.where(mask[:, :, None], value.to(old.dtype), old)
        self.new[state], self.old[name], self.values[output] = new, old, new

    def record(self, index: int, valid: Tensor | None) -> Tensor:
        """A value of the program for all steps, detached, zero at padding."""
        with torch.no_grad():
            value = self.value(index).detach()
            width = self.program.nodes[index].width
            size = next(
                (s.shape[-1] for i, s in self.new.items() if self.program.state_widths[i] == width), value.shape[-1]
            )
            value = value.expand(*self.input.shape[:2], size)
            return value.clone() if valid is None else value.masked_fill(~valid, 0.0)

    def value(self, index: int) -> Tensor:
        """A node that depends on no unsettled state."""
        if index not in self.values:
            node = self.program.nodes[index]
            self.values[index] = self._apply(node.op, node.key, node.value, [self.value(i) for i in node.inputs])
        return self.values[index]

    def _affine(self, index: int, state: str) -> Affine:
        """The node as a s + b."""
        node = self.program.nodes[index]
        if index in self.values or not self._reads(index, state):
            return None, self.value(index)
        if node.op == "state":
            return self.input.new_ones(()), None
        if node.op in ("mul", "div"):
            left, right = node.inputs
            if node.op == "mul" and self._reads(right, state):
                left, right = right, left
            factor = self.value(right)
            a, b = self._affine(left, state)
            return tuple(  # type: ignore[return-value]
                None if part is None else part * factor if node.op == "mul" else part / factor for part in (a, b)
            )
        parts = [self._affine(i, state) for i in node.inputs]
        if node.op == "neg":
            ((a, b),) = parts
            return (None if a is None else -a), (None if b is None else -b)
        (a, b), (c, d) = parts
        return _sum(node.op, a, c), _sum(node.op, b, d)

    def _reads(self, index: int, state: str) -> bool:
        """Does the node read the state, otherwise than through a settled one?"""
        if index in self.values:
            return False
        node = self.program.nodes[index]
        return (node.op == "state" and node.key == state) or any(self._reads(i, state) for i in node.inputs)

    def _apply(self, op: str, key: str, number: float, inputs: Sequence[Tensor]) -> Tensor:
        if op == "x":
            bias = self.weights.get(f"b.{key}") if key in self.program.x_biases else None
            return linear(self.input, self.weights[f"W.{key}"], bias)
        if op == "state":
            return self.old[key]
        if op == "bias":
            return self.weights.get(f"b.{key}", self.input.new_zeros(()))
        if op == "vector":
            return self.weights[f"p.{key}"]
        if op == "mask":
            return self.masks[key]
        if op == "const":
            return self.input.new_full((), number)
        if op == "matmul":
            return linear(inputs[0], self.weights[f"U.{key}"])
        result: Tensor = FUNCTIONS[op](*inputs)
        return result


def _sum(op: str, a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if b is None:
        return a
    if a is None:
        return b if op == "add" else -b
    return a + b if op == "add" else a - b
