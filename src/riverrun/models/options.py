"""The options of a language model: one frozen dataclass, read by TOML, flags, docs and the model itself.

This file imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from riverrun.errors import OptionError
from riverrun.fields import option, share
from riverrun.models.recurrent_options import RecurrentOptions

MODELS = ("recurrent", "window")
# Of a vector whose width is not given. What the first layer reads costs: a 512-unit LSTM layer over 100 x 32 steps took
# 52 ms forward and backward reading 64, 81 ms reading 512 (bfloat16, two cores).
WIDEST = {"recurrent": 128, "window": 64}


def _has_steps(window: int) -> bool:
    return window > 1


EMBEDDED = {"one_hot": (False,)}


@dataclass(frozen=True, kw_only=True)
class LanguageModelOptions(RecurrentOptions):
    """What a language model is made of. Every value is checked here, and every option acts.

    Raises OptionError naming the option, what was expected and what came.

    >>> LanguageModelOptions(hidden=64, layers=1).embedding_size
    64
    >>> LanguageModelOptions(dropout=1.5)
    Traceback (most recent call last):
    ...
    riverrun.errors.OptionError: dropout: expected a number of at least 0.0 and less than 1.0, got 1.5.
    """

    model: str = option(
        "recurrent", "recurrent network, or the fixed-window network of Bengio et al. 2003", choices=MODELS
    )
    embedding: int = option(
        0, "width of a token's vector; 0: the output's where tied, else hidden, at most 128", least=0, acts=EMBEDDED
    )
    one_hot: bool = option(False, "feed each token as a one-hot vector instead of a learned one")
    tied: bool = option(False, "let the output layer use the embedding's weights (Press & Wolf 2017)", acts=EMBEDDED)
    embedding_dropout: float = share(
        0.0, "share of the vocabulary whose vectors are dropped, per step of training (AWD)", acts=EMBEDDED
    )
    context: int = option(8, "tokens that the fixed-window network sees", least=1, acts={"model": ("window",)})
    label_smoothing: float = share(0.0, "share of the target's probability that is spread over all tokens")
    activity: float = option(0.0, "weight of the outputs' mean square in the loss (AR, Merity et al. 2017)", least=0.0)
    temporal_activity: float = option(
        0.0, "weight of the mean square of their change from step to step (TAR)", least=0.0, acts={"window": _has_steps}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
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

    def words(self, cell: str = "") -> str:
        """The model in a few words. cell: how a cell of one's own is called."""
        if self.model == "window":
            return f"fixed window of {self.context} tokens, hidden {self.hidden}"
        return super().words(cell)

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
