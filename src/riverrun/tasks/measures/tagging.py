"""Tagging measured: accuracy, accuracy on unknown words, spans; with intervals by bootstrap over sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from riverrun.data.conll import Sentence
from riverrun.tasks.measures.classification import as_json
from riverrun.tasks.measures.resampling import columns, figure, ratio
from riverrun.tasks.measures.spans import Counts, added, counted, table

Tags = Sequence[Sequence[str]]
Floats = NDArray[np.float64]


class Judged(NamedTuple):
    """The counts of each of S sentences, [S] each. spans: of each sentence by type, None where tags mark none."""

    right: Floats
    words: Floats
    unknown_right: Floats
    unknown: Floats
    spans: list[dict[str, Counts]] | None


def judged(sentences: Sequence[Sentence], predicted: Tags, saw: Callable[[str], bool], *, spans: bool) -> Judged:
    """Predicted tags beside the true ones. Words without a tag are not counted; a tag that nobody could know is wrong.

    saw: whether the training part has a word. spans: whether the tags mark spans.
    """
    rows = []
    for sentence, tags in zip(sentences, predicted, strict=True):
        hits = [
            (gold == tag, saw(word))
            for word, gold, tag in zip(sentence.words, sentence.tags, tags, strict=True)
            if gold
        ]
        rows.append(
            (
                sum(hit for hit, _ in hits),
                len(hits),
                sum(hit for hit, seen in hits if not seen),
                sum(not seen for _, seen in hits),
            )
        )
    counts = np.array(rows, np.float64).reshape(len(rows), 4)
    found = None
    if spans:
        found = [counted(sentence.tags, tags) for sentence, tags in zip(sentences, predicted, strict=True)]
    return Judged(counts[:, 0], counts[:, 1], counts[:, 2], counts[:, 3], found)


def figures(result: Judged) -> list[dict[str, Any]]:
    """What metrics.json holds: the one to compare first, which is F1 where there are spans."""
    found = [
        _figure("accuracy", result.right, result.words),
        _figure("unknown-word accuracy", result.unknown_right, result.unknown),
    ]
    if result.spans is None:
        return found
    whole = [
        Counts(*map(sum, zip(*by_type.values(), strict=True))) if by_type else Counts(0, 0, 0)
        for by_type in result.spans
    ]
    right, guessed, true = np.array(whole, np.float64).reshape(len(whole), 3).T
    return [
        _figure("F1", 2 * right, guessed + true),
        _figure("precision", right, guessed),
        _figure("recall", right, true),
        *found,
    ]


def by_type(result: Judged) -> list[dict[str, Any]]:
    """conlleval's table, for JSON; empty where there are no spans."""
    return table(added(result.spans)) if result.spans is not None else []


def _figure(name: str, right: Floats, of: Floats) -> dict[str, Any]:
    """A share of counts with its 95 % interval; None where there is nothing to count."""
    return as_json([figure(name, columns(right, of), ratio, "share", "higher")])[0]


def lines(found: Sequence[dict[str, Any]]) -> list[str]:
    """The figures in per cent, with their intervals."""
    return [f"{figure['name']:<24}{_percent(figure['value']):>8}  {_interval(figure)}".rstrip() for figure in found]


def heading(found: Sequence[dict[str, Any]]) -> str:
    """The line above the rows of baselines."""
    short = {"unknown-word accuracy": "unknown"}
    names = "".join(f"{short.get(figure['name'], figure['name']):>10}" for figure in found)
    return f"  {'':<22}{names}"


def row(name: str, found: Sequence[dict[str, Any]], note: str) -> str:
    """One row of the table of baselines."""
    values = "".join(f"{_percent(figure['value']):>10}" for figure in found)
    return f"  {name:<22}{values}  {note}".rstrip()


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


def _interval(figure: dict[str, Any]) -> str:
    return "" if figure["low"] is None else f"(95 %: {100 * figure['low']:.2f} .. {100 * figure['high']:.2f})"
