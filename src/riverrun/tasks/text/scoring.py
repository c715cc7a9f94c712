"""score_text: how surprising each token of a text is to a model, its perplexity, and what would come next."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from riverrun.data.tokenizer import Tokenizer
from riverrun.decoding.protocol import StepModel
from riverrun.decoding.scoring import annotation, next_tokens, score
from riverrun.errors import DataError
from riverrun.tasks.task import Given, Predicted

SHOWN = 2000  # tokens that a terminal shows; anything else gets all


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


def predict(model: StepModel, tokenizer: Tokenizer, given: Given, *, encoding: str, top: int) -> Predicted:
    """One row a token, separated by tabs (in a terminal the text itself, coloured by surprise), and a summary."""
    facts = score_text(model, tokenizer, _text(given, encoding), top=top)
    notes = []
    if given.terminal:
        text = _coloured(facts["tokens"][:SHOWN], facts["nats"][:SHOWN]) + "\n\n"
        if len(facts["tokens"]) > SHOWN:
            notes.append(
                f"... the first {SHOWN:,} of {len(facts['tokens']):,} tokens; a pipe or --json gets all of them"
            )
    else:
        rows = ["nats\ttoken\tlikelier\n"]
        for token, nats, likely in zip(facts["tokens"], facts["nats"], facts["top"], strict=True):
            shown = "" if nats is None else f"{nats:.3f}"
            rows.append(f"{shown}\t{token!r}\t{' '.join(f'{t!r} {p:.3f}' for t, p in likely)}\n")
        text = "".join(rows)
    if facts["mean_nats"] is None:
        notes.append("one token only: it is read, and nothing is predicted")
    else:
        notes.append(
            f"{facts['predicted']:,} {facts['unit']}s predicted: {facts['mean_nats']:.4f} nats, "
            f"{facts['mean_nats'] / math.log(2):.4f} bits each, perplexity {facts['perplexity']:.3f}"
        )
    notes.append("next: " + ", ".join(f"{token!r} {share:.3f}" for token, share in facts["next"]))
    return Predicted(text, notes, facts)


def _text(given: Given, encoding: str) -> str:
    try:
        return given.data.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{given.name}: byte {error.start} is not {encoding}. Name the text's own with --encoding."
        ) from None


def _coloured(tokens: list[str], nats: list[float | None]) -> str:
    """The text on a ladder of backgrounds: the darker the red, the more surprising the token."""
    ladder = (231, 224, 217, 210, 203, 196)  # xterm's 256 colours, white to red
    out = []
    for token, value in zip(tokens, nats, strict=True):
        step = ladder[min(int((value or 0.0) / 1.2), len(ladder) - 1)]
        body = token.replace("\n", "\x1b[0m\n" + f"\x1b[30;48;5;{step}m")
        out.append(f"\x1b[30;48;5;{step}m{body}")
    return "".join(out) + "\x1b[0m"
