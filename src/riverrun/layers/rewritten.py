"""From a cell's Program to that of a layer: the options of a layer that act inside a step, put in one after another."""

from __future__ import annotations

from riverrun.engine import rewrite
from riverrun.engine.program import Program
from riverrun.layers.options import Dropouts
from riverrun.layers.projection import project


def rewritten(program: Program, *, dropouts: Dropouts, norm: bool, hidden_depth: int, projected: bool) -> Program:
    """One step with these options, innermost first.

    The candidate's dropout and layer norm belong to the cell's own equations; then come what follows them (more layers
    from hidden to hidden, the projection), the mask on the states that meet a matrix, and at last zoneout, which
    chooses between the old states and whatever the new ones became.
    """
    if dropouts.recurrent:
        assert program.candidate is not None  # `Stack` has checked it
        program = rewrite.recurrent_dropout(program, program.candidate)
    if norm:
        program = rewrite.layer_norm(program)
    if hidden_depth > 1:
        program = rewrite.transition(program, hidden_depth)
    if projected:
        program = project(program)
    if dropouts.variational:
        program = rewrite.state_dropout(program)
    if dropouts.zoneout:
        for state in program.states:
            program = rewrite.zoneout(program, state)
    return program
