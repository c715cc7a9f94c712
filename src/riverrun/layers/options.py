"""What a recurrent stack can be told beyond its sizes: three frozen sets of plain values, checked when made."""

from __future__ import annotations

from dataclasses import dataclass, fields

from riverrun.errors import OptionError, nearest

RECURRENT = ("cell", "orthogonal", "identity", "uniform", "glorot", "normal")
INPUT = ("glorot", "uniform", "orthogonal", "normal")


@dataclass(frozen=True, kw_only=True)
class Dropouts:
    """Every way in which a stack drops values while it trains; each is a probability in [0, 1), 0 is off.

    between      on the outputs of each layer but the last, anew at every step (Zaremba et al. 2014)
    variational  one mask per sequence, on each layer's input and on the state that meets U (Gal and Ghahramani 2016)
    recurrent    on the candidate, so that memory is never erased (Semeniuta et al. 2016); anew at every step
    weight       DropConnect on U, one mask per forward call (Merity et al. 2018)
    zoneout      the chance that a unit of a state keeps its old value (Krueger et al. 2017); in evaluation the
                 expectation, z * old + (1 - z) * new, so this one alone also acts outside training

    All masks come from torch's default generator of the device, so its state is all that a resume needs. Kept values
    are scaled by 1 / (1 - p), zoneout's excepted. "Per sequence" means per row of a forward call: a reset inside a
    window does not draw a new mask.
    """

    between: float = 0.0
    variational: float = 0.0
    recurrent: float = 0.0
    weight: float = 0.0
    zoneout: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value < 1:
                raise OptionError(f"dropouts.{field.name}", f"expected a probability in [0, 1), got {value!r}.")


@dataclass(frozen=True, kw_only=True)
class Depth:
    """How many layers lie inside each of the three transitions of a recurrent network; 1 is the plain network.

    input   input-to-hidden: input - 1 layers tanh(V x + a) of the hidden width before the first recurrent layer
    hidden  hidden-to-hidden: hidden - 1 layers tanh(U h + b) inside every step of every recurrent layer
    output  hidden-to-output: output - 1 layers tanh(V y + a) of the output's width after the last recurrent layer

    Source: Pascanu, Gulcehre, Cho and Bengio 2014, "How to construct deep recurrent neural networks".
    """

    input: int = 1
    hidden: int = 1
    output: int = 1

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (isinstance(value, int) and value >= 1):
                raise OptionError(f"depth.{field.name}", f"expected a whole number from 1, got {value!r}.")


@dataclass(frozen=True, kw_only=True)
class Initialisation:
    """Where the weights start.

    recurrent    each U.k: "cell" (what the cell asks for, orthogonal where it asks for nothing), "orthogonal" (Saxe et
                 al. 2014), "identity" (Le et al. 2015), "glorot", "uniform" (torch's: U(-1/sqrt(H), 1/sqrt(H))),
                 "normal" (standard deviation 1/sqrt(fan in))
    input        each W.k: "glorot" (Glorot and Bengio 2010), "uniform", "orthogonal", "normal"
    forget_bias  what the forget gate's bias starts at, in cells that have one (Jozefowicz et al. 2015: 1)
    chrono       0, or T_max: the forget gate's bias starts at log(U(1, T_max - 1)) and the input gate's, where there is
                 one, at its negative, so that memory spans up to T_max steps (Tallec and Ollivier 2018); it takes the
                 place of forget_bias

    What is given and would do nothing in a layer (no matrix U.k, no forget gate with a bias) is an error there.
    """

    recurrent: str = "cell"
    input: str = "glorot"
    forget_bias: float = 1.0
    chrono: int = 0

    def __post_init__(self) -> None:
        for name, known in (("recurrent", RECURRENT), ("input", INPUT)):
            value = getattr(self, name)
            if value not in known:
                hint = nearest(str(value), known)
                problem = f"expected one of {', '.join(known)}; got {value!r}.{hint}"
                raise OptionError(f"initialisation.{name}", problem)
        if not (isinstance(self.chrono, int) and (self.chrono == 0 or self.chrono >= 3)):
            raise OptionError(
                "initialisation.chrono", f"expected the longest memory in steps, from 3 (0: off), got {self.chrono!r}."
            )
