"""The evaluation of a language model: every token of a part but the first of each document, state carried and reset.

The part is read in windows, from disk where it is mapped, and what is measured is added up by block (`blocks.py`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from riverrun.data.batch import IGNORED, Batch
from riverrun.data.streams import evaluation as windows
from riverrun.data.streams import origins
from riverrun.data.tokenizer import Tokenizer
from riverrun.data.tokens import Tokens
from riverrun.errors import DataError
from riverrun.tasks.measures.blocks import Blocks, Floats
from riverrun.tasks.measures.intervals import bootstrap

CARRIED_WINDOW = 1000  # tokens in one call; with the state carried no figure depends on it but for rounding
LANE = 200_000  # tokens; a longer part is read in several lanes side by side, each with this many at most ...
OVERLAP = 2000  # ... and with so many tokens read before it, unscored
RESET_ROWS = 64  # windows side by side in one call, or as many as keep its logits
RESET_LOGITS = 20_000_000  # below this many numbers


@dataclass(frozen=True, kw_only=True)
class Figures:
    """How well a model predicts a text. nats: per token; low, high: its 95 % interval; perplexity: exp(nats).

    bits_per_character, nats_per_character: per character, whatever the token, so that models over different tokens
    compare.
    """

    nats: float
    low: float
    high: float
    perplexity: float
    nats_per_character: float
    bits_per_character: float

    @staticmethod
    def of(nats: Floats, tokens: Floats, characters: Floats) -> Figures:
        """The figures of a part, from the sums of its K blocks: nats, how many tokens and how many characters, [K]."""
        mean = float(nats.sum() / tokens.sum())
        per_character = float(nats.sum() / characters.sum()) if characters.sum() else math.nan
        low, high = bootstrap(nats, tokens)
        return Figures(
            nats=mean,
            low=low,
            high=high,
            perplexity=math.exp(min(mean, 700.0)),
            nats_per_character=per_character,
            bits_per_character=per_character / math.log(2),
        )


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A model on a part of the data.

    carried: the state goes on from the first token to the last, as in use (a part of over 200,000 tokens is read in
    `lanes` stretches at once, each after the 2000 tokens before it). reset: it starts anew every `window` tokens,
    as many papers measure. warning: what the difference means, where it is none by chance. unknown_share: of the
    predicted tokens; unknown: what the figures count of those, where there are any.
    """

    carried: Figures
    reset: Figures
    window: int
    lanes: int
    tokens: int
    characters: int
    unit: str
    unknown_share: float
    unknown: str | None
    warning: str | None
    seconds: float

    def as_dict(self, part: str = "test") -> dict[str, Any]:
        """What `eval/metrics.json` holds of it."""
        return {"part": part, **asdict(self)}


def evaluate(model: Any, tokens: Tokens, tokenizer: Tokenizer, *, window: int = 100) -> Evaluation:
    """Judge a model on all of `tokens`, in the precision of its weights (float32), without dropout or gradient.

    model: with `model(inputs [T, B], state, resets) -> (logits [T, B, V], state)`. window: of the reset-state figure.
    Raises DataError where no token is to be predicted.
    """
    start = time.perf_counter()
    part = Blocks.of(tokens)
    if not part.size:
        raise DataError(f"{len(tokens.ids)} tokens to evaluate: every document has one token, so none is predicted.")
    characters, unknown = part.summed(tokenizer.lengths), unknown_tokens(part, tokenizer)
    spelt = tokenizer.spelling * unknown  # [K], as every other model of these tokens would have to
    lanes = min(64, -(-len(tokens.ids) // LANE))
    carried = carried_nats(model, part, window=max(100, CARRIED_WINDOW // lanes), lanes=lanes, overlap=OVERLAP) + spelt
    reset = reset_nats(model, part, window, tokenizer.size) + spelt
    share = float(unknown.sum() / part.size)
    return Evaluation(
        carried=Figures.of(carried, part.sizes, characters),
        reset=Figures.of(reset, part.sizes, characters),
        window=window,
        lanes=lanes,
        tokens=part.size,
        characters=int(characters.sum()),
        unit=tokenizer.unit,
        unknown_share=share,
        unknown=_unknown_words(tokenizer, share) if share else None,
        warning=_warning(carried, reset, part.sizes, window),
        seconds=time.perf_counter() - start,
    )


def unknown_tokens(part: Blocks, tokenizer: Tokenizer) -> Floats:
    """How many predicted tokens are unknown, by block, [K]."""
    return part.summed(np.arange(tokenizer.size) == (-1 if tokenizer.unknown is None else tokenizer.unknown))


def carried_nats(model: Any, part: Blocks, *, window: int = CARRIED_WINDOW, lanes: int = 1, overlap: int = 0) -> Floats:
    """-ln p of the predicted tokens, summed by block, [K]; the state is carried from the first to the last.

    With more lanes it is faster and nearly the same: each lane reads `overlap` tokens before its stretch of the text.
    """
    sums, state = part.zeros(), None
    begins = origins(part.tokens, lanes, overlap)  # [B]
    with judging(model) as device:
        for batch in windows(part.tokens, window, lanes=lanes, overlap=overlap):
            nats, state = _nats(model, batch, state, device)
            predicted = batch.targets.numpy() != IGNORED
            steps = np.arange(len(predicted))[:, None] + batch.position + 1
            part.add(sums, (begins + steps)[predicted], nats.cpu().numpy()[predicted])
    return sums


def reset_nats(model: Any, part: Blocks, window: int, vocabulary: int) -> Floats:
    """-ln p of the predicted tokens, summed by block, [K], where the state starts anew every `window` tokens."""
    sums, count = part.zeros(), len(part.tokens.ids) - 1
    together = window * max(1, min(RESET_ROWS, RESET_LOGITS // (window * vocabulary)))  # tokens in one call
    with judging(model) as device:
        for begin in range(0, count, together):
            end = min(begin + together, count)
            rows = -(-(end - begin) // window)
            inputs = np.zeros(rows * window, np.int64)
            targets = np.full(rows * window, IGNORED, np.int64)
            resets = np.zeros(rows * window, bool)
            inputs[: end - begin] = part.tokens.ids[begin:end]
            places = part.among(begin + 1, end + 1)
            targets[places - begin - 1] = part.tokens.ids[begin + 1 : end + 1][places - begin - 1]
            low, high = np.searchsorted(part.tokens.starts, [begin + 1, end])
            resets[part.tokens.starts[low:high] - begin] = True
            shaped = [torch.from_numpy(values.reshape(rows, window).T) for values in (inputs, targets, resets)]
            nats, _ = _nats(model, Batch(shaped[0], shaped[1], shaped[2], 0, 0), None, device)
            part.add(sums, places, nats.T.reshape(-1).cpu().numpy()[places - begin - 1])
    return sums


def validation(model: Any, tokens: Tokens, *, lanes: int = 32, overlap: int = 200) -> float:
    """Mean nats per token, quickly: for choosing between models while one trains, not for reporting."""
    part = Blocks.of(tokens)
    nats = carried_nats(model, part, window=200, lanes=max(1, min(lanes, len(tokens.ids) // 400)), overlap=overlap)
    return float(nats.sum() / part.size) if part.size else math.nan


@contextmanager
def judging(model: Any) -> Iterator[torch.device]:
    """Evaluation mode, no gradient, no autocast; gives the model's device, and its mode back."""
    device = torch.device("cpu")
    training = isinstance(model, nn.Module) and model.training
    if isinstance(model, nn.Module):
        device = next((p.device for p in model.parameters()), device)
        model.eval()
    try:
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            yield device
    finally:
        if training:
            model.train()


def _nats(model: Any, batch: Batch, state: Any, device: torch.device) -> tuple[Tensor, Any]:
    """-ln p of each target, [T, B] in float64 (0 where there is none), and the state after the window."""
    resets = None if batch.resets is None or not bool(batch.resets.any()) else batch.resets.to(device)
    logits, state = model(batch.inputs.to(device), state, resets)
    targets = batch.targets.to(device).flatten()
    nats = functional.cross_entropy(logits.flatten(0, 1), targets, ignore_index=IGNORED, reduction="none")
    return nats.double().view(batch.targets.shape), state


def _unknown_words(tokenizer: Tokenizer, share: float) -> str:
    """What the figures count of unknown tokens, as a sentence."""
    rate = f"{share:.2%} of the predicted {tokenizer.unit}s are unknown to the vocabulary"
    if tokenizer.spelling:
        return (
            f"{rate}: each counts as the unknown token and {tokenizer.spelling:.1f} nats more, for which of the other "
            "characters of Unicode it is, so that nats per character compare with those of any model."
        )
    return (
        f"{rate}: each counts as the unknown token and as one character, and its spelling is not counted, so that nats "
        "per character compare only with those of models over the same vocabulary."
    )


def _warning(carried: Floats, reset: Floats, sizes: Floats, window: int) -> str | None:
    """A sentence where carrying the state changes the mean by over 1 %, and not by chance. All: sums by block, [K]."""
    low, high = bootstrap(reset - carried, sizes)
    mean = float((reset - carried).sum() / sizes.sum())
    if abs(mean) < 0.01 * float(carried.sum() / sizes.sum()) or low <= 0 <= high:
        return None
    if mean > 0:
        return (
            f"with the state reset every {window} tokens the loss is {mean:.3f} nats higher ({low:.3f} to {high:.3f}): "
            "figures measured one way do not compare with figures measured the other way."
        )
    return (
        f"carrying the state makes the loss {-mean:.3f} nats higher ({-high:.3f} to {-low:.3f}) than resetting it "
        f"every {window} tokens: the model drifts on long text. Train with a longer window, or reset the state in use."
    )
