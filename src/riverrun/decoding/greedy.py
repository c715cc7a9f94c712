"""Greedy decoding: the likeliest token at every step, and nothing is taken back."""

from __future__ import annotations

from riverrun.decoding.beam import beam
from riverrun.decoding.constraints import Constraints
from riverrun.decoding.hypothesis import Hypothesis
from riverrun.decoding.inputs import Inputs
from riverrun.decoding.ranking import Ranking
from riverrun.decoding.sequence_protocol import Transducer


def greedy(
    model: Transducer, given: Inputs, *, constraints: Constraints | None = None, attention: bool = False
) -> list[list[Hypothesis]]:
    """One hypothesis a source; its score is its log-probability. It is a beam of width 1. attention: keep it."""
    return beam(model, given, width=1, ranking=Ranking(alpha=0.0), constraints=constraints, attention=attention)
