"""Importance: which tokens mattered, by attention and by gradient x input, and how far the two agree.

    attention_t    the weight of token t in the pooled vector; it says where the model looked
    gradient_t     sum_i e_{t,i} d ln (p / (1 - p)) / d e_{t,i}, p of the predicted label: by how much, to first order,
                   the token raised (> 0) or lowered (< 0) its log-odds beside a vector of zeros (of a label that is
                   sure, ln p has no slope left); where n-grams have weights, what they add too, each n-gram's in equal
                   parts to its tokens

Neither is the truth (Jain and Wallace 2019, "Attention is not explanation"), so both are shown with their rank
correlation: Spearman's, of the attention with the gradient's absolute value, averaged over texts.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from riverrun.data.label_coder import LabelCoder
from riverrun.data.labelled_batch import LabelledPart, batch_of, by_length
from riverrun.models.classifier import Classifier
from riverrun.sequences import Sequences
from riverrun.tasks.measures.evaluation import judging
from riverrun.tasks.measures.resampling import some

LEAST = 3  # tokens that a text needs for a rank correlation
SHOWN = 40  # texts that the report shows
LARGEST = 500  # texts that the correlation is averaged over, drawn from all


class Importance(NamedTuple):
    """Of each text of a part: attention [L] (None without) and gradient x input [L], by token."""

    attention: list[NDArray[np.float64]] | None
    gradient: list[NDArray[np.float64]]


def importance(model: Classifier, part: LabelledPart) -> Importance:
    """Of every text of the part, what mattered for the label that the model predicts."""
    attention: dict[int, NDArray[np.float64]] = {}
    gradient: dict[int, NDArray[np.float64]] = {}
    with judging(model) as device:
        for indices in by_length(part.lengths):
            texts = batch_of(part, indices).texts
            texts = Sequences(texts.data.to(device), texts.lengths.to(device))
            weights, moved = _of_batch(model, texts)
            for column, index in enumerate(indices.tolist()):
                length = len(part.ids[index])
                gradient[index] = moved[:length, column].double().cpu().numpy()
                if weights is not None:
                    attention[index] = weights[:length, column].double().cpu().numpy()
    order = range(len(part.ids))
    return Importance([attention[index] for index in order] if attention else None, [gradient[i] for i in order])


def _of_batch(model: Classifier, texts: Sequences) -> tuple[Tensor | None, Tensor]:
    """Attention [T, B], and gradient x input [T, B]."""
    with torch.enable_grad():
        vectors = model.embed(texts.data).detach().requires_grad_()
        read = model.read_vectors(texts._replace(data=vectors))
        added = None if model.ngrams is None else model.ngrams(texts)
        score = model.head.log_odds(read.logits if added is None else read.logits + added).sum()
        slope, *slopes = torch.autograd.grad(score, [vectors] if added is None else [vectors, added])
    valid = texts.valid().to(slope.device)
    moved = torch.where(valid, (slope * vectors.detach()).sum(-1), slope.new_zeros(()))
    if model.ngrams is not None:
        moved = moved + model.ngrams.by_token(texts, *slopes).detach()
    return None if read.attention is None else read.attention.detach(), moved


def spearman(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    """Spearman's rank correlation, ties at their mean rank; None where one of them is constant or too short.

    >>> spearman(np.array([1.0, 2.0, 3.0]), np.array([10.0, 30.0, 20.0]))
    0.5
    """
    if len(first) < LEAST:
        return None
    a, b = _ranks(first), _ranks(second)
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum() / scale) if scale > 0 else None


def importances(model: Classifier, coder: LabelCoder, part: LabelledPart, predicted: list[str]) -> dict[str, Any]:
    """What eval/importance.json holds: {"method", "correlation", "joint", "items": [{"label", "predicted", "tokens",
    "attention", "gradient"}, ...]}, see inspection/record.py. predicted: of each example, in words."""
    chosen = some(len(part.ids), LARGEST)
    drawn = LabelledPart([part.ids[i] for i in chosen], part.targets[chosen], [part.examples[i] for i in chosen])
    found = importance(model, drawn)
    pairs = [] if found.attention is None else zip(found.attention, found.gradient, strict=True)
    known = [rho for weights, moved in pairs if (rho := spearman(weights, np.abs(moved))) is not None]
    items = [
        {
            "label": ", ".join(example.labels),
            "predicted": predicted[index],
            "tokens": coder.tokens(example.text),
            "attention": None if found.attention is None else _rounded(found.attention[place]),
            "gradient": _rounded(found.gradient[place]),
        }
        for place, (index, example) in enumerate(zip(chosen[:SHOWN].tolist(), drawn.examples, strict=False))
    ]
    return {
        "method": ["gradient"] if found.attention is None else ["attention", "gradient"],
        "correlation": float(np.mean(known)) if known else None,
        "texts": len(known),
        "joint": "",
        "items": items,
    }


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    means = (ends - counts + 1 + ends) / 2  # ranks from 1; of equal values their mean
    return np.asarray(means[place], np.float64)


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [float(f"{value:.6g}") for value in values]
