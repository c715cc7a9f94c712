"""Greedy decoding: the likeliest token at every step, and nothing is taken back."""

from __future__ import annotations

from itertools import count
from typing import Any

import torch

from riverrun.data.pair_batch import BEGIN, END
from riverrun.decoding.constraints import Constraints, bounds, constrain
from riverrun.decoding.hypothesis import Hypothesis, Trace
from riverrun.decoding.inputs import Inputs
from riverrun.decoding.protocol import evaluating
from riverrun.decoding.sequence_protocol import Transducer, select

CROWDED = 0.9  # rows are dropped when fewer than this share of them still runs


def greedy(
    model: Transducer, given: Inputs, *, constraints: Constraints | None = None, attention: bool = False
) -> list[list[Hypothesis]]:
    """One hypothesis a source; its score is its log-probability.

    All sources take a step in one call of the model; those that have ended leave the batch. attention: keep it.
    """
    constraints = constraints or Constraints()
    trace = Trace(given.source.lengths, attention=attention)
    anything: Any = model
    with evaluating(anything):
        memory = model.encode(given.source, given.copies)
        state, device = model.start(memory), given.source.data.device
        limit, prefix = bounds(constraints, given)
        source = torch.arange(given.size, device=device)  # [R]
        running = torch.ones(given.size, dtype=torch.bool, device=device)
        token = torch.full((given.size,), BEGIN, device=device)
        total = torch.zeros(given.size, dtype=torch.float64, device=device)
        history = token[:, None][:, :0] if constraints.no_repeat else None  # [R, position]
        parent = None
        for position in count() if given.size else ():
            trace.feed(token, parent)
            log_p, state, weights = model.step(memory, state, token)  # [R, V]
            trace.look(weights)
            forced = None if prefix is None or position >= prefix.shape[1] else prefix[:, position]
            value, token = constrain(log_p, constraints, position, limit, forced, history).max(1)
            total = total + value
            ends = running & (token == END)
            parent = None
            if ends.any():
                row = ends.nonzero()[:, 0]
                trace.end(row, source[row], total[row], total[row])
                running = running & ~ends
                left = int(running.sum())
                if not left:
                    break
                if left < CROWDED * len(running):
                    parent = running.nonzero()[:, 0]
                    memory, state = select((memory, state), parent)
                    source, running, token, total, limit, prefix, history = select(
                        (source, running, token, total, limit, prefix, history), parent
                    )
            if history is not None:
                history = torch.cat([history, token[:, None]], 1)
    return trace.hypotheses(1)
