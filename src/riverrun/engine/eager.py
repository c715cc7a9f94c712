"""Runs a Program with torch, one step after the other, every call differentiable: the definition of correct.

Everything faster is compared with this loop. Autograd, double backward, forward mode and vmap all pass through it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import linear

from riverrun.engine.lower import Block, Packed, Plan, lower, measure, pack
from riverrun.engine.program import Program
from riverrun.engine.scanned import Override, Scanned


def loop(
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
    """The recurrence over all steps; arguments and result are those of `scan.scan`."""
    masks = masks or {}
    steps, batch = input.shape[:2]
    plan = lower(program, frozenset(program.names[name] for name in record))
    packed = pack(plan, weights, measure(program, weights, input.shape[-1], initial), initial[0])
    valid = None if lengths is None else valid_steps(lengths, steps)  # [T, B, 1]
    if valid is not None:
        input = torch.where(valid, input, torch.zeros_like(input))
        masks = {k: torch.where(valid, m, torch.zeros_like(m)) if m.dim() == 3 else m for k, m in masks.items()}
    x = project(packed, input)  # [T, B, sum n]
    states = tuple(initial)
    outputs: list[Tensor] = []
    seen: dict[str, list[Tensor]] = {name: [] for name in record}
    borders = [(program.states.index(o.state), *o) for o in overrides]
    for t in reversed(range(steps)) if reverse else range(steps):
        border = t + 1 if reverse else t
        for index, _, mask, value in borders if border < steps else ():
            here = mask[border].unsqueeze(-1)  # [B, 1]
            if valid is not None:
                here = here & valid[border]
            new = value if value.dim() == 2 else value[border]
            states = (*states[:index], torch.where(here, new, states[index]), *states[index + 1 :])
        at = {key: mask if mask.dim() == 2 else mask[t] for key, mask in masks.items()}
        values = run(plan, packed, None if x is None else x[t], states, at)
        after = tuple(values[index] for index in program.outputs)
        for name in record:
            value = values[program.names[name]].detach()
            seen[name].append(value if valid is None else torch.where(valid[t], value, torch.zeros_like(value)))
        if valid is None:
            states = after
            outputs.append(states[0])
        else:
            states = tuple(torch.where(valid[t], a, b) for a, b in zip(after, states, strict=True))
            outputs.append(torch.where(valid[t], states[0], torch.zeros_like(states[0])))
    order = slice(None, None, -1) if reverse else slice(None)
    records = {}
    for name in record:
        width = packed.sizes.get(program.nodes[program.names[name]].width, 1)
        records[name] = _stacked(seen[name][order], initial[0].new_zeros(0, batch, width))
    return Scanned(_stacked(outputs[order], initial[0].new_zeros(0, *initial[0].shape)), states, records)


def run(
    plan: Plan, packed: Packed, x: Tensor | None, states: Sequence[Tensor], masks: Mapping[str, Tensor]
) -> list[Tensor]:
    """One step: the values of all slots, given x [B, sum n] projected and the states [B, n] each."""
    values: list[Tensor] = [states[0]] * plan.slots
    fill_leaves(plan, packed, x, states, masks, values)
    blocks = iter(packed.U)
    for call in plan.code:
        if isinstance(call, Block):
            z = torch.mm(values[call.operand], next(blocks))  # [B, sum n]
            land(call, z, values, packed, plan)
        else:
            values[call.output] = call.function(*[values[i] for i in call.inputs])
    return values


def fill_leaves(
    plan: Plan,
    packed: Packed,
    x: Tensor | None,
    states: Sequence[Tensor],
    masks: Mapping[str, Tensor],
    values: list[Tensor],
) -> None:
    """Put x, states, masks, biases and vectors into their slots, and the x columns of each product into theirs."""
    parts: dict[str, Tensor] = {}
    if x is not None:
        widths = packed.widths(plan)
        parts = dict(zip(plan.x_order, torch.split(x, widths, -1), strict=True))
        start = 0
        place = 0
        for block in plan.blocks:
            width = sum(widths[place : place + block.fused])
            values[block.x_range] = x.narrow(-1, start, width)
            start, place = start + width, place + block.fused
    for slot, node in plan.leaves:
        if node.op == "x":
            values[slot] = parts[node.key]
        elif node.op == "state":
            values[slot] = states[plan.program.states.index(node.key)]
        elif node.op == "mask":
            values[slot] = masks[node.key]
        else:
            values[slot] = packed.rows[slot]


def land(block: Block, z: Tensor, values: list[Tensor], packed: Packed, plan: Plan) -> None:
    """Add the x columns to a product where they are fused, and give each node its columns."""
    shapes = plan.program.weights
    widths = [packed.sizes[shapes[f"U.{key}"][0]] for key in block.keys]
    fused = sum(widths[: block.fused])
    if block.fused == len(widths):
        z = values[block.x_range] + z
    elif block.fused:
        left, right = torch.split(z, [fused, z.shape[-1] - fused], -1)
        z = torch.cat([values[block.x_range] + left, right], -1)
    for node, part in zip(block.landed, torch.split(z, widths, -1), strict=True):
        values[node] = part


def project(packed: Packed, input: Tensor) -> Tensor | None:
    """W.k x_t + b.k for all keys and steps in one product: [T, B, I] -> [T, B, sum n]."""
    return None if packed.W is None else linear(input, packed.W, packed.b)


def valid_steps(lengths: Tensor, steps: int) -> Tensor:
    """[T, B, 1] bool: t < length."""
    return (torch.arange(steps, device=lengths.device).unsqueeze(-1) < lengths).unsqueeze(-1)


def _stacked(values: list[Tensor], empty: Tensor) -> Tensor:
    return torch.stack(values) if values else empty
