"""Projection: a state that is narrower than the layer (Sak et al. 2014), as a rewrite of the cell's Program."""

from __future__ import annotations

from dataclasses import replace

from riverrun.engine.program import Node, Program
from riverrun.errors import UsageError

WEIGHT = "projection"  # the key of the matrix: U.projection, [P, H]
WIDTH = "P"


def feeds_back(program: Program) -> bool:
    """Whether the output state meets nothing but matrices, so that its projection can be what is fed back.

    True of LSTM. False of GRU, whose output state also enters as it is, (1 - z) h + z n: there projection applies to
    the layer's output only.
    """
    places = {i for i, node in enumerate(program.nodes) if node.op == "state" and node.key == program.states[0]}
    readers = [node.op for node in program.nodes if places & set(node.inputs)]
    return bool(readers) and set(readers) == {"matmul"} and not places & set(program.outputs)


def project(program: Program) -> Program:
    """The program whose output state is U.projection @ h: [B, P], and so is what every U.k meets.

    Raises UsageError where the output state enters elementwise (`feeds_back` is False).
    """
    if not feeds_back(program):
        raise UsageError(
            f"projection: state {program.states[0]!r} meets more than matrices in this cell; project its output."
        )
    state = program.states[0]
    nodes = [replace(node, width=WIDTH) if node.op == "state" and node.key == state else node for node in program.nodes]
    nodes.append(Node("matmul", (program.outputs[0],), WEIGHT, width=WIDTH))
    new = len(nodes) - 1
    return replace(
        program,
        nodes=tuple(nodes),
        outputs=(new, *program.outputs[1:]),
        named=tuple((name, new if name == state else node) for name, node in program.named),
        state_widths=(WIDTH, *program.state_widths[1:]),
    )
