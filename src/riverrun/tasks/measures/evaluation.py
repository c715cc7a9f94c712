"""The evaluation of a language model: every token of a part but the first of each document, state carried and reset."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from riverrun.data.batch import IGNORED, Batch
from riverrun.data.streams import evaluation as windows
from riverrun.data.tokenizer import Tokenizer
from riverrun.data.tokens import Tokens
from riverrun.errors import DataError
from riverrun.tasks.measures.intervals import Interval, bootstrap

Floats = NDArray[np.float64]

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
    def of(nats: Floats, characters: Floats) -> Figures:
        """The figures of N tokens: their nats, [N], and the characters of each, [N]."""
        mean = float(nats.mean())
        per_character = float(nats.sum() / characters.sum()) if characters.sum() else math.nan
        low, high = bootstrap(nats)
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
    as many papers measure. warning: what the difference means, where it is none by chance. per_token: nats of each
    token, [N], in the order of the text, state carried.
    """

    carried: Figures
    reset: Figures
    window: int
    lanes: int
    tokens: int
    characters: int
    unit: str
    unknown_share: float
    warning: str | None
    seconds: float
    per_token: Floats

    def as_dict(self, part: str = "test") -> dict[str, Any]:
        """What `eval/metrics.json` holds of it: all but the nats of each token."""
        values = {key: value for key, value in self.__dict__.items() if key not in ("carried", "reset", "per_token")}
        return {"part": part, **values, "carried": asdict(self.carried), "reset": asdict(self.reset)}


def evaluate(model: Any, tokens: Tokens, tokenizer: Tokenizer, *, window: int = 100) -> Evaluation:
    """Judge a model on all of `tokens`, in the precision of its weights (float32), without dropout or gradient.

    model: with `model(inputs [T, B], state, resets) -> (logits [T, B, V], state)`. window: of the reset-state figure.
    Raises DataError where no token is to be predicted.
    """
    start = time.perf_counter()
    targets = scored(tokens)
    if not len(targets):
        raise DataError(f"{len(tokens.ids)} tokens to evaluate: every document has one token, so none is predicted.")
    lengths = tokenizer.lengths[targets].astype(np.float64)  # [N]
    lanes = min(64, -(-len(tokens.ids) // LANE))
    carried = carried_nats(model, tokens, window=max(100, CARRIED_WINDOW // lanes), lanes=lanes, overlap=OVERLAP)
    reset = reset_nats(model, tokens, window, tokenizer.size)
    unknown = tokenizer.unknown
    return Evaluation(
        carried=Figures.of(carried, lengths),
        reset=Figures.of(reset, lengths),
        window=window,
        lanes=lanes,
        tokens=len(carried),
        characters=int(lengths.sum()),
        unit=tokenizer.unit,
        unknown_share=0.0 if unknown is None else float((targets == unknown).mean()),
        warning=_warning(carried, reset, window),
        seconds=time.perf_counter() - start,
        per_token=carried,
    )


def scored(tokens: Tokens) -> NDArray[np.int64]:
    """The ids that are predicted: all but the first of each document, [N]."""
    return np.delete(np.asarray(tokens.ids, np.int64), tokens.starts[tokens.starts < len(tokens.ids)])


def carried_nats(
    model: Any, tokens: Tokens, *, window: int = CARRIED_WINDOW, lanes: int = 1, overlap: int = 0
) -> Floats:
    """-ln p of each predicted token, [N], the state carried from the first to the last.

    With more lanes it is faster and nearly the same: each lane reads `overlap` tokens before its stretch of the text.
    """
    nats, places = [], []
    state = None
    with judging(model) as device:
        for batch in windows(tokens, window, lanes=lanes, overlap=overlap):
            found, state = _nats(model, batch, state, device)
            nats.append(found.cpu().numpy())
            places.append(batch.targets.numpy() != IGNORED)
    if not nats:
        return np.zeros(0)
    order: Floats = np.concatenate(nats).T[np.concatenate(places).T]  # lane by lane is the order of the text
    return order


def reset_nats(model: Any, tokens: Tokens, window: int, vocabulary: int) -> Floats:
    """-ln p of each predicted token, [N], where the state starts anew every `window` tokens."""
    count = len(tokens.ids) - 1
    if count < 1:
        return np.zeros(0)
    rows = -(-count // window)
    inputs = np.zeros(rows * window, np.int64)
    targets = np.full(rows * window, IGNORED, np.int64)
    resets = np.zeros(rows * window, bool)
    inputs[:count], targets[:count] = tokens.ids[:-1], tokens.ids[1:]
    inner = tokens.starts[(tokens.starts > 0) & (tokens.starts <= count)]
    targets[inner - 1] = IGNORED
    resets[inner[inner < count]] = True
    shaped = [torch.from_numpy(values.reshape(rows, window).T) for values in (inputs, targets, resets)]  # [T, rows]
    nats = []
    with judging(model) as device:
        together = max(1, min(RESET_ROWS, RESET_LOGITS // (window * vocabulary)))
        for first in range(0, rows, together):
            part = [values[:, first : first + together] for values in shaped]
            losses, _ = _nats(model, Batch(part[0], part[1], part[2], 0, 0), None, device)
            nats.append(losses.T.reshape(-1).cpu().numpy())
    found: Floats = np.concatenate(nats)[targets != IGNORED]
    return found


def validation(model: Any, tokens: Tokens, *, lanes: int = 32, overlap: int = 200) -> float:
    """Mean nats per token, quickly: for choosing between models while one trains, not for reporting."""
    nats = carried_nats(model, tokens, window=200, lanes=max(1, min(lanes, len(tokens.ids) // 400)), overlap=overlap)
    return float(nats.mean()) if len(nats) else math.nan


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


def _warning(carried: Floats, reset: Floats, window: int) -> str | None:
    """A sentence where carrying the state changes the mean by over 1 %, and not by chance."""
    difference = reset - carried
    low, high = Interval(*bootstrap(difference))
    mean = float(difference.mean())
    if abs(mean) < 0.01 * float(carried.mean()) or low <= 0 <= high:
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
