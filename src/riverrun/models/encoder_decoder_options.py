"""The options of an encoder-decoder: one frozen dataclass, read by TOML, flags, docs and the model itself.

This file imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from riverrun.errors import OptionError
from riverrun.fields import option, share
from riverrun.models.recurrent_options import RecurrentOptions

ATTENTIONS = ("none", "dot", "general", "concat", "additive")
BRIDGES = ("copy", "tanh", "zero")
WIDEST = 128  # of a token's vector whose width is not given; models.options says why

LUONG = ("dot", "general", "concat")
SUMMED = ("concat", "additive")  # the scores with a tanh, in which further terms find a place


def _is_on(number: float) -> bool:
    return number > 0


@dataclass(frozen=True, kw_only=True)
class EncoderDecoderOptions(RecurrentOptions):
    """What an encoder-decoder is made of. Every value is checked here, and every option acts.

    The options of recurrent layers hold on both sides: encoder and decoder have the same cell and widths.

    Raises OptionError naming the option, what was expected and what came.

    >>> EncoderDecoderOptions(hidden=64, tied=True).embedding_size
    64
    >>> EncoderDecoderOptions(attention="luong")
    Traceback (most recent call last):
    ...
    riverrun.errors.OptionError: attention: expected one of none, dot, general, concat, additive, got 'luong'.
    """

    hidden: int = option(256, "width of a recurrent layer, in each direction", least=1)
    layers: int = option(1, "recurrent layers of the decoder, and of the encoder, one on top of the other", least=1)
    attention: str = option(
        "general",
        "none: a thought vector (Sutskever et al. 2014); dot, general, concat: of the decoder's outputs (Luong et al. "
        "2015); additive: in its recurrence (Bahdanau et al. 2015)",
        choices=ATTENTIONS,
    )
    attention_size: int = option(
        0, "width of the layer inside the score of concat and additive; 0: hidden", least=0, acts={"attention": SUMMED}
    )
    input_feeding: bool = option(
        False, "feed what was read by attention into the next step (Luong et al. 2015)", acts={"attention": LUONG}
    )
    coverage: bool = option(
        False, "let the score see how much was attended to so far (See et al. 2017)", acts={"attention": SUMMED}
    )
    coverage_loss: float = option(
        1.0, "weight of attending again to the same position in the loss", least=0.0, acts={"coverage": (True,)}
    )
    location: int = option(
        0,
        "filters over the last step's attention that the score sees (Chorowski et al. 2015); 0: none",
        least=0,
        acts={"attention": SUMMED},
    )
    location_reach: int = option(
        2, "positions to each side that such a filter sees", least=0, acts={"location": _is_on}
    )
    copy: bool = option(
        False,
        "let tokens of the source be copied, unknown ones too (pointer-generator, See et al. 2017)",
        acts={"attention": (*LUONG, "additive")},
    )
    bidirectional: bool = option(True, "let the encoder read in both directions")
    reverse_source: bool = option(
        False, "let the encoder read from the end (Sutskever et al. 2014)", acts={"bidirectional": (False,)}
    )
    encoder_layers: int = option(0, "recurrent layers of the encoder; 0: as many as the decoder has", least=0)
    bridge: str = option(
        "tanh",
        "how the decoder starts; copy: from the encoder's last state; tanh: from a layer on it; zero: without it",
        choices=BRIDGES,
    )
    embedding: int = option(
        0, "width of a token's vector; 0: the output's where tied, else hidden, at most 128", least=0
    )
    tied: bool = option(False, "let the output layer use the target's vectors (Press & Wolf 2017)")
    shared: bool = option(False, "one table of vectors for source and target, which need one vocabulary")
    label_smoothing: float = share(0.0, "share of the target's probability that is spread over all tokens")
    scheduled_sampling: float = share(
        0.0,
        "chance that the decoder reads its own prediction in training, the same all through (Bengio et al. 2015 let it "
        "grow)",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.attention == "none" and self.bridge == "zero":
            raise OptionError(
                "bridge", "without attention the encoder's last state is all that the decoder knows. Leave out one."
            )
        if self.tied and self.embedding not in (0, self.output_size):
            raise OptionError(
                "embedding",
                f"tied weights need vectors as wide as the decoder's output, {self.output_size}, "
                f"got {self.embedding}. Leave it out, or project to that width.",
            )

    @property
    def output_size(self) -> int:
        """Width of what the output layer reads."""
        return self.projection or self.hidden

    @property
    def embedding_size(self) -> int:
        """Width of a token's vector, on both sides."""
        return self.embedding or (self.output_size if self.tied else min(WIDEST, self.hidden))

    @property
    def feeds_back(self) -> bool:
        """Whether what attention reads goes into the recurrence, which therefore runs step by step."""
        return self.attention == "additive" or self.input_feeding

    @property
    def looks_back(self) -> bool:
        """Whether attention depends on the attention of the steps before."""
        return self.coverage or self.location > 0
