"""tag: a model put to sentences of any number and length, in batches of about equal length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

from riverrun.data.tag_batch import TagBatch, collate
from riverrun.data.vocabularies import Coded, TagCoder
from riverrun.tasks.measures.evaluation import judging
from riverrun.training.update import moved

WORDS = 4000  # words in a batch, padding counted


class Tagged(NamedTuple):
    """What a model makes of a sentence: the n best lists of tags, the log-probability of each list, and how probable
    each tag of the first one is."""

    tags: list[list[str]]
    log_p: list[float]
    shares: list[float]


def batches(coded: Coded) -> Iterator[tuple[np.ndarray[Any, Any], TagBatch]]:
    """All sentences, the shortest first: which they are, and the batch of them."""
    order = np.argsort(coded.lengths, kind="stable")
    begin = 0
    for end in range(1, len(order) + 1):
        if end == len(order) or (end + 1 - begin) * coded.lengths[order[end]] > WORDS:
            yield order[begin:end], collate(coded, order[begin:end])
            begin = end


def tag(model: Any, coder: TagCoder, coded: Coded, n: int = 1) -> list[Tagged]:
    """The n likeliest lists of tags of each sentence."""
    found: list[Tagged] = [Tagged([], [], [])] * len(coded.lengths)
    with judging(model) as device:
        for places, batch in batches(coded):
            tags, log_p, shares = (tensor.cpu() for tensor in model.decode(moved(batch, device), n))
            for column, (place, length) in enumerate(zip(places, batch.rows.lengths.tolist(), strict=True)):
                best = [k for k in range(n) if k == 0 or torch.isfinite(log_p[k, column])]
                found[place] = Tagged(
                    [[coder.tags[id] for id in tags[k, :length, column].tolist()] for k in best],
                    [float(log_p[k, column]) for k in best],
                    shares[:length, column].tolist(),
                )
    return found


def nats(model: Any, coded: Coded) -> float:
    """The mean loss of a word that has a tag; NaN where none has."""
    total, words = 0.0, 0
    with judging(model) as device:
        for _, batch in batches(coded):
            loss = model.loss(moved(batch, device), None)
            total, words = total + float(loss.nats), words + batch.tokens
    return total / words if words else float("nan")
