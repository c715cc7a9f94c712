"""TrainingOptions: how long, how fast and how safely to train."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from riverrun.errors import OptionError, nearest

OPTIMISERS = ("adamw", "adam", "sgd", "momentum", "adagrad", "rmsprop", "asgd")
SCHEDULES = ("cosine", "linear", "constant", "plateau")
PRECISIONS = ("auto", "float32", "bfloat16", "float16", "float64")


def _option(default: Any, help: str, choices: tuple[str, ...] = (), acts: Mapping[str, Any] | None = None) -> Any:
    """A field; `acts` says beside which other options it does anything (combinations.py reads it)."""
    known = {"help": help, "choices": choices, "acts": acts}
    return field(default=default, metadata={key: value for key, value in known.items() if value})


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(ABC):
    """What every [training] section of a run.toml has; a task's own adds how its batches are made.

    Of several budgets the one that is reached first ends the run.

    Raises OptionError naming the option where a value makes no sense.
    """

    minutes: float = _option(
        0.0,
        "time budget in minutes; the learning rate follows it (0: none; without a budget the preset's holds)",
    )
    steps: int = _option(0, "budget in updates (0: none)")
    epochs: float = _option(0.0, "budget in passes over the training part (0: none)")
    optimiser: str = _option("adamw", "the update rule", OPTIMISERS)
    lr: float = _option(0.003, "learning rate at its highest")
    momentum: float = _option(0.9, "momentum of --optimiser momentum", acts={"optimiser": ("momentum",)})
    weight_decay: float = _option(0.01, "weight decay of matrices: decoupled for adamw, an L2 penalty for the others")
    beta2: float = _option(
        0.99,
        "decay of the squared-gradient average of adam, adamw and rmsprop",
        acts={"optimiser": ("adamw", "adam", "rmsprop")},
    )
    schedule: str = _option("cosine", "how the learning rate falls over the budget", SCHEDULES)
    warmup: float = _option(0.02, "share of the budget over which the learning rate rises from 0")
    final_lr: float = _option(
        0.0, "learning rate at the end of the budget, as a share of --lr", acts={"schedule": ("cosine", "linear")}
    )
    clip_norm: float = _option(1.0, "largest norm of the gradient (0: no limit)")
    clip_value: float = _option(0.0, "largest absolute value of a gradient's element (0: no limit)")
    average: float = _option(0.0, "decay of the moving average of the weights that is evaluated and kept (0: none)")
    patience: int = _option(0, "stop after so many evaluations without improvement (0: never); needs a validation part")
    evaluate_every: int = _option(0, "steps between evaluations on the validation part (0: ten over the budget)")
    sample_every: int = _option(0, "steps between samples (0: ten over the budget)")
    checkpoint_every: int = _option(0, "steps between checkpoints (0: one a minute)")
    accumulate: int = _option(1, "batches whose gradients are added up to one update")
    precision: str = _option("auto", "number format of the products; auto: bfloat16 where it is native", PRECISIONS)
    seed: int = _option(0, "seed of every random draw")
    device: str = _option("auto", "cpu, cuda, cuda:1 ...; auto: a GPU where there is one")
    threads: int = _option(0, "CPU threads (0: torch's choice)")
    tensorboard: bool = _option(False, "write TensorBoard files into the run folder")

    def __post_init__(self) -> None:
        for name in ("minutes", "steps", "epochs", "patience", "evaluate_every", "sample_every", "checkpoint_every"):
            self._check(name, "0 or more", getattr(self, name) >= 0)
        self._check("lr", "a number above 0", self.lr > 0)
        for name in (
            "momentum",
            "weight_decay",
            "warmup",
            "final_lr",
            "clip_norm",
            "clip_value",
            "threads",
            "seed",
        ):
            self._check(name, "0 or more", getattr(self, name) >= 0)
        self._check("accumulate", "1 or more", self.accumulate >= 1)
        for name in ("momentum", "beta2", "average"):
            self._check(name, "at least 0 and below 1", 0 <= getattr(self, name) < 1)
        for name in ("warmup", "final_lr"):
            self._check(name, "a share, from 0 to 1", 0 <= getattr(self, name) <= 1)
        for name, known in (("optimiser", OPTIMISERS), ("schedule", SCHEDULES), ("precision", PRECISIONS)):
            value = getattr(self, name)
            self._check(name, f"one of {', '.join(known)}", value in known, nearest(str(value), known))
        if self.optimiser == "asgd" and self.average:
            raise OptionError("average", "optimiser asgd averages the weights, too. Leave one of the two out.")

    def _check(self, name: str, expected: str, right: bool, hint: str = "") -> None:
        value = getattr(self, name)
        finite = not isinstance(value, float) or math.isfinite(value)
        if not (right and finite):
            raise OptionError(name, f"expected {expected}; got {value!r}.{hint}")

    @property
    @abstractmethod
    def rows(self) -> int:
        """How many sequences are in a batch."""

    @property
    @abstractmethod
    def ragged(self) -> bool:
        """Whether the sequences of a batch have different lengths."""

    @property
    @abstractmethod
    def selects(self) -> bool:
        """True where training looks at a validation part."""

    def budget(self) -> str:
        """The budget in words, as it is shown: `15 minutes`, `2000 steps or 3 epochs`."""
        parts = [f"{getattr(self, name):g} {name}" for name in ("minutes", "steps", "epochs") if getattr(self, name)]
        return " or ".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """The options as plain values, for JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class StreamTraining(TrainingOptions):
    """Training on streams of contiguous text (data.streams.Streams)."""

    lanes: int = _option(64, "parallel streams of contiguous text: the batch size")
    window: int = _option(100, "steps of back-propagation through time")
    random_window: bool = _option(
        False, "draw the window's length anew for every batch (Merity et al. 2018, section 5)"
    )
    fresh: float = _option(
        0.01, "chance that a lane forgets its state before a window, so that the model also learns to begin"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("lanes", "window"):
            self._check(name, "1 or more", getattr(self, name) >= 1)
        self._check("fresh", "a share, from 0 to 1", 0 <= self.fresh <= 1)

    @property
    def rows(self) -> int:
        """The lanes."""
        return self.lanes

    @property
    def ragged(self) -> bool:
        """Never: a window is cut from all lanes alike."""
        return False

    @property
    def selects(self) -> bool:
        """True where training looks at a validation part: early stopping, plateau, the trigger of averaged SGD, or an
        evaluation every so many steps."""
        return self.patience > 0 or self.evaluate_every > 0 or self.schedule == "plateau" or self.optimiser == "asgd"


@dataclass(frozen=True, kw_only=True)
class ExampleTraining(TrainingOptions):
    """Training on separate examples, in batches of about equal length (data.buckets.Buckets)."""

    batch: int = _option(64, "most examples in a batch")
    batch_tokens: int = _option(0, "most tokens in a batch, padding counted (0: no limit but --batch)")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("batch", "1 or more", self.batch >= 1)
        self._check("batch_tokens", "0 or more", self.batch_tokens >= 0)

    @property
    def rows(self) -> int:
        """The most examples in a batch."""
        return self.batch

    @property
    def ragged(self) -> bool:
        """Always."""
        return True

    @property
    def selects(self) -> bool:
        """Always: the weights that are best on the validation part are kept."""
        return True
