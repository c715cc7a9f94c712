"""A Program as the flat list of torch calls that runs it: the `Plan` that every path of the engine shares.

Three things are found here, once for each Program: products with the same operand become one product over packed
weights; `x.k + U.k @ v`, where nothing else reads either side, lands in the product's own columns; and `u + a * b` is
one call. A call writes one slot; the first slots are the Program's nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from riverrun.engine.program import RSTD_EPSILON, Node, Program
from riverrun.errors import UsageError, nearest

Function = Callable[..., Tensor]


@dataclass(frozen=True, slots=True)
class Call:
    """values[output] = function(*values[inputs])."""

    function: Function
    inputs: tuple[int, ...]
    output: int


@dataclass(frozen=True, slots=True)
class Block:
    """One product of a group, [B, m] by [m, sum n], whose columns are the values of several nodes side by side."""

    operand: int
    keys: tuple[str, ...]  # of U, in the order of the columns
    landed: tuple[int, ...]  # the node that each key's columns are: the sum with x.k where that is fused
    products: tuple[int, ...]  # the matmul nodes themselves
    fused: int  # so many of the first keys have x.k added; their x columns stand side by side in the same order
    output: int  # the slot of all columns together
    x_range: int  # the slot of the fused keys' x columns together


@dataclass(frozen=True)
class Plan:
    """What runs a Program. `x_order` is the order in which the input projections are packed side by side."""

    program: Program
    x_order: tuple[str, ...]
    code: tuple[Call | Block, ...]
    leaves: tuple[tuple[int, Node], ...]  # slots to fill before a step
    slots: int

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The products, in the order in which they run."""
        return tuple(item for item in self.code if isinstance(item, Block))


@lru_cache(maxsize=256)
def lower(program: Program, keep: frozenset[int] = frozenset()) -> Plan:
    """The plan of a Program in which the nodes of `keep` can be read after a step."""
    nodes, uses = program.nodes, program.uses
    readers: dict[int, list[int]] = {}
    for index, node in enumerate(nodes):
        for read in node.inputs:
            readers.setdefault(read, []).append(index)
    alone = [uses[i] == 1 and len(readers.get(i, ())) == 1 and i not in keep for i in range(len(nodes))]
    sums: dict[int, tuple[int, str]] = {}  # matmul -> (the add that it lands in, the key of x)
    for index, node in enumerate(nodes):
        if node.op == "add":
            for product, x in (node.inputs, node.inputs[::-1]):
                if nodes[product].op == "matmul" and nodes[x].op == "x" and alone[product] and alone[x]:
                    sums[product] = (index, nodes[x].key)
    slots = len(nodes)
    blocks: dict[int, Block] = {}
    x_order: list[str] = []
    for group in sorted(program.groups, key=lambda g: min(g.members)):  # the order in which they run
        members = sorted(group.members, key=lambda m: m not in sums)
        fused = [m for m in members if m in sums]
        x_order += [sums[m][1] for m in fused]
        blocks[group.operand] = Block(
            operand=group.operand,
            keys=tuple(nodes[m].key for m in members),
            landed=tuple(sums[m][0] if m in sums else m for m in members),
            products=tuple(members),
            fused=len(fused),
            output=slots,
            x_range=slots + 1,
        )
        slots += 2
    x_order += [key for key in program.x_keys if key not in x_order]
    landed = {index for block in blocks.values() for index in block.landed}
    code: list[Call | Block] = []
    emitted: set[int] = set()
    for index, node in enumerate(nodes):
        if node.op == "add" and index not in landed:
            for u, product in (node.inputs[::-1], node.inputs):
                fits = nodes[product].op == "mul" and alone[product] and _wide(nodes, product) and u != product
                if fits and _wide_value(nodes[u]):
                    code[:] = [c for c in code if c.output != product]
                    code.append(Call(addcmul, (u, *nodes[product].inputs), index))
                    break
            else:
                code.append(Call(FUNCTIONS["add"], node.inputs, index))
        elif node.op == "matmul":
            if node.inputs[0] not in emitted:
                emitted.add(node.inputs[0])
                code.append(blocks[node.inputs[0]])
        elif index not in landed and node.op in FUNCTIONS:
            code.append(Call(FUNCTIONS[node.op], node.inputs, index))
    leaves = tuple((i, n) for i, n in enumerate(nodes) if not n.inputs)
    return Plan(program=program, x_order=tuple(x_order), code=tuple(code), leaves=leaves, slots=slots)


def _wide_value(node: Node) -> bool:
    return node.op not in ("const", "bias", "vector", "mask", "mean", "rstd")


def _wide(nodes: Sequence[Node], product: int) -> bool:
    return any(_wide_value(nodes[i]) for i in nodes[product].inputs)


@dataclass(frozen=True)
class Packed:
    """Parameters in the layout of a plan."""

    W: Tensor | None  # [sum n, I], in x_order
    b: Tensor | None  # [sum n]
    U: tuple[Tensor, ...]  # [m, sum n] for each block, contiguous: the loop's products are a quarter faster so
    rows: dict[int, Tensor]  # slot -> a bias or vector, seen as [B, n], or a constant
    sizes: dict[str, int]

    def widths(self, plan: Plan) -> list[int]:
        """The columns of each x key, in x_order."""
        return [self.sizes[plan.program.weights[f"W.{key}"][0]] for key in plan.x_order]


def pack(plan: Plan, weights: Mapping[str, Tensor], sizes: dict[str, int], like: Tensor) -> Packed:
    """Parameters side by side, differentiably. `like` [B, n] gives batch, device and dtype."""
    b = None
    biases = {key: weights[f"b.{key}"] for key in plan.program.x_biases if f"b.{key}" in weights}
    if biases:
        shapes = plan.program.weights
        parts = [biases[key] if key in biases else like.new_zeros(sizes[shapes[f"W.{key}"][0]]) for key in plan.x_order]
        b = _side_by_side(parts)
    U = tuple(u.t().contiguous() for u in rows_of_U(plan, weights))
    rows = pack_rows(plan, weights, sizes, like)
    return Packed(W=rows_of_W(plan, weights), b=b, U=U, rows=rows, sizes=sizes)


def pack_rows(plan: Plan, weights: Mapping[str, Tensor], sizes: dict[str, int], like: Tensor) -> dict[int, Tensor]:
    """slot -> a bias or vector, seen as [B, n], or a constant."""
    batch = like.shape[0]
    rows: dict[int, Tensor] = {}
    for slot, node in plan.leaves:
        if node.op == "const":
            rows[slot] = like.new_full((), node.value)
        elif node.op == "bias":
            b_key = weights.get(f"b.{node.key}")
            width = sizes[plan.program.weights[f"b.{node.key}"][0]]
            rows[slot] = (like.new_zeros(width) if b_key is None else b_key).expand(batch, width)
        elif node.op == "vector":
            rows[slot] = weights[f"p.{node.key}"].expand(batch, -1)
    return rows


def _side_by_side(parts: list[Tensor]) -> Tensor | None:
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def rows_of_U(plan: Plan, weights: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    """[sum n, m] for each block: what the adjoint's products read."""
    found = (_side_by_side([weights[f"U.{key}"] for key in block.keys]) for block in plan.blocks)
    return tuple(u for u in found if u is not None)


def rows_of_W(plan: Plan, weights: Mapping[str, Tensor]) -> Tensor | None:
    """[sum n, I] in x_order."""
    return _side_by_side([weights[f"W.{key}"] for key in plan.x_order])


def measure(
    program: Program, weights: Mapping[str, Tensor], input_size: int, initial: Sequence[Tensor]
) -> dict[str, int]:
    """The number behind each symbolic width, from the initial states and the weights, all of which must agree.

    Raises UsageError for a weight that is missing, unknown or of another shape.
    """
    shapes = {name: weight.shape for name, weight in weights.items()}
    return fitted(program, shapes, input_size, [value.shape[-1] for value in initial])


def fitted(
    program: Program, weights: Mapping[str, Sequence[int]], input_size: int, states: Sequence[int]
) -> dict[str, int]:
    """`measure`, from the shapes of the weights and the widths of the states."""
    sizes = {"I": input_size}
    said = {"I": "the input"}
    for state, symbol, width in zip(program.states, program.state_widths, states, strict=True):
        _agree(sizes, said, symbol, width, f"the initial state {state}")
    for name, shape in program.weights.items():
        if name not in weights:
            if name.startswith("b."):
                continue
            raise UsageError(f"weights: {name} is missing. Expected {', '.join(program.weights)}.")
        came = list(weights[name])
        if len(came) != len(shape):
            raise UsageError(f"{name}: expected the shape [{', '.join(shape)}], came {came}.")
        for symbol, width in zip(shape, came, strict=True):
            _agree(sizes, said, symbol, width, f"{name} {came}")
    for name in weights:
        if name not in program.weights:
            raise UsageError(
                f"weights: {name} is not used by this cell. Expected {', '.join(program.weights)}."
                + nearest(name, program.weights)
            )
    return sizes


def _agree(sizes: dict[str, int], said: dict[str, str], symbol: str, width: int, who: str) -> None:
    if sizes.setdefault(symbol, width) != width:
        raise UsageError(f"{who}: expected the width {symbol} = {sizes[symbol]} (from {said[symbol]}), came {width}.")
    said.setdefault(symbol, who)


# ---- the calls; each takes out=None, like torch's own


def addcmul(u: Tensor, a: Tensor, b: Tensor, out: Tensor | None = None) -> Tensor:
    """u + a * b."""
    return torch.addcmul(u, a, b) if out is None else torch.addcmul(u, a, b, out=out)


def copy(v: Tensor, out: Tensor | None = None) -> Tensor:
    """v itself, or written to `out`."""
    return v if out is None else out.copy_(v)


def _relu(v: Tensor, out: Tensor | None = None) -> Tensor:
    return torch.relu(v) if out is None else torch.clamp_min(v, 0, out=out)


def _softplus(v: Tensor, out: Tensor | None = None) -> Tensor:
    return torch.logaddexp(v, v.new_zeros(()), out=out)


def _mean(v: Tensor, out: Tensor | None = None) -> Tensor:
    mean = v.mean(-1, keepdim=True).expand_as(v)
    return mean if out is None else out.copy_(mean)


def _rstd(v: Tensor, out: Tensor | None = None) -> Tensor:
    rstd = torch.rsqrt(v.var(-1, correction=0, keepdim=True) + RSTD_EPSILON).expand_as(v)
    return rstd if out is None else out.copy_(rstd)


def _positive(v: Tensor, out: Tensor | None = None) -> Tensor:
    return torch.gt(v, 0).to(v.dtype) if out is None else torch.gt(v, 0, out=out)


def _sigmoid_grad(g: Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
    if out is None:
        return g * y * (1 - y)
    return torch.ops.aten.sigmoid_backward.grad_input(g, y, grad_input=out)  # type: ignore[no-any-return]


def _tanh_grad(g: Tensor, y: Tensor, out: Tensor | None = None) -> Tensor:
    if out is None:
        return g * (1 - y * y)
    return torch.ops.aten.tanh_backward.grad_input(g, y, grad_input=out)  # type: ignore[no-any-return]


FUNCTIONS: Mapping[str, Any] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "neg": torch.neg,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": _relu,
    "exp": torch.exp,
    "log": torch.log,
    "softplus": _softplus,
    "square": torch.square,
    "sqrt": torch.sqrt,
    "abs": torch.abs,
    "sign": torch.sign,
    "positive": _positive,
    "mean": _mean,
    "rstd": _rstd,
    "sigmoid_grad": _sigmoid_grad,
    "tanh_grad": _tanh_grad,
}
