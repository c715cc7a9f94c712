"""The options of a language model: one frozen dataclass, read by TOML, flags, docs and the model itself.

Each field's metadata holds `help`, and where they apply `choices` (a tuple, or a function that lists them), `least`
(the smallest value), `below` (all values are less than it) and `acts` (beside which other options it does anything;
combinations.py reads it). This file imports no torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from riverrun import cells
from riverrun.errors import OptionError, nearest

if TYPE_CHECKING:
    from riverrun.cells.cell import Cell

MODELS = ("recurrent", "window")
# Of a vector whose width is not given. What the first layer reads costs: a 512-unit LSTM layer over 100 x 32 steps took
# 52 ms forward and backward reading 64, 81 ms reading 512 (bfloat16, two cores).
WIDEST = {"recurrent": 128, "window": 64}
SKIPS = ("none", "residual", "dense")
RECURRENT_INITS = ("cell", "orthogonal", "identity", "uniform", "glorot", "normal")


def _option(default: Any, help: str, **limits: Any) -> Any:
    return field(default=default, metadata={"help": help, **limits})


def _share(default: float, help: str, **limits: Any) -> Any:
    return _option(default, help, least=0.0, below=1.0, **limits)


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


def _has_steps(window: int) -> bool:
    return window > 1


RECURRENT = {"model": ("recurrent",)}
EMBEDDED = {"one_hot": (False,)}


@dataclass(frozen=True, kw_only=True)
class LanguageModelOptions:
    """What a language model is made of. Every value is checked here, and every option acts.

    Raises OptionError naming the option, what was expected and what came.

    >>> LanguageModelOptions(hidden=64, layers=1).embedding_size
    64
    >>> LanguageModelOptions(dropout=1.5)
    Traceback (most recent call last):
    ...
    riverrun.errors.OptionError: dropout: expected a number of at least 0.0 and less than 1.0, got 1.5.
    """

    model: str = _option(
        "recurrent", "recurrent network, or the fixed-window network of Bengio et al. 2003", choices=MODELS
    )
    cell: str = _option("lstm", "the recurrent cell", choices=cells.names, acts=RECURRENT)
    hidden: int = _option(512, "width of a recurrent layer, or of the fixed-window network's hidden layer", least=1)
    layers: int = _option(2, "recurrent layers, one on top of the other", least=1, acts=RECURRENT)
    embedding: int = _option(
        0, "width of a token's vector; 0: the output's where tied, else hidden, at most 128", least=0, acts=EMBEDDED
    )
    one_hot: bool = _option(False, "feed each token as a one-hot vector instead of a learned one")
    tied: bool = _option(False, "let the output layer use the embedding's weights (Press & Wolf 2017)", acts=EMBEDDED)
    projection: int = _option(0, "project each layer's output to this width; 0: no projection", least=0, acts=RECURRENT)
    bias: bool = _option(True, "biases in the recurrent layers", acts=RECURRENT)
    norm: bool = _option(False, "layer normalisation inside the gates (Ba et al. 2016)", acts=RECURRENT)
    skip: str = _option("none", "connections past a layer", choices=SKIPS, acts=RECURRENT)
    learned_initial: bool = _option(False, "learn the state that a sequence starts from", acts=RECURRENT)
    dropout: float = _share(0.3, "dropout between layers and on the last layer's output")
    embedding_dropout: float = _share(
        0.0, "share of the vocabulary whose vectors are dropped, per step of training (AWD)", acts=EMBEDDED
    )
    variational: float = _share(
        0.0, "one dropout mask a sequence, on inputs and recurrent state (Gal & Ghahramani 2016)", acts=RECURRENT
    )
    recurrent_dropout: float = _share(
        0.0, "dropout on the cell's candidate (Semeniuta et al. 2016)", acts={**RECURRENT, "cell": _has_candidate}
    )
    weight_dropout: float = _share(
        0.0,
        "DropConnect on the recurrent weights (AWD, Merity et al. 2018)",
        acts={**RECURRENT, ("cell", "hidden_depth"): _has_matrices},
    )
    zoneout: float = _share(
        0.0, "chance that a state entry keeps its old value for a step (Krueger et al. 2017)", acts=RECURRENT
    )
    input_depth: int = _option(
        1,
        "1, and more for tanh layers between a token's vector and the first recurrent layer (Pascanu et al. 2014)",
        least=1,
        acts=RECURRENT,
    )
    hidden_depth: int = _option(
        1,
        "1, and more for tanh layers from a state to the next one, in every recurrent layer (deep transition)",
        least=1,
        acts=RECURRENT,
    )
    output_depth: int = _option(
        1, "1, and more for tanh layers between the last recurrent layer and the output layer", least=1, acts=RECURRENT
    )
    recurrent_init: str = _option(
        "cell",
        "how recurrent weights start; cell: as the cell asks, mostly orthogonal",
        choices=RECURRENT_INITS,
        acts={**RECURRENT, ("cell", "hidden_depth", "projection"): _has_matrices},
    )
    forget_bias: float = _option(
        1.0,
        "what a forget gate's bias starts at (Jozefowicz et al. 2015)",
        acts={**RECURRENT, "chrono": (0,), "bias": (True,), "cell": _has_forget_gate},
    )
    chrono: int = _option(
        0,
        "spread the forget biases for memories up to this many steps (Tallec & Ollivier 2018); 0: off",
        least=0,
        acts={**RECURRENT, "bias": (True,), "cell": _has_gates},
    )
    context: int = _option(8, "tokens that the fixed-window network sees", least=1, acts={"model": ("window",)})
    label_smoothing: float = _share(0.0, "share of the target's probability that is spread over all tokens")
    activity: float = _option(0.0, "weight of the outputs' mean square in the loss (AR, Merity et al. 2017)", least=0.0)
    temporal_activity: float = _option(
        0.0, "weight of the mean square of their change from step to step (TAR)", least=0.0, acts={"window": _has_steps}
    )

    def __post_init__(self) -> None:
        for option in fields(self):
            _check(option.name, getattr(self, option.name), option.metadata, type(option.default))
        if self.tied and self.one_hot:
            raise OptionError("tied", "one-hot input has no embedding to share. Leave out one of tied and one_hot.")
        if self.one_hot and self.embedding:
            raise OptionError(
                "embedding", f"one-hot input has no embedding, got {self.embedding}. Leave out one of the two."
            )
        if self.tied and self.embedding not in (0, self.output_size):
            raise OptionError(
                "embedding",
                f"tied weights need an embedding as wide as the last layer's output, {self.output_size}, "
                f"got {self.embedding}. Leave it out, or project to that width.",
            )

    @property
    def output_size(self) -> int:
        """Width of what the output layer reads."""
        return self.projection if self.projection and self.model == "recurrent" else self.hidden

    @property
    def embedding_size(self) -> int:
        """Width of a token's vector: `embedding`, or what a tied output needs, or `hidden`, at most WIDEST."""
        if self.embedding:
            return self.embedding
        if self.tied:
            return self.output_size
        return min(WIDEST[self.model], self.hidden)


def _check(name: str, value: Any, limits: Any, kind: type) -> None:
    """OptionError unless `value` is of the default's type and within the field's limits."""
    right = isinstance(value, bool) if kind is bool else isinstance(value, int | float) and not isinstance(value, bool)
    if kind is str:
        right = isinstance(value, str)
    elif kind is int:
        right = right and isinstance(value, int)
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a name"}[kind]
    if "choices" in limits and not callable(limits["choices"]):  # callable: looked up, and judged, when it is used
        if value not in limits["choices"]:
            expected = ", ".join(limits["choices"])
            raise OptionError(
                name, f"expected one of {expected}, got {value!r}.{nearest(str(value), limits['choices'])}"
            )
        return
    bounds = [f"of at least {limits['least']}"] if "least" in limits else []
    bounds += [f"less than {limits['below']}"] if "below" in limits else []
    right = right and (isinstance(value, str) or math.isfinite(value))
    inside = right and (not bounds or value >= limits["least"]) and ("below" not in limits or value < limits["below"])
    if not inside:
        raise OptionError(name, f"expected {' '.join([words, ' and '.join(bounds)]).strip()}, got {value!r}.")
