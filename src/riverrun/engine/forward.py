"""The loop of the fused path, forward: no autograd inside, every call writes into a buffer that is there already.

A buffer is either one [B, n] that every step writes anew, or, where a value is saved or recorded, [T, B, n], of which
each step writes its row. The states are written straight into the output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from riverrun.engine.lower import Block, Packed, Plan, copy

Step = tuple[Callable[..., Tensor], tuple[int, ...], int]


@dataclass(frozen=True, kw_only=True)
class Course:
    """The order of a scan, and what happens at its borders: everything that is no array of values."""

    steps: int
    reverse: bool
    valid: Tensor | None  # [T, B, 1] bool; None where every step is valid
    ragged: tuple[bool, ...]  # at which steps not every row is valid
    borders: tuple[tuple[int, Tensor, tuple[bool, ...]], ...]  # state, mask [T, B, 1], at which borders it acts at all

    def order(self) -> range:
        """The steps in the order in which they are done."""
        return range(self.steps - 1, -1, -1) if self.reverse else range(self.steps)

    def acting(self, t: int) -> list[tuple[int, int, Tensor, int]]:
        """(which override, state, its mask [B, 1], border) for those that act before step t is done."""
        border = t + 1 if self.reverse else t
        if border >= self.steps:
            return []
        return [(i, state, mask[border], border) for i, (state, mask, acts) in enumerate(self.borders) if acts[border]]


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a forward loop leaves."""

    states: tuple[Tensor, ...]  # [T, B, n] each: every state after every step, frozen at padding
    kept: dict[int, Tensor]  # node -> [T, B, n], for every node that was to be kept


def forward(
    plan: Plan,
    packed: Packed,
    x: Tensor | None,
    initial: Sequence[Tensor],
    values_of: Sequence[Tensor],
    masks: Mapping[str, Tensor],
    course: Course,
    keep: Sequence[int],
    product: torch.dtype,
) -> Ran:
    """All steps of a plan, T > 0.

    x: [T, B, sum n] projected; values_of: the value of each override; product: the dtype of the products, in which
    packed.U is given.
    """
    table = _Table(plan, packed, x, masks, initial[0], course.steps, frozenset(keep), product)
    program = plan.program
    state_slots = [next((i for i, n in plan.leaves if n.op == "state" and n.key == s), None) for s in program.states]
    after = [torch.empty(course.steps, *state.shape, dtype=state.dtype, device=state.device) for state in initial]
    rows = [buffer.unbind(0) for buffer in after]
    new_slots = [table.claim(index) for index in program.outputs]
    spare = [torch.empty_like(state) for state in initial]
    before_kept: dict[int, list[Tensor]] = {s: [] for s, slot in enumerate(state_slots) if slot in table.keep}
    values, code, series = table.values, table.code, table.series
    states = list(initial)
    for t in course.order():
        for which, index, here, border in course.acting(t):
            value = values_of[which]
            states[index] = torch.where(here, value if value.dim() == 2 else value[border], states[index])
        for index, slot in enumerate(state_slots):
            if slot is not None:
                values[slot] = states[index]
        for index, kept in before_kept.items():
            kept.append(states[index])
        for slot, rows_of in series:
            values[slot] = rows_of[t]
        ragged = course.ragged[t]
        for index, slot in enumerate(new_slots):
            values[slot] = spare[index] if ragged else rows[index][t]
        for function, inputs, output in code:
            function(*[values[i] for i in inputs], out=values[output])
        for index in range(len(states)):
            if ragged:
                assert course.valid is not None
                torch.where(course.valid[t], spare[index], states[index], out=rows[index][t])
            states[index] = rows[index][t]
    kept_nodes = dict(table.kept)
    for index, seen in before_kept.items():
        slot = state_slots[index]
        assert slot is not None
        kept_nodes[slot] = torch.stack(seen[::-1] if course.reverse else seen)
    for index, output in enumerate(program.outputs):
        if output in table.keep and output not in kept_nodes:
            kept_nodes[output] = after[index]
    return Ran(states=tuple(after), kept=kept_nodes)


class _Table:
    """The slots of a plan, their buffers, and the calls that fill them."""

    def __init__(
        self,
        plan: Plan,
        packed: Packed,
        x: Tensor | None,
        masks: Mapping[str, Tensor],
        like: Tensor,
        steps: int,
        keep: frozenset[int],
        product: torch.dtype,
    ) -> None:
        self.plan, self.packed, self.keep, self.like, self.steps = plan, packed, keep, like, steps
        self.product = product
        self.values: list[Tensor] = [like] * plan.slots
        self.series: list[tuple[int, Sequence[Tensor]]] = []  # slot -> a tensor for each step
        self.kept: dict[int, Tensor] = {}
        self.code: list[Step] = []
        self.owned = {call.output for call in plan.code if not isinstance(call, Block)}
        self._leaves(x, masks)
        outputs = set(plan.program.outputs)
        for position, call in enumerate(plan.code):
            if isinstance(call, Block):
                self._block(call, sum(isinstance(c, Block) for c in plan.code[:position]))
            else:
                self.code.append((call.function, call.inputs, call.output))
                if call.output not in outputs:
                    self._buffer(call.output, [call.output], [self._width(call.output)])

    def claim(self, index: int) -> int:
        """The slot into which a new state is written: its node's own, or one with a copy where that is taken."""
        if index in self.owned:
            self.owned.remove(index)
            return index
        slot = self._slot(self.like)
        self.code.append((copy, (index,), slot))
        return slot

    def _width(self, index: int) -> int:
        return self.packed.sizes[self.plan.program.nodes[index].width]

    def _buffer(self, slot: int, nodes: Sequence[int], widths: Sequence[int]) -> None:
        """Memory for a slot whose columns are these nodes; over all steps where one of them is kept."""
        over_time = any(node in self.keep for node in nodes)
        shape = (*([self.steps] if over_time else []), self.like.shape[0], sum(widths))
        whole = torch.empty(shape, dtype=self.like.dtype, device=self.like.device)
        parts = [whole] if nodes == [slot] else torch.split(whole, list(widths), -1)
        for place, part in [(slot, whole), *zip(nodes, parts, strict=True)]:
            if over_time:
                self.series.append((place, part.unbind(0)))
            else:
                self.values[place] = part
        self.kept.update({n: part for n, part in zip(nodes, parts, strict=True) if n in self.keep})

    def _spare(self, width: int) -> int:
        """A slot in the dtype of the products."""
        return self._slot(torch.empty(self.like.shape[0], width, dtype=self.product, device=self.like.device))

    def _slot(self, value: Tensor) -> int:
        self.values.append(value)
        return len(self.values) - 1

    def _block(self, block: Block, number: int) -> None:
        shapes = self.plan.program.weights
        widths = [self.packed.sizes[shapes[f"U.{key}"][0]] for key in block.keys]
        fused = sum(widths[: block.fused])
        self._buffer(block.output, list(block.landed), widths)
        weight = self._slot(self.packed.U[number])
        operand, result = block.operand, block.output
        if self.product != self.like.dtype:  # autocast: into the lower precision and back
            operand, result = self._spare(self.packed.U[number].shape[0]), self._spare(sum(widths))
            self.code.append((copy, (block.operand,), operand))
        self.code.append((torch.mm, (operand, weight), result))
        if block.fused == len(widths):
            self.code.append((torch.add, (block.x_range, result), block.output))
            return
        if result != block.output:
            self.code.append((copy, (result,), block.output))
        if block.fused:
            slot = self._slot(self.like)
            found = [rows for place, rows in self.series if place == block.output]
            if found:
                self.series.append((slot, [row.narrow(-1, 0, fused) for row in found[0]]))
            else:
                self.values[slot] = self.values[block.output].narrow(-1, 0, fused)
            self.code.append((torch.add, (block.x_range, slot), slot))

    def _leaves(self, x: Tensor | None, masks: Mapping[str, Tensor]) -> None:
        parts: dict[str, Tensor] = {}
        if x is not None:
            widths = self.packed.widths(self.plan)
            parts = dict(zip(self.plan.x_order, torch.split(x, widths, -1), strict=True))
            start = place = 0
            for block in self.plan.blocks:
                width = sum(widths[place : place + block.fused])
                if width:
                    self.series.append((block.x_range, x.narrow(-1, start, width).unbind(0)))
                start, place = start + width, place + block.fused
        read = {i for call in self.plan.code if not isinstance(call, Block) for i in call.inputs}
        read |= {block.operand for block in self.plan.blocks} | set(self.plan.program.outputs)
        for slot, node in self.plan.leaves:
            if node.op == "x":
                if slot in read:
                    self.series.append((slot, parts[node.key].unbind(0)))
                if slot in self.keep:
                    self.kept[slot] = parts[node.key]
            elif node.op == "mask":
                mask = masks[node.key]
                if mask.dim() == 3:
                    self.series.append((slot, mask.unbind(0)))
                else:
                    self.values[slot] = mask
                if slot in self.keep:
                    self.kept[slot] = mask.expand(self.steps, *mask.shape[-2:])
            elif node.op != "state":
                self.values[slot] = self.packed.rows[slot]
                if slot in self.keep and node.op != "const":
                    self.kept[slot] = self.values[slot].expand(self.steps, *self.values[slot].shape)
