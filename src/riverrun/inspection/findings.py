"""Findings: the sentences that a run's figures amount to, each with a sign. What the reader would work out, said first.

Every sentence names the figures it stands on; none is made where one of them is absent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, Literal, NamedTuple

from riverrun.inspection.record import RunRecord, number, pairs


class Finding(NamedTuple):
    """A sentence, and whether it is good news, a warning, or neither."""

    tone: Literal["good", "warn", "plain"]
    text: str


class Result(NamedTuple):
    """A predictor's result on the held-out text, in nats per character whatever its token; None: not known."""

    name: str
    nats: float
    low: float | None
    high: float | None
    seconds: float | None
    note: str

    @property
    def bits(self) -> float:
        """The same in bits per character."""
        return self.nats / LN2


LN2 = 0.6931471805599453
UNKNOWN = 0.01  # from this share of the predicted tokens on, what the vocabulary lacks asks for attention


def own_result(metrics: Mapping[str, Any], name: str = "this model", state: str = "carried") -> Result | None:
    """The model's result with carried (or reset) state, per character.

    `nats`, `low` and `high` are those of a token; bits per character turn them into those of a character.
    """
    part = metrics.get(state)
    if not isinstance(part, dict):
        return None
    nats, bits = number(part.get("nats")), number(part.get("bits_per_character"))
    if bits is None:
        if nats is None or metrics.get("unit") not in (None, "character"):
            return None
        bits = nats / LN2
    scale = bits * LN2 / nats if nats else 1.0
    low, high = (None if (n := number(part.get(key))) is None else n * scale for key in ("low", "high"))
    return Result(name, bits * LN2, low, high, None, "")


def baselines(metrics: Mapping[str, Any]) -> list[Result]:
    """The baselines, best first; one without a finite figure is left out (a model that gives 0 to what occurred)."""
    found = []
    entries = metrics.get("baselines")
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict):
            continue
        nats, bits = number(entry.get("nats_per_character")), number(entry.get("bits_per_character"))
        nats = bits * LN2 if nats is None and bits is not None else nats
        if nats is not None:
            low, high, seconds = (number(entry.get(key)) for key in ("low", "high", "seconds"))
            found.append(Result(str(entry.get("name", "?")), nats, low, high, seconds, str(entry.get("note") or "")))
    return sorted(found, key=lambda result: result.nats)


def findings(run: RunRecord) -> list[Finding]:
    """Everything there is to say about a language model's run, the most important first."""
    own, others = own_result(run.metrics), baselines(run.metrics)
    said = [
        against_baselines(own, others),
        _fit(run),
        _still_learning(run),
        _state(run.metrics),
        _unknown(run.metrics),
        _copying(run.result("novelty")),
        _trouble(run),
    ]
    return [finding for finding in said if finding is not None]


def training_findings(run: RunRecord) -> list[Finding]:
    """What there is to say about the training of any task."""
    return [finding for finding in (_fit(run), _still_learning(run), _trouble(run)) if finding is not None]


def against_baselines(own: Result | None, others: Sequence[Result]) -> Finding | None:
    if own is None or not others:
        return None
    best = others[0]
    gain = best.nats - own.nats
    figures = f"{own.nats:.3f} nats per character against {best.nats:.3f}"
    if gain <= 0:
        return Finding(
            "warn",
            f"The model does not beat its best baseline, {best.name}: {figures}. Train longer, or use the baseline.",
        )
    if own.high is not None and best.low is not None and own.high >= best.low:
        return Finding(
            "plain",
            f"The model is ahead of the best baseline, {best.name} ({figures}), but the 95 % intervals overlap: more "
            "held-out text would settle it.",
        )
    return Finding(
        "good", f"The model beats the best baseline, {best.name}: {figures}, {100 * gain / best.nats:.0f} % fewer."
    )


def final_training_nats(run: RunRecord) -> float | None:
    """The mean training loss over the last twentieth of the logged steps, in nats per token."""
    values = [nats for _, nats in pairs(run.steps, "step", "nats")]
    return fmean(values[-max(1, len(values) // 20) :]) if values else None


def held_out_nats(metrics: Mapping[str, Any]) -> float | None:
    """The loss on the held-out part, in nats per token: a language model's with carried state, another's "loss"."""
    carried = metrics.get("carried")
    return number(carried.get("nats") if isinstance(carried, dict) else metrics.get("loss"))


def _fit(run: RunRecord) -> Finding | None:
    train, test = final_training_nats(run), held_out_nats(run.metrics)
    what = "text" if own_result(run.metrics) is not None else "data"
    if train is None or test is None or test <= 0:
        return None
    figures = f"{train:.3f} nats per {run.unit} at the end of training, {test:.3f} on held-out {what}"
    gap = (test - train) / test
    if gap > 0.25:
        return Finding(
            "warn",
            f"It fits the training {what} much better than new {what} ({figures}): more dropout or more {what} helps.",
        )
    if gap > 0.08:
        return Finding("plain", f"It fits the training {what} somewhat better than new {what}: {figures}.")
    return Finding(
        "plain",
        f"It fits new {what} about as well as the training {what} ({figures}; dropout is active in the first): a "
        "larger model or a longer run has room.",
    )


def _still_learning(run: RunRecord) -> Finding | None:
    points = pairs(run.steps, "step", "nats")
    if len(points) < 40:
        return None
    tenth = len(points) // 10
    before = fmean(nats for _, nats in points[-2 * tenth : -tenth])
    last = fmean(nats for _, nats in points[-tenth:])
    fall = before - last
    if fall > 0.01 * before:
        return Finding("plain", f"The loss was still falling when the run ended: by {fall:.3f} over its last tenth.")
    if fall < -0.01 * before:
        return Finding("warn", f"The loss was rising when the run ended: by {-fall:.3f} over its last tenth.")
    return None


def _state(metrics: Mapping[str, Any]) -> Finding | None:
    carried, reset = own_result(metrics), own_result(metrics, state="reset")
    if carried is None or reset is None:
        return None
    gain = reset.nats - carried.nats
    warning = metrics.get("warning")
    if isinstance(warning, str) and warning:
        return Finding("warn", warning[0].upper() + warning[1:])
    if gain >= 0:
        return Finding(
            "plain",
            f"Carrying the state on from window to window is worth {gain:.3f} nats per character: {carried.nats:.3f} "
            f"carried, {reset.nats:.3f} where each window starts afresh.",
        )
    return Finding(
        "warn",
        f"Carrying the state harms: {carried.nats:.3f} nats per character carried, {reset.nats:.3f} where each window "
        "starts afresh.",
    )


def _unknown(metrics: Mapping[str, Any]) -> Finding | None:
    """What the figures count of tokens that the vocabulary lacks, as the evaluation put it."""
    share, said = number(metrics.get("unknown_share")), metrics.get("unknown")
    if not share or not isinstance(said, str) or not said:
        return None
    return Finding("warn" if share >= UNKNOWN else "plain", said)


def longest(novelty: Mapping[str, Any], whose: str) -> Mapping[str, Any] | None:
    """The longest copied span of the sample or of the held-out text, where it is well formed."""
    part = novelty.get(whose)
    span = part.get("longest") if isinstance(part, dict) else None
    if not isinstance(span, dict) or number(span.get("length")) is None or number(span.get("in_sample")) is None:
        return None
    return span


def _copying(novelty: Mapping[str, Any]) -> Finding | None:
    mine, real = longest(novelty, "sample"), longest(novelty, "held_out")
    if mine is None:
        return None
    length = int(mine["length"])
    text = f"The longest span that the sample shares with the training text is {length:,} characters"
    if real is None:
        return Finding("plain", f"{text}.")
    usual = int(real["length"])
    if length > 2 * usual:
        return Finding("warn", f"{text}; real text that the model never saw shares only {usual:,}: it recites.")
    return Finding("good", f"{text}; real text that the model never saw shares {usual:,}. It does not recite.")


def _trouble(run: RunRecord) -> Finding | None:
    if not run.skipped:
        return None
    count = len(run.skipped)
    steps = "step was" if count == 1 else "steps were"
    return Finding("warn", f"{count} {steps} skipped because the loss or its gradient was not finite.")
