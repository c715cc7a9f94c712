"""Scoring: how surprising each token of a text is to a model, and what it would have written instead."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from riverrun.decoding.protocol import State, StepModel, device_of, evaluating
from riverrun.errors import UsageError

WINDOW = 256  # tokens in one call of the model; no result depends on it but for rounding


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The surprise of N tokens, of which the first is read but not predicted.

    ids [N]; nats [N - 1], where nats[i] = -ln p(ids[i + 1] | ids[:i + 1]); top_ids and top_probabilities [N - 1, k]:
    the k likeliest tokens in the place of ids[i + 1], likeliest first, and their probabilities.
    """

    ids: npt.NDArray[np.int64]
    nats: npt.NDArray[np.float64]
    top_ids: npt.NDArray[np.int64]
    top_probabilities: npt.NDArray[np.float64]

    @property
    def perplexity(self) -> float:
        """exp of the mean surprise: the number of equally likely tokens that would be as hard to guess."""
        mean = self.mean_nats
        return math.inf if mean > 700 else math.exp(mean)

    @property
    def mean_nats(self) -> float:
        """The mean surprise of a token in nats; NaN where no token was predicted."""
        return float(self.nats.mean()) if len(self.nats) else math.nan


def score(
    model: StepModel, ids: Sequence[int] | npt.NDArray[np.integer[Any]], *, state: State = None, top: int = 5
) -> Scores:
    """Read a text once, with the state carried through it, and say how surprising each token was.

    ids: one token at least. state: before the first token, of one column; None is the model's initial state.
    top: how many of the likeliest tokens to name at each place (at most the vocabulary).
    """
    tokens = np.asarray(ids, dtype=np.int64)
    if tokens.ndim != 1 or len(tokens) == 0:
        raise UsageError("ids must hold at least one token: there is nothing to score.")
    if top < 0:
        raise UsageError(f"top must be 0 or a number of tokens, but {top} came.")
    nats = [np.zeros(0)]
    best_ids: list[npt.NDArray[np.int64]] = []
    best: list[npt.NDArray[np.float64]] = []
    with evaluating(model):
        state = model.initial_state(1) if state is None else state
        device = device_of(state)
        for start in range(0, len(tokens) - 1, WINDOW):
            stop = min(start + WINDOW, len(tokens) - 1)
            window = torch.from_numpy(tokens[start:stop]).to(device)
            logits, state = model(window[:, None], state)  # [T, 1, V]
            log_p = torch.log_softmax(logits[:, 0].double(), dim=-1)  # [T, V]
            target = torch.from_numpy(tokens[start + 1 : stop + 1]).to(device)
            nats.append(-log_p.gather(1, target[:, None])[:, 0].cpu().numpy())
            values, places = log_p.topk(min(top, log_p.shape[1]), dim=-1)  # [T, k]
            best_ids.append(places.cpu().numpy())
            best.append(values.exp().cpu().numpy())
    if not best:
        best_ids, best = [np.zeros((0, top), dtype=np.int64)], [np.zeros((0, top))]
    return Scores(
        ids=tokens,
        nats=np.concatenate(nats),
        top_ids=np.concatenate(best_ids),
        top_probabilities=np.concatenate(best),
    )


def next_tokens(
    model: StepModel, ids: Sequence[int] | npt.NDArray[np.integer[Any]], *, k: int = 5, state: State = None
) -> list[tuple[int, float]]:
    """The k likeliest tokens after a text, likeliest first, each with its probability."""
    tokens = np.asarray(ids, dtype=np.int64)
    if tokens.ndim != 1 or len(tokens) == 0:
        raise UsageError("ids must hold at least one token, since a model predicts from what it has read: give one.")
    with evaluating(model):
        state = model.initial_state(1) if state is None else state
        device = device_of(state)
        for start in range(0, len(tokens), WINDOW):
            window = torch.from_numpy(tokens[start : start + WINDOW]).to(device)
            logits, state = model(window[:, None], state)  # [T, 1, V]
        p = torch.softmax(logits[-1, 0].double(), dim=-1)  # [V]
        values, places = p.topk(min(k, p.shape[0]))
    return list(zip(places.tolist(), values.tolist(), strict=True))


def annotation(scores: Scores, text: Callable[[int], str]) -> dict[str, list[Any]]:
    """What `eval/surprise.json` holds: the tokens as text, the surprise of each, the likeliest in its place.

    text: an id as the text it stands for. The first token's surprise is None and its alternatives are empty, so that
    the three lists have one length.
    """
    top = [
        [[text(int(i)), round(float(p), 6)] for i, p in zip(row_ids, row, strict=True)]
        for row_ids, row in zip(scores.top_ids, scores.top_probabilities, strict=True)
    ]
    return {
        "tokens": [text(int(i)) for i in scores.ids],
        "nats": [None, *(round(float(v), 6) for v in scores.nats)],
        "top": [[], *top],
    }
