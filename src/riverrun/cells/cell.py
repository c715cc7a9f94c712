"""Cell: what a recurrent cell is. One class whose `step` is its equations; nothing else is needed.

    from riverrun.cells import Cell, tanh

    class MyCell(Cell):
        states = ("h",)

        def step(x, U, h):
            return tanh(x.h + U.h @ h)

`step` is a plain function of the class, without self. Its arguments are matched by name:

    x.k        W.k x_t + b.k, computed for all steps at once, outside the loop
    U.k @ v    the matrix U.k times the vector v (on a batch: v U.k^T)
    b.k        a bias inside the loop, absent from a layer without biases
    p.k        any other vector (a peephole)
    h, c, ...  the states, each [B, n], by the names in `states`

It returns the new states in the order of `states`; the first is the cell's output. Every width is H unless
`sizes` names another. What a step may compute is a closed list: docs/operations.md.

>>> from riverrun.cells import find
>>> find("lstm").states
('h', 'c')
>>> keys(find("gru"))
('r', 'z', 'n')
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from riverrun.engine.program import Program
from riverrun.engine.trace import exp, log, maximum, minimum, relu, sigmoid, softplus, sqrt, square, tanh, trace
from riverrun.errors import CellError

__all__ = [
    "Cell",
    "Initialise",
    "exp",
    "keys",
    "log",
    "maximum",
    "minimum",
    "name",
    "program",
    "relu",
    "sigmoid",
    "softplus",
    "sqrt",
    "square",
    "tanh",
]


@dataclass(frozen=True, kw_only=True)
class Initialise:
    """What a cell knows of its own start; a layer turns it into numbers.

    forget: keys of gates that multiply the old state, whose bias starts at the layer's forget_bias
        (1, Jozefowicz et al. 2015).
    keep: keys of gates that multiply the old state, but start at 0.
    write: keys of gates that multiply what is new.
    recurrent: the start of the recurrent matrices, "identity" for ReLU (Le et al. 2015), or "" for the layer's
        own choice.

    Chrono initialisation (Tallec & Ollivier 2018) draws u from U(1, T_max - 1) and starts forget and keep at
    log u, write at -log u.
    """

    forget: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    recurrent: str = ""


class Cell:
    """A recurrent cell: the equations of one step, and their names. Never instantiated; the class itself is the cell.

    step: the equations (see the module).
    states: the names of the states, the output first.
    gates: the names of the values that the paper calls gates and candidates, for pages and plots; may be left out.
    sizes: the symbolic width of each state that is not "H" wide, e.g. {"y": "Y"}.
    candidate: the name of the local value that recurrent dropout multiplies (Semeniuta et al. 2016), or None.
    initialise: how its biases and matrices start.
    """

    step: ClassVar[Callable[..., Any]]
    states: ClassVar[tuple[str, ...]] = ()
    gates: ClassVar[tuple[str, ...]] = ()
    sizes: ClassVar[Mapping[str, str]] = MappingProxyType({})
    candidate: ClassVar[str | None] = None
    initialise: ClassVar[Initialise] = Initialise()

    def __new__(cls) -> Cell:
        raise CellError(
            f"{cls.__name__}: pass the class itself, as in Recurrent({cls.__name__}, 64, 256); came a call of it."
        )

    def __init_subclass__(cls) -> None:
        """Say at once, at the class, what is missing from a cell."""
        super().__init_subclass__()
        if not callable(getattr(cls, "step", None)):
            raise CellError(f"{cls.__name__}: expected a function `step(x, U, h)` returning the new states; came none.")
        if isinstance(cls.states, str):
            raise CellError(f"{cls.__name__}.states: expected a tuple of names, came the string {cls.states!r}.")
        if not cls.states:
            raise CellError(f'{cls.__name__}.states: expected the names of its states, e.g. ("h",); none came.')
        for key in cls.sizes:
            if key not in cls.states:
                raise CellError(f"{cls.__name__}.sizes names {key!r}, which is none of its states {cls.states}.")


def program(cell: type[Cell]) -> Program:
    """The cell's step as a graph, traced once per class.

    Errors: CellError, naming file and line, where the step does what the engine cannot trace.
    """
    return _traced(cell.step, cell.states, tuple(cell.sizes.items()), cell.candidate)


@functools.cache
def _traced(
    step: Callable[..., Any], states: tuple[str, ...], sizes: tuple[tuple[str, str], ...], candidate: str | None
) -> Program:
    return trace(step, states=states, sizes=dict(sizes), candidate=candidate)


def keys(cell: type[Cell]) -> tuple[str, ...]:
    """The cell's gates as it names them, or, where it does not, the keys of its input projections."""
    return cell.gates or tuple(program(cell).x_keys)


def name(cell: type[Cell]) -> str:
    """The cell's name on the command line ("gru-after"); a user's own cell goes by its class name."""
    package, _, module = cell.__module__.rpartition(".")
    return module.replace("_", "-") if package == "riverrun.cells" else cell.__name__
