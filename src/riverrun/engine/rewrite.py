"""Rewrites: Program -> Program. What other libraries put into every cell is here done to any cell at once.

Masks are inputs of the scan, [B, n] or [T, B, n]; the layer draws them. Every rewrite keeps the names that can be
recorded, which then mean the rewritten values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

from riverrun.engine.builder import Builder
from riverrun.engine.program import UNARY, Node, Program, pruned
from riverrun.errors import UsageError, nearest

Change = Callable[[Builder, int, Node, int], int]


@lru_cache(maxsize=64)
def recurrent_dropout(program: Program, candidate: str) -> Program:
    """Recurrent dropout (Semeniuta et al. 2016): the candidate is multiplied by the mask "candidate".

    The memory itself is never dropped, only what is written to it. Raises UsageError where no value has that name.
    """
    if candidate not in program.names:
        raise UsageError(
            f"candidate: expected one of {', '.join(program.names)}; came {candidate!r}."
            + nearest(candidate, program.names)
        )
    target = program.names[candidate]

    def change(build: Builder, index: int, node: Node, new: int) -> int:
        return _masked(build, new, "candidate", node.width) if index == target else new

    return _changed(program, change)


@lru_cache(maxsize=64)
def state_dropout(program: Program) -> Program:
    """Variational dropout (Gal and Ghahramani 2016): every product reads a state NAME times the mask "state.NAME".

    Also a factor of what a product reads (U.n @ (r * h)) or the argument of a function of it (U.z @ tanh(h)) is so
    masked. Where a state is read otherwise (the (1 - z) h of a GRU), it stays whole.
    """
    build = Builder()
    place: list[int] = []
    inside: dict[int, int] = {}  # what a product reads -> the same with its states masked

    def dropped(index: int) -> int:
        node = program.nodes[index]
        if node.op == "state":
            return _masked(build, place[index], f"state.{node.key}", node.width)
        if node.op == "mul" or node.op in UNARY:
            inside[index] = build.put(_moved(node, tuple(dropped(i) for i in node.inputs)))
        return inside.get(index, place[index])

    for node in program.nodes:
        inputs = (dropped(node.inputs[0]),) if node.op == "matmul" else tuple(place[i] for i in node.inputs)
        place.append(build.put(_moved(node, inputs)))
    names = [(name, at) for name, i in program.named for at in (inside.get(i, place[i]), place[i])]
    return _replaced(program, build, tuple(place[index] for index in program.outputs), names)


@lru_cache(maxsize=64)
def zoneout(program: Program, state: str) -> Program:
    """Zoneout (Krueger et al. 2017): new = m old + (1 - m) new, with m the mask "zoneout.STATE".

    In training m is 0 or 1, drawn anew at every step; in evaluation it holds the probability of a 1.
    """
    if state not in program.states:
        expected = ", ".join(program.states)
        raise UsageError(
            f"zoneout: expected a state, one of {expected}; came {state!r}.{nearest(state, program.states)}"
        )
    build = Builder(program.nodes)
    which = program.states.index(state)
    width = program.state_widths[which]
    old = build.leaf("state", state, width)
    mask = build.leaf("mask", f"zoneout.{state}", width)
    kept = build.add("mul", mask, old)
    written = build.add("mul", build.add("sub", build.const(1.0), mask), program.outputs[which])
    outputs = list(program.outputs)
    outputs[which] = build.add("add", kept, written)
    names = {**program.names, state: outputs[which]}
    return _replaced(program, build, tuple(outputs), names.items())


@lru_cache(maxsize=64)
def layer_norm(program: Program) -> Program:
    """Layer norm inside the gates (Ba et al. 2016), gate by gate: of W.k x without its bias, and of every U.k v.

        x.k becomes LN(W.k x) p.ln_x.k + b.k          U.k @ v becomes LN(U.k v) p.ln_u.k
        LN(a) = (a - mean(a)) / sqrt(var(a) + 1e-5), over the row

    The gains "p.ln_x.k" and "p.ln_u.k" are to start at 1. The bias b.k is then one inside the loop.
    """
    for node in program.nodes:
        if node.key.startswith(("ln_x.", "ln_u.")):
            raise UsageError("layer_norm: this program is normed already.")

    def change(build: Builder, index: int, node: Node, new: int) -> int:
        if node.op == "x":
            scaled = _normed(build, new, f"ln_x.{node.key}", node.width)
            return build.add("add", scaled, build.leaf("bias", node.key, node.width))
        if node.op == "matmul":
            return _normed(build, new, f"ln_u.{node.key}", node.width)
        return new

    return _changed(program, change)


@lru_cache(maxsize=64)
def transition(program: Program, depth: int) -> Program:
    """Depth from hidden to hidden (Pascanu et al. 2014): the output state passes depth - 1 more layers within a step.

    h <- tanh(U.transition_j h + b.transition_j),   j = 1 .. depth - 1
    """
    if depth < 1:
        raise UsageError(f"depth: expected at least 1, came {depth}.")
    build = Builder(program.nodes)
    width = program.state_widths[0]
    new = program.outputs[0]
    for layer in range(1, depth):
        key = f"transition_{layer}"
        product = build.add("matmul", new, key=key, width=width)
        new = build.add("tanh", build.add("add", product, build.leaf("bias", key, width)))
    names = {**program.names, program.states[0]: new}
    return _replaced(program, build, (new, *program.outputs[1:]), names.items())


def _masked(build: Builder, index: int, key: str, width: str) -> int:
    return build.add("mul", index, build.leaf("mask", key, width), width=width)


def _normed(build: Builder, index: int, gain: str, width: str) -> int:
    centred = build.add("sub", index, build.add("mean", index))
    return build.add("mul", build.add("mul", centred, build.add("rstd", index)), build.leaf("vector", gain, width))


def _moved(node: Node, inputs: tuple[int, ...]) -> Node:
    return Node(node.op, inputs, node.key, node.value, node.width, node.where)


def _changed(program: Program, change: Change) -> Program:
    """The program in which every reader of a node reads what `change` has made of it."""
    build = Builder()
    place: list[int] = []
    for index, node in enumerate(program.nodes):
        new = build.put(_moved(node, tuple(place[i] for i in node.inputs)))
        place.append(change(build, index, node, new))
    return _rebuilt(program, build, place)


def _rebuilt(program: Program, build: Builder, place: list[int]) -> Program:
    outputs = tuple(place[index] for index in program.outputs)
    return _replaced(program, build, outputs, [(name, place[index]) for name, index in program.named])


def _replaced(program: Program, build: Builder, outputs: tuple[int, ...], names: Iterable[tuple[str, int]]) -> Program:
    """The program of these nodes; where a name stands twice, the last one that anything reads holds."""
    nodes, kept, named = pruned(build.nodes, outputs, names)
    return Program(
        nodes=nodes,
        states=program.states,
        outputs=kept,
        named=tuple(dict(named).items()),
        candidate=program.candidate,
        state_widths=program.state_widths,
    )
