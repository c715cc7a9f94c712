"""How targets are written and scored: the [decoding] section, and the options of a prediction. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from riverrun.errors import OptionError
from riverrun.fields import check, option
from riverrun.models.encoder_decoder_options import LUONG

SCORES = ("auto", "error_rate", "exact", "translation", "diversity")
NORMALISE = ("gnmt", "mean")


def _wide(beam: int) -> bool:
    return beam > 1


def _searched(generic_penalty: float) -> bool:
    return generic_penalty > 0


WIDE = {"beam": _wide}


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """The [decoding] section: how a trained model writes, when it is measured and later.

    Raises OptionError where a value is out of range.
    """

    score: str = option(
        "auto",
        "what the test part is scored by; auto: error rates of CMUdict, exact match of SCAN, distinct n-grams of "
        "dialogues, BLEU and chrF of what else is written in words, error rates of what is not",
        choices=SCORES,
    )
    scored: int = option(0, "most sources of the test part that are written and scored (0: all of them)", least=0)
    beam: int = option(5, "width of the beam; 1: greedy", least=1)
    normalise: str = option(
        "gnmt",
        "what a log-probability is divided by, of n tokens; gnmt: ((5 + n) / 6)^length_penalty; mean: n^length_penalty",
        choices=NORMALISE,
        acts=WIDE,
    )
    length_penalty: float = option(
        0.6, "exponent of that; 0: nothing, which favours short targets; 1: in full", least=0.0, acts=WIDE
    )
    coverage_penalty: float = option(
        0.0,
        "what leaving source positions out costs (Wu et al. 2016)",
        least=0.0,
        acts={**WIDE, "attention": (*LUONG, "additive")},
    )
    generic_penalty: float = option(
        0.0,
        "what is taken off for a beginning that targets often have (Li et al. 2016); for replies",
        least=0.0,
        acts=WIDE,
    )
    generic_tokens: int = option(5, "tokens of that beginning", least=1, acts={**WIDE, "generic_penalty": _searched})
    min_length: int = option(1, "fewest tokens of a target", least=0)
    max_length: int = option(200, "most tokens of a target", least=1)
    no_repeat: int = option(0, "let no so many tokens in a row come twice in a target (0: let them)", least=0)

    def __post_init__(self) -> None:
        check(self)
        if self.min_length > self.max_length:
            raise OptionError("min_length", f"expected at most max_length, {self.max_length}, got {self.min_length}.")


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What `predict` can be told. What is -1 or empty is as the run's [decoding] section has it."""

    beam: int = option(-1, "width of the beam; 1: greedy; -1: as the run was told")
    n_best: int = option(1, "how many targets of each source to write, best first", least=1)
    normalise: str = option("", "how the length is taken out, gnmt or mean; empty: as the run was told")
    length_penalty: float = option(-1.0, "exponent by which the length is taken out; -1: as the run was told")
    coverage_penalty: float = option(-1.0, "what leaving source positions out costs; -1: as the run was told")
    generic_penalty: float = option(-1.0, "what a frequent beginning costs; -1: as the run was told")
    generic_tokens: int = option(-1, "tokens of that beginning; -1: as the run was told")
    min_length: int = option(-1, "fewest tokens of a target; -1: as the run was told")
    max_length: int = option(-1, "most tokens of a target; -1: as the run was told")
    no_repeat: int = option(-1, "let no so many tokens in a row come twice; -1: as the run was told")
    prefix: str = option("", "what every target has to begin with")
    sample: bool = option(False, "draw targets instead of searching for the likeliest")
    temperature: float = option(1.0, "of drawn targets: below 1 surer, above 1 wilder")
    top_k: int = option(0, "draw from so many likeliest tokens (0: from all)")
    top_p: float = option(1.0, "draw from the likeliest tokens that together have this share")
    seed: int = option(0, "seed of the draws")
    attention: str = option("", "a file for what each token looked at: .svg of one source, .html of any number")

    def __post_init__(self) -> None:
        check(self)
        if self.attention and not self.attention.endswith((".svg", ".html")):
            raise OptionError("attention", f"expected a name that ends in .svg or .html, got {self.attention!r}.")
        for name, known in (("drawing", DRAWN), ("a search", SEARCHED)):
            if self.sample == (name == "drawing"):
                continue
            for found in fields(self):
                if found.name in known and getattr(self, found.name) != found.default:
                    hint = "Add sample." if name == "drawing" else "Leave out one of it and sample."
                    raise OptionError(found.name, f"belongs to {name} of targets. {hint}")

    def over(self, run: Decoding) -> Decoding:
        """The run's section with what this prediction says otherwise. Raises OptionError as `Decoding` does."""
        said = {name: value for name in INHERITED if (value := getattr(self, name)) not in (-1, "")}
        wanted = replace(run, **said)
        idle = [name for name in SEARCHED[1:] if name in said and wanted.beam == 1]
        if idle:
            raise OptionError(idle[0], "does nothing with a beam of 1, which is greedy. Use a wider one.")
        if not self.sample and self.n_best > wanted.beam:
            raise OptionError("n_best", f"expected 1 to {wanted.beam}, the width of the beam, got {self.n_best}.")
        return wanted


DRAWN = ("temperature", "top_k", "top_p", "seed")
SEARCHED = ("beam", "normalise", "length_penalty", "coverage_penalty", "generic_penalty", "generic_tokens")
INHERITED = (*SEARCHED, "min_length", "max_length", "no_repeat")
