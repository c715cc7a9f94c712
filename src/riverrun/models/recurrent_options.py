"""RecurrentOptions: what every model with a recurrent stack can be told about it. This file imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from riverrun import cells
from riverrun.fields import check, option, share

if TYPE_CHECKING:
    from riverrun.cells.cell import Cell

SKIPS = ("none", "residual", "dense")
RECURRENT_INITS = ("cell", "orthogonal", "identity", "uniform", "glorot", "normal")


def _cell(cell: str | type[Cell]) -> type[Cell]:
    return cells.find(cell) if isinstance(cell, str) else cell


def _has_forget_gate(cell: str | type[Cell]) -> bool:
    return bool(_cell(cell).initialise.forget)


def _has_gates(cell: str | type[Cell]) -> bool:
    start = _cell(cell).initialise
    return bool(start.forget or start.keep or start.write)


def _has_candidate(cell: str | type[Cell]) -> bool:
    return _cell(cell).candidate is not None


def _has_matrices(cell: str | type[Cell], hidden_depth: int, projection: int = 0) -> bool:
    from riverrun.cells.cell import program

    return hidden_depth > 1 or projection > 0 or bool(program(_cell(cell)).u_keys)


# Where a model need not be recurrent, its option `model` says so.
RECURRENT = {"model": ("recurrent",)}


@dataclass(frozen=True, kw_only=True)
class RecurrentOptions:
    """What every model with a recurrent stack can be told about it; a model's own options come after these.

    Raises OptionError naming the option, what was expected and what came.
    """

    cell: str = option("lstm", "the recurrent cell", choices=cells.names, acts=RECURRENT)
    hidden: int = option(512, "width of a recurrent layer, or of the fixed-window network's hidden layer", least=1)
    layers: int = option(2, "recurrent layers, one on top of the other", least=1, acts=RECURRENT)
    projection: int = option(0, "project each layer's output to this width; 0: no projection", least=0, acts=RECURRENT)
    bias: bool = option(True, "biases in the recurrent layers", acts=RECURRENT)
    norm: bool = option(False, "layer normalisation inside the gates (Ba et al. 2016)", acts=RECURRENT)
    skip: str = option("none", "connections past a layer", choices=SKIPS, acts=RECURRENT)
    learned_initial: bool = option(False, "learn the state that a sequence starts from", acts=RECURRENT)
    dropout: float = share(0.3, "dropout between layers and on the last layer's output")
    variational: float = share(
        0.0, "one dropout mask a sequence, on inputs and recurrent state (Gal & Ghahramani 2016)", acts=RECURRENT
    )
    recurrent_dropout: float = share(
        0.0, "dropout on the cell's candidate (Semeniuta et al. 2016)", acts={**RECURRENT, "cell": _has_candidate}
    )
    weight_dropout: float = share(
        0.0,
        "DropConnect on the recurrent weights (AWD, Merity et al. 2018)",
        acts={**RECURRENT, ("cell", "hidden_depth"): _has_matrices},
    )
    zoneout: float = share(
        0.0, "chance that a state entry keeps its old value for a step (Krueger et al. 2017)", acts=RECURRENT
    )
    input_depth: int = option(
        1,
        "1, and more for tanh layers between a token's vector and the first recurrent layer (Pascanu et al. 2014)",
        least=1,
        acts=RECURRENT,
    )
    hidden_depth: int = option(
        1,
        "1, and more for tanh layers from a state to the next one, in every recurrent layer (deep transition)",
        least=1,
        acts=RECURRENT,
    )
    output_depth: int = option(
        1, "1, and more for tanh layers between the last recurrent layer and the output layer", least=1, acts=RECURRENT
    )
    recurrent_init: str = option(
        "cell",
        "how recurrent weights start; cell: as the cell asks, mostly orthogonal",
        choices=RECURRENT_INITS,
        acts={**RECURRENT, ("cell", "hidden_depth", "projection"): _has_matrices},
    )
    forget_bias: float = option(
        1.0,
        "what a forget gate's bias starts at (Jozefowicz et al. 2015)",
        acts={**RECURRENT, "chrono": (0,), "bias": (True,), "cell": _has_forget_gate},
    )
    chrono: int = option(
        0,
        "spread the forget biases for memories up to this many steps (Tallec & Ollivier 2018); 0: off",
        least=0,
        acts={**RECURRENT, "bias": (True,), "cell": _has_gates},
    )

    def __post_init__(self) -> None:
        check(self)

    def words(self, cell: str = "") -> str:
        """The model in a few words. cell: how a cell of one's own is called."""
        layers = f"{self.layers} layer{'s' if self.layers > 1 else ''}"
        return f"{cell or self.cell}, {layers} of {self.hidden}, dropout {self.dropout:g}"
