"""TaggerOptions: the [model] section of a tagger. This file imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from riverrun.fields import option, share
from riverrun.models.recurrent_options import RecurrentOptions

LETTERS = ("lstm", "convolution", "none")
READ = {"letters": ("lstm", "convolution")}


@dataclass(frozen=True, kw_only=True)
class TaggerOptions(RecurrentOptions):
    """What a tagger is made of. Every value is checked here, and every option acts.

    Raises OptionError naming the option, what was expected and what came.

    >>> TaggerOptions(letters="convolution").letter_hidden
    100
    >>> TaggerOptions(word_width=0)
    Traceback (most recent call last):
    ...
    riverrun.errors.OptionError: word_width: expected a whole number of at least 1, got 0.
    """

    hidden: int = option(200, "width of each direction of a recurrent layer", least=1)
    layers: int = option(1, "bidirectional recurrent layers, one on top of the other", least=1)
    dropout: float = share(0.5, "dropout between layers and on the last layer's output")
    input_dropout: float = share(0.33, "dropout on what stands for a word, before the first recurrent layer")
    word_width: int = option(100, "width of a word's learned vector", least=1)
    word_dropout: float = option(
        0.25,
        "a: in training a word seen c times is unknown with a chance of a / (a + c) (Kiperwasser & Goldberg 2016)",
        least=0.0,
    )
    letters: str = option("lstm", "what reads a word's letters", choices=LETTERS)
    letter_width: int = option(50, "width of a letter's vector", least=1, acts=READ)
    letter_hidden: int = option(100, "width of what the letters say, of each direction or filter", least=1, acts=READ)
    tune_vectors: bool = option(False, "train the pretrained vectors, too", acts={"vectors": bool})
    crf: bool = option(False, "a linear-chain conditional random field in place of one softmax a word")
    label_smoothing: float = share(
        0.0, "share of the target's probability that is spread over all tags", acts={"crf": (False,)}
    )
    legal: bool = option(True, "where tags mark spans (BIO, IOB1, BIOES): give only sequences that can be read as such")
