"""Figures with their intervals, of the model and of its baselines, as eval/metrics.json has them for every task.

record.py's docstring has the shape. What is not well formed is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from riverrun.inspection.record import number


class Figure(NamedTuple):
    """A figure, its 95 % interval (None: not known), its unit ("share": from 0 to 1), and whether more is better."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    unit: str = ""
    higher: bool = True

    @property
    def shown(self) -> str:
        """The value with its unit: "84.0 %", "0.512", "31.2", "1.250 nats"."""
        return f"{written(self.value, self.unit)}{self.suffix}"

    @property
    def suffix(self) -> str:
        """The unit as it stands behind a number, with the space before it."""
        return f" {of}" if (of := "%" if self.unit == "share" else self.unit) else ""

    @property
    def interval(self) -> str:
        """The interval as text, empty where it is not known."""
        if self.low is None or self.high is None:
            return ""
        low, high = (written(end, self.unit, like=self.value) for end in (self.low, self.high))
        return f"{low} – {high}"

    def beats(self, other: Figure) -> bool:
        """Whether it is better than another one of the same kind."""
        return self.value > other.value if self.higher else self.value < other.value

    def apart(self, other: Figure) -> bool:
        """Whether the intervals do not meet; an unknown end is the value itself."""
        mine = (_or(self.low, self.value), _or(self.high, self.value))
        its = (_or(other.low, other.value), _or(other.high, other.value))
        return mine[0] > its[1] or mine[1] < its[0]


class Scored(NamedTuple):
    """A predictor and its figures by name."""

    name: str
    figures: Mapping[str, Figure]
    seconds: float | None = None
    note: str = ""
    limit: str = ""


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def written(value: float, unit: str, *, like: float | None = None) -> str:
    """A value with the digits that matter (of `like`, where that is given); of a share, its per cent.

    >>> written(0.8404, "share"), written(0.9987, "share"), written(0.5123, ""), written(31.24, ""), written(1234.5, "")
    ('84.0', '99.87', '0.512', '31.2', '1,234')
    """
    size = abs(value if like is None else like)
    if unit == "share":
        return f"{100 * value:.{2 if 0.99 <= size < 1 or 0 < size < 0.01 else 1}f}"
    return f"{value:,.{3 if size < 10 else 1 if size < 1000 else 0}f}"


def plain(name: str) -> str:
    """A figure's name as it is written: `macro_f1` is "macro f1"."""
    return name.replace("_", " ")


def figures_of(content: Any) -> list[Figure]:
    """The well-formed figures of a list of them, in order."""
    found = []
    for entry in content if isinstance(content, list) else []:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            continue
        value, low, high = (number(entry.get(key)) for key in ("value", "low", "high"))
        if value is not None:
            unit = entry.get("unit")
            found.append(
                Figure(
                    plain(entry["name"]),
                    value,
                    low,
                    high,
                    unit if isinstance(unit, str) else "",
                    entry.get("better") != "lower",
                )
            )
    return found


def own(metrics: Mapping[str, Any]) -> list[Figure]:
    """The model's figures; the first is the one that is compared."""
    return figures_of(metrics.get("figures"))


def baselines(metrics: Mapping[str, Any]) -> list[Scored]:
    """The baselines, best first by the model's first figure; those that lack it come last."""
    entries = metrics.get("baselines")
    found = []
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict):
            figures = {figure.name: figure for figure in figures_of(entry.get("figures"))}
            note, limit = (of if isinstance(of := entry.get(key), str) else "" for key in ("note", "limit"))
            found.append(Scored(str(entry.get("name", "?")), figures, number(entry.get("seconds")), note, limit))
    first = next(iter(own(metrics)), None)
    if first is None:
        return found
    rated = [scored for scored in found if first.name in scored.figures]
    rated.sort(key=lambda scored: scored.figures[first.name].value, reverse=first.higher)
    return rated + [scored for scored in found if first.name not in scored.figures]


def best(others: Sequence[Scored], name: str) -> tuple[str, Figure] | None:
    """Which of the others is best in a figure, and its figure."""
    having = [(scored.name, scored.figures[name]) for scored in others if name in scored.figures]
    if not having:
        return None
    higher = having[0][1].higher
    return (max if higher else min)(having, key=lambda entry: entry[1].value)
