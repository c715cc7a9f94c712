"""The options of a classifier: one frozen dataclass, read by TOML, flags, docs and the model itself.

This file imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from riverrun.errors import OptionError
from riverrun.fields import option, share
from riverrun.models.recurrent_options import RecurrentOptions

POOLINGS = ("attention", "max", "mean", "last")
WIDEST = 128  # of a token's vector whose width is not given


def _convolves(convolution: int) -> bool:
    return convolution > 0


EMBEDDED = {"one_hot": (False,)}


def _counts(ngrams: int) -> bool:
    return ngrams > 0


CONVOLVED = {"convolution": _convolves}
COUNTED = {"ngrams": _counts}


@dataclass(frozen=True, kw_only=True)
class ClassifierOptions(RecurrentOptions):
    """What a classifier is made of. Every value is checked here, and every option acts.

    Raises OptionError naming the option, what was expected and what came.

    >>> ClassifierOptions(hidden=64).embedding_size
    64
    """

    hidden: int = option(128, "width of a recurrent layer, in each direction", least=1)
    layers: int = option(1, "recurrent layers, one on top of the other", least=1)
    bidirectional: bool = option(True, "read every text in both directions")
    pooling: str = option(
        "attention", "how the steps of a text become one vector: by attention, max, mean, or the last", choices=POOLINGS
    )
    one_hot: bool = option(False, "feed each token as a one-hot vector instead of a learned one")
    embedding: int = option(0, "width of a token's vector; 0: hidden, at most 128", least=0, acts=EMBEDDED)
    embedding_dropout: float = share(
        0.0, "share of the vocabulary whose vectors are dropped, per step of training (AWD)", acts=EMBEDDED
    )
    input_dropout: float = share(0.0, "dropout on the tokens' vectors", acts=EMBEDDED)
    token_dropout: float = share(0.0, "share of the tokens that training leaves out, anew at every step (word dropout)")
    convolution: int = option(
        0, "filters of a one-dimensional convolution before the recurrent layers; 0: none", least=0
    )
    convolution_width: int = option(3, "tokens that a filter sees", least=1, acts=CONVOLVED)
    convolution_pool: int = option(
        1,
        "neighbouring steps of the convolution's output that become one, their greatest values",
        least=1,
        acts=CONVOLVED,
    )
    ngrams: int = option(
        0,
        "tokens of the longest n-gram that has weights of its own, beside the network (Cheng et al. 2016); 0: none",
        least=0,
    )
    ngram_buckets: int = option(
        65536, "rows of the table that n-grams share by a hash (Joulin et al. 2017)", least=1, acts=COUNTED
    )
    class_weights: float = option(
        0.0,
        "0: every example weighs the same, 1: every class; between: (examples / class's examples) to this power",
        least=0.0,
    )
    label_smoothing: float = share(
        0.0, "share of the label's probability that is spread over all labels", acts={"labels": ("one",)}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.one_hot and self.embedding:
            raise OptionError(
                "embedding", f"one-hot input has no embedding, got {self.embedding}. Leave out one of the two."
            )
        if self.class_weights > 1:
            raise OptionError("class_weights", f"expected a number from 0 to 1, got {self.class_weights:g}.")

    def words(self, cell: str = "") -> str:
        """The model in a few words. cell: how a cell of one's own is called."""
        before = f"convolution of {self.convolution}, " if self.convolution else ""
        directions = "both directions" if self.bidirectional else "one direction"
        pooled = {"last": "the last state", "attention": "attention over the steps"}
        return (
            f"{before}{super().words(cell)}, {directions}, {pooled.get(self.pooling, f'{self.pooling} of the steps')}"
        )

    @property
    def embedding_size(self) -> int:
        """Width of a token's vector: `embedding`, or `hidden`, at most 128."""
        return self.embedding or min(WIDEST, self.hidden)
