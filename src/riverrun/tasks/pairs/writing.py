"""Writing: targets for sources, by search or by drawing, as text, with what was attended to."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from riverrun.data.pair_batch import UNKNOWN
from riverrun.data.pair_coder import PairCoder
from riverrun.data.pairs import one_line
from riverrun.decoding.beam import beam
from riverrun.decoding.constraints import Constraints
from riverrun.decoding.greedy import greedy
from riverrun.decoding.hypothesis import Hypothesis
from riverrun.decoding.inputs import Search, in_batches
from riverrun.decoding.prior import Beginnings, Prior
from riverrun.decoding.ranking import Ranking
from riverrun.decoding.sampling import Sampling
from riverrun.decoding.sequence_sampling import sample
from riverrun.errors import OptionError
from riverrun.tasks.pairs.options import Decoding


class Target(NamedTuple):
    """A target that was written.

    tokens: as a reader is shown them. log_p: ln of its probability given the source. score: what the search ranked it
    by. attention: [tokens and END, source tokens], where it was asked for and the model has one.
    """

    text: str
    tokens: list[str]
    log_p: float
    score: float
    attention: NDArray[np.float32] | None = None


def write(
    model: Any,
    coder: PairCoder,
    sources: Sequence[str],
    decoding: Decoding,
    *,
    best: int = 1,
    prefix: str = "",
    sampling: Sampling | None = None,
    attention: bool = False,
) -> list[list[Target]]:
    """The `best` targets of every source, best first, in the order given; with `sampling` so many are drawn.

    prefix: what every target has to begin with. attention: keep it. Results do not depend on what else is asked.
    Raises OptionError where the model has no attention and a penalty is about it.
    """
    options = model.options
    if decoding.coverage_penalty and options.attention == "none" and decoding.beam > 1 and sampling is None:
        raise OptionError("coverage_penalty", "this model has no attention to penalise. Leave it out.")
    device = next(model.parameters()).device
    search = _search(model.generator(), coder, decoding, best, sampling, attention)
    encoded = coder.source.encode(sources).apart()
    copied = [coder.copied(*one) for one in zip(sources, encoded, strict=True)] if options.copy else []
    begins = coder.target.encode([prefix]).ids if prefix else None
    found = in_batches(
        search,
        encoded,
        copies=[found for found, _ in copied] if options.copy else None,
        prefixes=[begins] * len(sources) if begins is not None else None,
        device=device,
    )
    lent = [texts for _, texts in copied] or [list[str]() for _ in sources]
    return [[_target(coder, one, texts) for one in several] for several, texts in zip(found, lent, strict=True)]


def _search(
    transducer: Any, coder: PairCoder, decoding: Decoding, best: int, sampling: Sampling | None, attention: bool
) -> Search:
    constraints = Constraints(
        min_length=decoding.min_length,
        max_length=decoding.max_length,
        no_repeat=decoding.no_repeat,
        never=(UNKNOWN,),  # nobody is helped by a word that says it is unknown
    )
    if sampling is not None:
        return partial(sample, transducer, sampling=sampling, count=best, constraints=constraints, attention=attention)
    if decoding.beam == 1:
        return partial(greedy, transducer, constraints=constraints, attention=attention)
    ranking = Ranking(normalise=decoding.normalise, alpha=decoding.length_penalty, coverage=decoding.coverage_penalty)
    return partial(
        beam,
        transducer,
        width=decoding.beam,
        best=best,
        ranking=ranking,
        constraints=constraints,
        prior=_prior(coder, decoding),
        attention=attention,
    )


def _prior(coder: PairCoder, decoding: Decoding) -> Prior | None:
    """What is held against targets that begin as many do."""
    if not decoding.generic_penalty:
        return None
    if coder.beginnings is None:
        raise OptionError(
            "generic_penalty", "this model did not keep how its targets begin: it has to be trained with a penalty."
        )
    model = Beginnings.of(coder.beginnings)
    if decoding.generic_tokens > model.tokens:
        kept = f"this model kept {model.tokens} tokens of how its targets begin"
        raise OptionError("generic_tokens", f"{kept}: expected at most so many, got {decoding.generic_tokens}.")
    return Prior(
        model=model,
        weight=decoding.generic_penalty,
        tokens=decoding.generic_tokens,
    )


def _target(coder: PairCoder, hypothesis: Hypothesis, lent: Sequence[str] = ()) -> Target:
    """lent: the texts of what the source lends (PairCoder.copied)."""
    tokens = hypothesis.tokens
    return Target(
        one_line(coder.target.decode(tokens, lent)),  # sub-words can write any byte when they are drawn
        coder.target.tokens(tokens, lent),
        hypothesis.log_p,
        hypothesis.score,
        hypothesis.attention,
    )
