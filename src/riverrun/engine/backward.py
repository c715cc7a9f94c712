"""The loop of the fused path, backward: the adjoint program, step after step, and one product a group after it.

The gradients that arrive at the products of one group are written side by side into one buffer [T, B, sum n]. The
product with the packed weights inside the loop, the gradient of U, and, where x.k is fused with U.k @ v, those of W, of
the bias and of the input, all read that buffer as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from riverrun.engine.adjoint import Adjoint, adjoint
from riverrun.engine.forward import Course
from riverrun.engine.lower import FUNCTIONS, Plan, copy

Item = tuple[Callable[..., Tensor] | None, tuple[int, ...], int]  # None: the product of that block


@dataclass(frozen=True, kw_only=True)
class BackPlan:
    """The adjoint as a list of calls. Columns are the places where gradients are left for after the loop."""

    adjoint: Adjoint
    code: tuple[Item, ...]
    columns: dict[tuple[str, object], int]  # ("product", node), ("x", key), ("row", name) -> slot
    results: tuple[int, ...]  # the slot of each old state's gradient; -1 where it is zero
    slots: int


@lru_cache(maxsize=256)
def lower_back(plan: Plan) -> BackPlan:
    """The calls of a plan's adjoint."""
    back = adjoint(plan.program)
    fused_x = {plan.x_order[i] for i in range(sum(block.fused for block in plan.blocks))}
    sinks: list[tuple[tuple[str, object], int]] = [(("product", node), index) for node, index in back.products]
    sinks += [(("x", key), index) for key, index in back.x if key not in fused_x]
    columns: dict[tuple[str, object], int] = {}
    claimed: set[int] = set()
    copies: dict[int, list[int]] = {}
    slots = len(back.nodes)

    def claim(index: int) -> int:
        nonlocal slots
        if back.nodes[index].inputs and index not in claimed:
            claimed.add(index)
            return index
        copies.setdefault(index, []).append(slots)
        slots += 1
        return slots - 1

    for name, index in sinks:
        columns[name] = claim(index)
    for key, index in back.rows:  # to be summed only: where it lies already will do
        landed = next((columns[name] for name, i in sinks if i == index), None)
        columns["row", key] = claim(index) if landed is None else landed
    results = tuple(-1 if index < 0 else claim(index) for index in back.states)
    code: list[Item] = []
    for index, node in enumerate(back.nodes):
        if node.op == "matmul_t":
            number = next(n for n, block in enumerate(plan.blocks) if block.operand == int(node.key))
            code.append((None, (number,), index))
        elif node.inputs:
            code.append((FUNCTIONS[node.op], node.inputs, index))
        code += [(copy, (index,), slot) for slot in copies.get(index, ())]
    return BackPlan(adjoint=back, code=tuple(code), columns=columns, results=results, slots=slots)


@dataclass(frozen=True, kw_only=True)
class Gradients:
    """What a backward loop leaves."""

    products: tuple[Tensor, ...]  # for each block [T, B, sum n]: what arrived at its columns
    x: tuple[Tensor | None, ...]  # for each x key that is not fused with a product [T, B, n]
    rows: dict[str, Tensor]  # "b.k" inside the loop and "p.k": [T, B, n]
    initial: tuple[Tensor, ...]  # [B, n]
    values_of: tuple[Tensor, ...]  # the values of the overrides, in their shapes


def backward(
    plan: Plan,
    sizes: Mapping[str, int],
    U: Sequence[Tensor],
    shared: Mapping[int, Tensor],
    kept: Mapping[int, Tensor],
    masks: Mapping[str, Tensor],
    course: Course,
    initial: Sequence[Tensor],
    values_of: Sequence[Tensor],
    arriving: Tensor | None,
    final: Sequence[Tensor | None],
) -> Gradients:
    """The gradient of all steps.

    U: [sum n, m] for each block, in the dtype of the products; shared: slot -> bias or vector, as in `Packed`;
    arriving: the gradient at the outputs [T, B, n]; final: that at the final states.
    """
    back = lower_back(plan)
    program, nodes = plan.program, back.adjoint.nodes
    like, steps = initial[0], course.steps
    batch = like.shape[0]
    values: list[Tensor] = [like] * back.slots
    series: list[tuple[int, Sequence[Tensor]]] = []
    held: set[int] = set()

    def over_time(width: int) -> Tensor:
        return torch.empty(steps, batch, width, dtype=like.dtype, device=like.device)

    arrived: list[Tensor] = []
    for block in plan.blocks:
        widths = [sizes[program.weights[f"U.{key}"][0]] for key in block.keys]
        buffer = over_time(sum(widths))
        arrived.append(buffer)
        for node, part in zip(block.products, torch.split(buffer, widths, -1), strict=True):
            slot = back.columns["product", node]
            series.append((slot, part.unbind(0)))
            held.add(slot)
    leftover: list[Tensor | None] = []
    for key in plan.x_order:
        name = ("x", key)
        leftover.append(None)
        if name in back.columns:
            own = leftover[-1] = over_time(sizes[program.weights[f"W.{key}"][0]])
            series.append((back.columns[name], own.unbind(0)))
            held.add(back.columns[name])
    rows: dict[str, Tensor] = {}
    for row, _ in back.adjoint.rows:
        slot = back.columns["row", row]
        if slot in held:  # it lies in a product's or an x's columns
            rows[row] = _column(plan, sizes, back, arrived, leftover, slot)
        else:
            rows[row] = over_time(sizes[program.weights[row][0]])
            series.append((slot, rows[row].unbind(0)))
            held.add(slot)
    leaves: dict[str, int] = {}
    by_place = {(n.op, n.key): i for i, n in plan.leaves}
    for index, leaf in enumerate(nodes):
        if leaf.op == "gradient":
            leaves[leaf.key] = index
        elif leaf.op == "saved":
            series.append((index, kept[int(leaf.key)].unbind(0)))
        elif leaf.op == "mask":
            mask = masks[leaf.key]
            if mask.dim() == 3:
                series.append((index, mask.unbind(0)))
            else:
                values[index] = mask
        elif leaf.op == "const":
            values[index] = like.new_full((), leaf.value)
        elif not leaf.inputs:
            values[index] = shared[by_place[leaf.op, leaf.key]]
        elif index not in held and index not in back.results:
            values[index] = torch.empty(batch, sizes[leaf.width], dtype=like.dtype, device=like.device)
    products = [_product(u, buffer) for u, buffer in zip(U, arrived, strict=True)]
    pairs = [(torch.empty_like(s), torch.empty_like(s)) for s in initial]
    carried = [torch.zeros_like(s) if g is None else g for s, g in zip(initial, final, strict=True)]
    of_values = [torch.zeros_like(value) for value in values_of]
    arriving_rows = None if arriving is None else arriving.unbind(0)
    sums = torch.empty_like(initial[0])
    for count, t in enumerate(reversed(course.order())):
        if arriving_rows is not None:
            carried[0] = torch.add(carried[0], arriving_rows[t], out=sums)
        for state, slot in leaves.items():
            values[slot] = carried[program.states.index(state)]
        for index, slot in enumerate(back.results):
            if slot >= 0:
                values[slot] = pairs[index][count & 1]
        for slot, rows_of in series:
            values[slot] = rows_of[t]
        for function, inputs, output in back.code:
            if function is None:
                products[inputs[0]](t, values[output])
            else:
                function(*[values[i] for i in inputs], out=values[output])
        for index, slot in enumerate(back.results):
            result = values[slot] if slot >= 0 else torch.zeros_like(initial[index])
            if course.ragged[t]:
                assert course.valid is not None
                result = torch.where(course.valid[t], result, carried[index])
            carried[index] = result
        for which, index, here, border in reversed(course.acting(t)):
            zero = torch.zeros_like(carried[index])
            into = of_values[which] if of_values[which].dim() == 2 else of_values[which][border]
            into += torch.where(here, carried[index], zero)
            carried[index] = torch.where(here, zero, carried[index])
    if course.valid is not None and any(course.ragged):  # at padding the loop left what is not to be used
        for whole in [*arrived, *(d for d in leftover if d is not None), *rows.values()]:
            whole.masked_fill_(~course.valid, 0)
    return Gradients(
        products=tuple(arrived),
        x=tuple(leftover),
        rows=rows,
        initial=tuple(carried),
        values_of=tuple(of_values),
    )


def _product(U: Tensor, arrived: Tensor) -> Callable[[int, Tensor], object]:
    """What writes the product of step t's gradients [B, sum n] with U [sum n, m] to a place [B, m]."""
    rows = arrived.unbind(0)
    if U.dtype == arrived.dtype:
        return lambda t, out: torch.mm(rows[t], U, out=out)
    narrow, result = torch.empty_like(rows[0], dtype=U.dtype), U.new_empty(arrived.shape[1], U.shape[1])
    return lambda t, out: out.copy_(torch.mm(narrow.copy_(rows[t]), U, out=result))


def _column(
    plan: Plan,
    sizes: Mapping[str, int],
    back: BackPlan,
    arrived: list[Tensor],
    leftover: list[Tensor | None],
    slot: int,
) -> Tensor:
    """The [T, B, n] that a slot's rows are, among the columns."""
    for block, buffer in zip(plan.blocks, arrived, strict=True):
        start = 0
        for key, node in zip(block.keys, block.products, strict=True):
            width = sizes[plan.program.weights[f"U.{key}"][0]]
            if back.columns["product", node] == slot:
                return buffer.narrow(-1, start, width)
            start += width
    key = next(str(k) for (kind, k), s in back.columns.items() if kind == "x" and s == slot)
    found = leftover[plan.x_order.index(key)]
    assert found is not None
    return found
