"""score_text: how surprising each token of a text is to a model, its perplexity, and what would come next."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from riverrun.data.tokenizer import Tokenizer
from riverrun.decoding.protocol import StepModel
from riverrun.decoding.scoring import annotation, next_tokens, score
from riverrun.errors import DataError


def score_text(model: StepModel, tokenizer: Tokenizer, text: str, *, top: int = 5) -> dict[str, Any]:
    """Read `text` once, from the model's initial state; its first token is read and not predicted.

    Returns tokens, nats (None for the first), top (the likeliest in the place of each), predicted (how many tokens),
    unit, mean_nats and perplexity (None where nothing was predicted), next (the likeliest after the text).
    Raises DataError for an empty text, UsageError for characters that the model has never seen.
    """
    ids = tokenizer.encode(text, unseen="error" if tokenizer.unknown is None else "unknown")
    if not len(ids):
        raise DataError("the text is empty: there is nothing to score. Give at least one character.")
    scores = score(model, ids, top=top)
    if tokenizer.spelling:
        scores = replace(scores, nats=scores.nats + tokenizer.spelling * (ids[1:] == tokenizer.unknown))
    predicted = len(scores.nats)
    return {
        **annotation(scores, lambda id: tokenizer.decode([id])),
        "predicted": predicted,
        "unit": tokenizer.unit,
        "mean_nats": scores.mean_nats if predicted else None,
        "perplexity": scores.perplexity if predicted else None,
        "next": [[tokenizer.decode([id]), share] for id, share in next_tokens(model, ids, k=top)],
    }
