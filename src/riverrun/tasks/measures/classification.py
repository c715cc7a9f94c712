"""Classification measured: accuracy, macro-F1 and their like with bootstrap intervals, and the confusion matrix.

Everything is counted from one table, patterns (what was true, what was predicted) and how often each came. Drawing N
examples with replacement is drawing that table from a multinomial, so that 2000 draws cost no more than their sums.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


class Figure(NamedTuple):
    """One figure with its 95 % interval. unit "share": from 0 to 1. better: "higher" or "lower"."""

    name: str
    value: float
    low: float
    high: float
    unit: str
    better: str


class Judged(NamedTuple):
    """What was true and what was predicted, of N examples.

    names: the labels, those that only the truth has at the end. truth, predicted: [N] numbers of labels; of several
    labels [N, C] bool.
    """

    kind: str
    names: tuple[str, ...]
    truth: NDArray[Any]
    predicted: NDArray[Any]


def figures(judged: Judged, *, seed: int = 0, draws: int = DRAWS) -> list[Figure]:
    """The figures of a kind of labels, the one that is compared first. draws: for the intervals; 0: without them.

    one       accuracy, macro-F1
    ordered   accuracy, macro-F1, mean distance (how many labels off the scale on average)
    several   micro-F1, macro-F1, exact (the share of texts with all labels right)
    """
    if judged.kind == "several":
        return _several(judged, seed, draws)
    size = len(judged.names)
    cells, counts = np.unique(judged.truth * size + judged.predicted, return_counts=True)  # [P]
    true, said = np.divmod(cells, size)
    same = true == said

    def measured(counts: Integers) -> tuple[float, ...]:
        right = np.bincount(true[same], counts[same], size)
        macro = _macro(right, np.bincount(true, counts, size), np.bincount(said, counts, size))
        total = counts.sum()
        return float(right.sum() / total), macro, float(counts @ np.abs(true - said) / total)

    accuracy, macro, distance = _over_draws(counts, measured, 3, seed, draws)
    found = [_figure("accuracy", accuracy, "share"), _figure("macro_f1", macro, "")]
    if judged.kind == "ordered":
        found.append(_figure("mean_distance", distance, "labels", better="lower"))
    return found


def confusion(judged: Judged) -> Integers:
    """[C, C]: how often label r was predicted as label c; of one label or a scale.

    >>> confusion(Judged("one", ("a", "b"), np.array([0, 0, 1]), np.array([0, 1, 1]))).tolist()
    [[1, 1], [0, 1]]
    """
    size = len(judged.names)
    cells = np.bincount(judged.truth * size + judged.predicted, minlength=size * size)
    return cells.reshape(size, size).astype(np.int64)


def yes_no(judged: Judged) -> list[list[int]]:
    """Of several labels: for each, how often it was true and predicted, predicted only, true only, neither."""
    truth, predicted = judged.truth.astype(bool), judged.predicted.astype(bool)
    pairs = (truth & predicted, ~truth & predicted, truth & ~predicted, ~truth & ~predicted)
    return [[int(count) for count in row] for row in np.stack([pair.sum(0) for pair in pairs], 1)]


def f1_by_label(judged: Judged) -> dict[str, float | None]:
    """Each label's F1; None where it neither came nor was predicted."""
    if judged.kind == "several":
        tables = np.array(yes_no(judged), np.float64)  # [C, 4]
        right, true, said = tables[:, 0], tables[:, 0] + tables[:, 2], tables[:, 0] + tables[:, 1]
    else:
        cells = confusion(judged).astype(np.float64)
        right, true, said = np.diag(cells), cells.sum(1), cells.sum(0)
    values = _f1(right, true, said)
    return {name: None if np.isnan(x) else float(x) for name, x in zip(judged.names, values, strict=True)}


def as_json(found: Sequence[Figure]) -> list[dict[str, Any]]:
    """Figures as metrics.json has them; what is not finite is null."""
    rows = [figure._asdict() for figure in found]
    for row in rows:
        for key in ("value", "low", "high"):
            row[key] = float(row[key]) if np.isfinite(row[key]) else None
    return rows


def _several(judged: Judged, seed: int, draws: int) -> list[Figure]:
    truth, predicted = judged.truth.astype(bool), judged.predicted.astype(bool)
    patterns, counts = np.unique(np.concatenate([truth, predicted], 1), axis=0, return_counts=True)  # [P, 2 C], [P]
    truth, predicted = patterns[:, : len(judged.names)], patterns[:, len(judged.names) :]
    exact, size = (truth == predicted).all(1), len(judged.names)
    # [P, 3 C + 1] of floats, which NumPy multiplies many times faster than bits.
    sums = np.concatenate([truth & predicted, truth, predicted, exact[:, None]], 1).astype(np.float64)

    def measured(counts: Integers) -> tuple[float, ...]:
        found = counts.astype(np.float64) @ sums
        right, true, said = found[:-1].reshape(3, size)
        micro = _f1(right.sum(keepdims=True), true.sum(keepdims=True), said.sum(keepdims=True))
        return float(micro[0]), _macro(right, true, said), float(found[-1] / counts.sum())

    micro, macro, right = _over_draws(counts, measured, 3, seed, draws)
    return [_figure("micro_f1", micro, ""), _figure("macro_f1", macro, ""), _figure("exact", right, "share")]


def _f1(right: NDArray[Any], true: NDArray[Any], said: NDArray[Any]) -> Floats:
    """2 right / (true + said): the harmonic mean of precision and recall; NaN where a label is in neither."""
    both = np.asarray(true + said, np.float64)
    out: Floats = np.full(both.shape, np.nan)
    np.divide(2 * right, both, out=out, where=both > 0)
    return out


def _macro(right: NDArray[Any], true: NDArray[Any], said: NDArray[Any]) -> float:
    """The mean over the labels that came or were predicted."""
    values = _f1(right, true, said)
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else np.nan


def _over_draws(
    counts: Integers, measured: Callable[[Integers], tuple[float, ...]], width: int, seed: int, draws: int
) -> list[Floats]:
    """Each figure of the table as it came, then as it is drawn anew: as many examples, with replacement."""
    total, random = int(counts.sum()), np.random.default_rng(seed)
    if not total:
        return [np.array([np.nan])] * width
    rows = [measured(counts), *(measured(random.multinomial(total, counts / total)) for _ in range(draws))]
    return list(np.array(rows).T)


def of_draws(name: str, values: Floats, unit: str, better: str) -> Figure:
    """The figure from its value, the first, and what was drawn anew, the rest; NaN: a draw has none."""
    drawn = values[1:][np.isfinite(values[1:])]
    low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) else (np.nan, np.nan)
    return Figure(name, float(values[0]), float(low), float(high), unit, better)


def _figure(name: str, values: Floats, unit: str, better: str = "higher") -> Figure:
    """The same, the draws moved so that their mean is the value: of labels that come seldom a draw lacks some, and its
    macro-F1 is of the others, so that the draws lie higher than what they were drawn from."""
    drawn = values[1:][np.isfinite(values[1:])]
    if len(drawn):
        values = np.append(values[:1], drawn + (values[0] - drawn.mean()))
    found = of_draws(name, values, unit, better)
    low, high = np.clip([found.low, found.high], 0, np.inf if better == "lower" else 1)
    return found._replace(low=float(low), high=float(high))
