"""Sampling of targets: tokens drawn from a model of pairs, the same ones whatever the batch."""

from __future__ import annotations

from itertools import count as counting
from typing import Any

import numpy as np
import torch
from torch import Tensor

from riverrun.data.pair_batch import BEGIN, END
from riverrun.decoding.constraints import Constraints, bounds, constrain
from riverrun.decoding.hypothesis import Hypothesis, Trace
from riverrun.decoding.inputs import Inputs
from riverrun.decoding.protocol import evaluating
from riverrun.decoding.sampling import Sampling, choose, uniforms
from riverrun.decoding.sequence_protocol import Transducer, select
from riverrun.errors import UsageError

CROWDED = 0.9  # sources are dropped when fewer than this share of them still runs
BLOCK = 64  # uniforms of a row made at a time; no result depends on it
APART = 1 << 32  # the streams of one draw after another lie so far apart: more than there are sources


def sample(
    model: Transducer,
    given: Inputs,
    *,
    sampling: Sampling | None = None,
    count: int = 1,
    constraints: Constraints | None = None,
    attention: bool = False,
) -> list[list[Hypothesis]]:
    """`count` targets of each source, drawn; each one's score is its log-probability under the model as it is.

    What the constraints leave goes through sampling.py's temperature, top-k and top-p. Draw d of the source with the
    number i (Inputs.place) takes its uniforms from stream d * 2^32 + i, position after position: it depends neither on
    the other sources of the batch nor on how many draws there are. attention: keep it.
    """
    sampling, constraints = sampling or Sampling(), constraints or Constraints()
    if count < 1:
        raise UsageError(f"count must be 1 or more, but {count} came.")
    trace = Trace(given.source.lengths, attention=attention)
    anything: Any = model
    with evaluating(anything):
        memory = model.encode(given.source, given.copies)
        device, B = given.source.data.device, given.size
        limit, prefix = bounds(constraints, given)
        every = torch.arange(B, device=device).repeat_interleave(count)  # [R], R = B count
        state = select(model.start(memory), every)
        streams = given.place[every.cpu()] + APART * torch.arange(count).repeat(B)
        source, running = every, torch.ones(len(every), dtype=torch.bool, device=device)
        token = torch.full((len(every),), BEGIN, device=device)
        total = torch.zeros(len(every), dtype=torch.float64, device=device)
        history = token[:, None][:, :0] if constraints.no_repeat else None  # [R, position]
        limit, prefix = select((limit, prefix), every)
        parent: Tensor | None = None
        for position in counting() if B else ():
            trace.feed(token, parent)
            log_p, state, weights = model.step(memory, state, token)  # [R, V]
            trace.look(weights)
            forced = None if prefix is None or position >= prefix.shape[1] else prefix[:, position]
            log_p = constrain(log_p, constraints, position, limit, forced, history)
            if position % BLOCK == 0:
                block = np.stack([uniforms(sampling.seed, int(one), position, BLOCK) for one in streams])
            token = torch.from_numpy(choose(log_p, block[:, position % BLOCK], sampling)).to(device)
            total = total + log_p.gather(1, token[:, None])[:, 0]
            ends = running & (token == END)
            running, parent = running & ~ends, None
            row = ends.nonzero()[:, 0]
            if len(row):
                trace.end(row, source[row], total[row], total[row])
                on = running.view(-1, count).any(1)  # [B]
                left = int(on.sum())
                if not left:
                    break
                if left < CROWDED * len(on):
                    parent = on.repeat_interleave(count).nonzero()[:, 0]
                    memory, state = select(memory, on.nonzero()[:, 0]), select(state, parent)
                    source, running, token, total, limit, prefix, history = select(
                        (source, running, token, total, limit, prefix, history), parent
                    )
                    block, streams = block[parent.cpu().numpy()], streams[parent.cpu()]
            if history is not None:
                history = torch.cat([history, token[:, None]], 1)
    return trace.hypotheses(count)
