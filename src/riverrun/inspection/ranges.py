"""A chart of values with their intervals, one row each: a dot on a line from the interval's low to its high end.

Unlike bars it need not begin at zero, so small differences between good predictors can be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from riverrun.inspection.charts import short, ticks
from riverrun.inspection.page import clipped

ROW = 30
WIDTH = 920
NAME = 34  # letters of a name that are shown


class Row(NamedTuple):
    """A value, its interval (the value twice: not known), as what it is named, what stands behind it."""

    name: str
    value: float
    low: float
    high: float
    shown: str
    own: bool = False


def range_chart(rows: Sequence[Row], *, title: str, describe: str, unit: str = "", limits: tuple[float, float]) -> str:
    """An SVG element. limits: between which values can lie at all; the axis never goes beyond. Needs a row."""
    left = 18 + 7.2 * max(len(clipped(row.name, NAME)) for row in rows)
    right = WIDTH - 22 - 7.4 * max(len(row.shown) for row in rows)
    bottom = ROW * len(rows) + 6
    low, high = min(row.low for row in rows), max(row.high for row in rows)
    pad = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = max(low - pad, limits[0]), min(high + pad, limits[1])
    high = high if high > low else low + 1

    def at(value: float) -> float:
        return left + (value - low) / (high - low) * (right - left)

    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {bottom + 28}" role="img" aria-label="{escape(title)}. '
        f'{escape(describe)}" xmlns="http://www.w3.org/2000/svg">'
    ]
    for tick in ticks(low, high, most=6):
        parts.append(f'<path class="axis" d="M{at(tick):.1f} 0V{bottom}"/>')
        parts.append(
            f'<text x="{at(tick):.1f}" y="{bottom + 19}" text-anchor="middle">{short(tick)}{escape(unit)}</text>'
        )
    for i, row in enumerate(rows):
        y, style = ROW * i + ROW / 2, "model" if row.own else "rival"
        name = f'<text class="t-{style}" x="{left - 14:.1f}" y="{y + 4.5:g}" text-anchor="end">'
        parts.append(f"{name}{escape(clipped(row.name, NAME))}</text>")
        parts.append(f'<path class="{style}" d="M{at(row.low):.1f} {y:g}H{at(row.high):.1f}"/>')
        parts.append(f'<circle class="{style} dot" cx="{at(row.value):.1f}" cy="{y:g}" r="5"/>')
        parts.append(f'<text class="t-{style}" x="{right + 12:.1f}" y="{y + 4.5:g}">{escape(row.shown)}</text>')
    return "".join([*parts, f'<path class="base" d="M{left:.1f} {bottom}H{right:.1f}"/></svg>'])
