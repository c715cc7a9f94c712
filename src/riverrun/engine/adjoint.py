"""The Program of a gradient: from what arrives at the new states to what leaves at the old ones and at every parameter.

Reverse mode on one step. It reads three things: `gradient` leaves (what arrives at each new state), leaves of the step
itself that do not change with it (biases, vectors, masks, constants), and `saved` leaves: values of the forward step,
which the adjoint so chooses. Where a function's slope can be told from its value (sigmoid, tanh, exp, sqrt, relu), the
value is saved, not the argument. What follows from a row alone, its mean and its spread among it, is computed again
from the row: layer norm so saves one value where it would save four, and memory costs more than a pass over a row.

Gradients of weight matrices are not in it. For the products of one group, with operand v_t [B, m] and arriving gradient
g_t [B, sum n], dU = sum over t of g_t^T v_t is one product after the loop; so the adjoint only says where g_t is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from riverrun.engine.builder import Builder
from riverrun.engine.program import ROWWISE, Node, Program, pruned

STATIC = ("bias", "vector", "mask", "const")
AGAIN = ("add", "sub", "mul", "neg")  # cheap enough to be done twice


@dataclass(frozen=True, kw_only=True)
class Adjoint:
    """The gradient of one step. A position of -1 says that this gradient is zero."""

    nodes: tuple[Node, ...]  # matmul_t reads the gradients of a whole group; its key is the group's operand
    states: tuple[int, ...]  # the gradient of each old state, in order
    products: tuple[tuple[int, int], ...]  # matmul node of the program -> the gradient of its result
    x: tuple[tuple[str, int], ...]  # gradient of x.k; of W.k and b.k by one product after the loop
    rows: tuple[
        tuple[str, int], ...
    ]  # gradient of "b.k" inside the loop and of "p.k", to be summed over steps and rows
    saved: tuple[int, ...]  # nodes of the program whose values the step must keep, operands of products among them


@lru_cache(maxsize=256)
def adjoint(program: Program) -> Adjoint:
    """The adjoint of a Program."""
    build = Builder()
    arriving: dict[int, list[int]] = {}  # node of the program -> contributions to its gradient
    gradient: dict[int, int] = {}  # node of the program -> its gradient, once complete
    groups = {group.operand: group for group in program.groups}

    rows = _rows(program)

    def value(index: int) -> int:
        node = program.nodes[index]
        if node.op in STATIC:
            return build.put(node)
        if index in rows:
            return build.add(node.op, *map(value, node.inputs), width=node.width)
        return build.leaf("saved", str(index), node.width)

    for state, output in zip(program.states, program.outputs, strict=True):
        leaf = build.leaf("gradient", state, program.nodes[output].width)
        arriving.setdefault(output, []).append(leaf)
    for index in reversed(range(len(program.nodes))):
        if index in groups:
            members = [m for m in groups[index].members if m in gradient]
            if members:
                wide = program.nodes[index].width
                product = build.add("matmul_t", *(gradient[m] for m in members), key=str(index), width=wide)
                arriving.setdefault(index, []).append(product)
        if index not in arriving:
            continue
        g = gradient[index] = build.total(arriving[index])
        for read, part in _pull(build, program, index, g, value):
            if program.nodes[read].op != "const":
                arriving.setdefault(read, []).append(part)
    return _finished(program, build, gradient)


def _rows(program: Program) -> dict[int, int]:
    """The nodes that follow from the mean and the spread of one row, and from it: which row that is."""
    found: dict[int, int] = {}
    for index, node in enumerate(program.nodes):
        if node.op in ROWWISE:
            row = node.inputs[0]
            if row not in found:  # else that of a row of a row, which would be three passes
                found[index] = row
        elif node.op in AGAIN:
            rows = {found[i] for i in node.inputs if i in found}
            if len(rows) == 1 and all(i in found or i in rows for i in node.inputs):
                found[index] = rows.pop()
    return found


def _pull(build: Builder, program: Program, index: int, g: int, value: Callable[[int], int]) -> list[tuple[int, int]]:
    """What a node's gradient g gives to each of its inputs."""
    node = program.nodes[index]
    if node.op in ("add", "sub", "mul", "div", "maximum", "minimum"):
        a, b = node.inputs
        if node.op == "add":
            return [(a, g), (b, g)]
        if node.op == "sub":
            return [(a, g), (b, build.add("neg", g))]
        if node.op == "mul":
            return [(a, build.times(g, value(b))), (b, build.times(g, value(a)))]
        if node.op == "div":
            part = build.add("div", g, value(b))
            return [(a, part), (b, build.add("neg", build.times(part, value(index))))]
        # A tie gives each side one half, as torch does: 1/2 + 1/2 sign(a - b).
        half = build.const(0.5)
        side = build.times(half, build.add("sign", build.add("sub", value(a), value(b))))
        more, less = build.add("add", half, side), build.add("sub", half, side)
        if node.op == "minimum":
            more, less = less, more
        return [(a, build.times(g, more)), (b, build.times(g, less))]
    if not node.inputs or node.op == "matmul":
        return []
    v = node.inputs[0]
    if node.op == "neg":
        return [(v, build.add("neg", g))]
    if node.op in ("sigmoid", "tanh"):
        return [(v, build.add(f"{node.op}_grad", g, value(index)))]
    if node.op == "mean":
        return [(v, _mean(build, g))]
    if node.op == "rstd":
        centred = build.add("sub", value(v), build.add("mean", value(v)))
        normed = build.times(centred, value(index))  # which layer norm has, too
        slope = build.times(build.times(normed, build.add("square", value(index))), _mean(build, g))
        return [(v, build.add("neg", slope))]
    if node.op == "log":
        return [(v, build.add("div", g, value(v)))]
    if node.op == "sqrt":
        return [(v, build.add("div", build.times(build.const(0.5), g), value(index)))]
    slopes: dict[str, Callable[[], int]] = {
        "exp": lambda: value(index),
        "relu": lambda: build.add("positive", value(index)),
        "softplus": lambda: build.add("sigmoid", value(v)),
        "square": lambda: build.times(build.const(2.0), value(v)),
        "abs": lambda: build.add("sign", value(v)),
    }
    return [(v, build.times(g, slopes[node.op]()))]


def _mean(build: Builder, g: int) -> int:
    """The mean of a row; a sign is drawn out, so that no row is written for it."""
    node = build.nodes[g]
    return build.add("neg", build.add("mean", *node.inputs)) if node.op == "neg" else build.add("mean", g)


def _finished(program: Program, build: Builder, gradient: dict[int, int]) -> Adjoint:
    """Everything that is wanted, named; what is not falls away, and with it what need not be saved."""
    states = {node.key: i for i, node in enumerate(program.nodes) if node.op == "state"}
    wanted: dict[tuple[str, object], int] = {}
    for state in program.states:
        if state in states and states[state] in gradient:
            wanted["state", state] = gradient[states[state]]
    for index, node in enumerate(program.nodes):
        if index not in gradient:
            continue
        if node.op == "matmul":
            wanted["product", index] = gradient[index]
        elif node.op == "x":
            wanted["x", node.key] = gradient[index]
        elif node.op in ("bias", "vector"):
            wanted["row", f"{'b' if node.op == 'bias' else 'p'}.{node.key}"] = gradient[index]
    nodes, kept, _ = pruned(build.nodes, tuple(wanted.values()))
    at = dict(zip(wanted, kept, strict=True))
    saved = {int(node.key) for node in nodes if node.op == "saved"}
    saved |= {program.nodes[index].inputs[0] for kind, index in at if kind == "product" and isinstance(index, int)}
    return Adjoint(
        nodes=nodes,
        states=tuple(at.get(("state", state), -1) for state in program.states),
        products=tuple((key, i) for (kind, key), i in at.items() if kind == "product" and isinstance(key, int)),
        x=tuple((key, i) for (kind, key), i in at.items() if kind == "x" and isinstance(key, str)),
        rows=tuple((key, i) for (kind, key), i in at.items() if kind == "row" and isinstance(key, str)),
        saved=tuple(sorted(saved)),
    )
