"""The result by length: whether long inputs suffer, as a curve for each figure and a table of all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from html import escape
from typing import Any, NamedTuple

from riverrun.inspection import page
from riverrun.inspection.charts import SMALL, Frame, Line, line_chart
from riverrun.inspection.part import Part
from riverrun.inspection.record import RunRecord, number
from riverrun.inspection.scored import Figure, own, plain, written

SHOWN = 5  # figures that there is room for
FRAME = Frame(height=300, right=20)


class Row(NamedTuple):
    """Lengths from low to high (None: and more), how many have them, the figures by name."""

    low: int
    high: int | None
    items: int | None
    figures: Mapping[str, Figure]

    @property
    def name(self) -> str:
        """The lengths as text."""
        if self.high is None:
            return f"{self.low}+"
        return f"{self.low}" if self.high == self.low else f"{self.low}–{self.high}"


def lengths(run: RunRecord) -> str:
    """The section's HTML; empty where no length has a figure."""
    content = run.result("lengths")
    kinds = {figure.name: figure for figure in own(run.metrics)}
    rows = rows_of(content, kinds)
    names = list(dict.fromkeys(name for row in rows for name in row.figures))
    if not names:
        return ""
    given = content.get("unit")
    unit = given if isinstance(given, str) else "length"
    if len(rows) < 2:
        return f"<p>All have about the same length, so there is nothing to compare.</p>{_table(rows, names, unit)}"
    smaller = "".join(
        f'<div class="card"><h3>{escape(page.capital(name))}</h3>{_chart(name, rows, unit, small=True)}</div>'
        for name in names[1:SHOWN]
    )
    return (
        f"<p>{escape(page.capital(names[0]))} by {escape(unit)}; "
        "the upright lines are 95 % intervals where they are known.</p>"
        f'<div class="card scroll wide">{_chart(names[0], rows, unit, small=False)}</div>'
        + (f'<div class="pair">{smaller}</div>' if smaller else "")
        + _table(rows, names[:SHOWN], unit)
        + page.cut(names, SHOWN, "figures")
    )


def rows_of(content: Mapping[str, Any], kinds: Mapping[str, Figure]) -> list[Row]:
    """The rows that have a low end and a figure, by length. kinds: of each figure, one with its unit and direction."""
    entries = content.get("rows")
    found = []
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict) or (low := number(entry.get("low"))) is None:
            continue
        high, count, given = number(entry.get("high")), number(entry.get("count")), entry.get("figures")
        figures = {}
        for key, value in given.items() if isinstance(given, dict) else ():
            name = plain(key)
            parts = value if isinstance(value, dict) else {"value": value}
            middle, bottom, top = (number(parts.get(key)) for key in ("value", "low", "high"))
            if middle is not None:
                kind = kinds.get(name, Figure(name, middle))
                figures[name] = kind._replace(value=middle, low=bottom, high=top)
        if figures:
            found.append(
                Row(int(low), None if high is None else int(high), None if count is None else int(count), figures)
            )
    return sorted(found, key=lambda row: row.low)


def _chart(name: str, rows: list[Row], unit: str, *, small: bool) -> str:
    having = [(i, row.figures[name]) for i, row in enumerate(rows) if name in row.figures]
    scale = 100.0 if having[0][1].unit == "share" else 1.0
    ranges = [
        (float(i), scale * figure.low, scale * figure.high)
        for i, figure in having
        if figure.low is not None and figure.high is not None
    ]
    points = [(float(i), scale * figure.value) for i, figure in having]
    tops = [y for _, y in points] + [high for _, _, high in ranges]
    lows = [y for _, y in points] + [low for _, low, _ in ranges]
    return line_chart(
        [Line(points=points, style="model", dots=True, ranges=ranges)],
        title=f"{name} by {unit}",
        describe="; ".join(f"{rows[i].name}: {figure.shown}" for i, figure in having),
        x_label="" if small else unit,
        x_names=[row.name for row in rows],
        y_range=(min(0.0, *lows), 1.06 * max(*tops, 0.0) or 1.0),
        frame=replace(SMALL, right=12) if small else FRAME,
    )


def _table(rows: list[Row], names: list[str], unit: str) -> str:
    kinds = {name: next(row.figures[name] for row in rows if name in row.figures) for name in names}
    head = [unit[:1].upper() + unit[1:], "how many", *(f"{name}{kind.suffix}" for name, kind in kinds.items())]
    body = []
    for row in rows:
        cells = [row.name, "–" if row.items is None else f"{row.items:,}"]
        for name in names:
            figure = row.figures.get(name)
            interval = f" ({figure.interval})" if figure is not None and figure.interval else ""
            cells.append("–" if figure is None else f"{written(figure.value, figure.unit)}{interval}")
        body.append(cells)
    return f'<div class="card">{page.table(head, body)}</div>'


PART = Part("lengths", "Short and long", lengths, file="lengths")
