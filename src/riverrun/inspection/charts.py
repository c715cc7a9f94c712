"""Line charts in SVG, by hand: their colours come from the style sheet, so they follow light, dark and print.

A chart is a picture to a screen reader (`role="img"`) with a title and a sentence; the figures behind it belong in a
table beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape
from zlib import crc32

Point = tuple[float, float]
_Place = Callable[[float, float], Point]

MOST_POINTS = 900  # a path with more of them looks the same and is larger


@dataclass(frozen=True, kw_only=True)
class Line:
    """A curve: its points in order of x, its name beside its end, its class in the style sheet; dots at its points?

    ranges: (x, low, high) each, drawn as vertical lines through the points: their intervals.
    """

    points: Sequence[Point]
    style: str
    label: str = ""
    dots: bool = False
    ranges: Sequence[tuple[float, float, float]] = ()


@dataclass(frozen=True, kw_only=True)
class Level:
    """A horizontal line: a value to compare the curves with."""

    value: float
    label: str
    style: str


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The size of a chart in SVG units: all of it, and the margins around the plot."""

    width: float = 920
    height: float = 360
    left: float = 52
    right: float = 0  # 0: as much as the names beside the ends of the lines need
    top: float = 14
    bottom: float = 44


SMALL = Frame(width=300, height=170, left=46, right=10, top=12, bottom=26)


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    describe: str,
    x_label: str = "",
    y_label: str = "",
    levels: Sequence[Level] = (),
    x_names: Sequence[str] | None = None,
    y_range: tuple[float, float] | None = None,
    frame: Frame | None = None,
) -> str:
    """An SVG element with curves and horizontal levels, each named beside its end.

    title, describe: what a screen reader says. x_names: what stands below x = 0, 1, ... in place of numbers. y_range:
    what lies outside is cut off; None shows everything.
    Raises ValueError where no line has a point.
    """
    frame = frame or Frame()
    longest = max([len(line.label) for line in lines] + [len(level.label) for level in levels])
    frame = frame if frame.right else replace(frame, right=24 + 7.4 * longest)
    points = [point for line in lines for point in line.points]
    if not points:
        raise ValueError("line_chart needs at least one point.")
    x_low, x_high = min(x for x, _ in points), max(x for x, _ in points)
    if x_names is not None:
        x_low, x_high = -0.5, len(x_names) - 0.5
    ends = [y for line in lines for _, low, high in line.ranges for y in (low, high)]
    y_low, y_high = y_range or _range([*(y for _, y in points), *(level.value for level in levels), *ends])
    x_high = x_high if x_high > x_low else x_low + 1
    plot_right, plot_bottom = frame.width - frame.right, frame.height - frame.bottom

    def at(x: float, y: float) -> Point:
        return (
            frame.left + (x - x_low) / (x_high - x_low) * (plot_right - frame.left),
            plot_bottom - (y - y_low) / (y_high - y_low) * (plot_bottom - frame.top),
        )

    clip = f"clip-{crc32(repr((title, lines, frame)).encode()):x}"  # a page holds several charts
    parts = [
        f'<svg class="chart" viewBox="0 0 {frame.width:g} {frame.height:g}" role="img" aria-label="'
        f'{escape(title)}. {escape(describe)}" xmlns="http://www.w3.org/2000/svg">',
        f'<clipPath id="{clip}"><rect x="{frame.left - 5:g}" y="{frame.top - 5:g}" '
        f'width="{plot_right - frame.left + 10:g}" height="{plot_bottom - frame.top + 10:g}"/></clipPath>',
    ]
    parts += _axes(frame, at, (x_low, x_high), (y_low, y_high), x_label, x_names)
    if y_label:
        y = (frame.top + plot_bottom) / 2
        parts.append(
            f'<text x="14" y="{y:g}" text-anchor="middle" transform="rotate(-90 14 {y:g})">{escape(y_label)}</text>'
        )
    for level in levels:
        y = at(x_low, level.value)[1]
        parts.append(f'<path class="{level.style}" d="M{frame.left:g} {y:.1f}H{plot_right:g}"/>')
    for line in lines:
        places = [at(x, y) for x, y in thinned(line.points)]
        path = "".join(f"{'L' if i else 'M'}{x:.1f} {y:.1f}" for i, (x, y) in enumerate(places))
        parts.append(f'<path class="{line.style}" clip-path="url(#{clip})" d="{path}"/>')
        spans = "".join(
            f"M{at(x, low)[0]:.1f} {at(x, low)[1]:.1f}V{at(x, high)[1]:.1f}" for x, low, high in line.ranges
        )
        if spans:
            parts.append(f'<path class="{line.style} span" clip-path="url(#{clip})" d="{spans}"/>')
        if line.dots or len(places) == 1:
            circles = "".join(f'<circle class="{line.style}" cx="{x:.1f}" cy="{y:.1f}" r="3.4"/>' for x, y in places)
            parts.append(f'<g clip-path="url(#{clip})">{circles}</g>')
    named = [(at(*line.points[-1])[1], line.label, line.style) for line in lines if line.label and line.points]
    named += [(at(x_low, level.value)[1], level.label, level.style) for level in levels]
    for y, (_, text, style) in zip(
        spread([y for y, _, _ in named], frame.top, plot_bottom, 17), sorted(named), strict=True
    ):
        parts.append(f'<text class="label t-{style}" x="{plot_right + 12:g}" y="{y + 4:.1f}">{escape(text)}</text>')
    return "".join([*parts, "</svg>"])


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    pad = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return (0.0 if low == 0 else low - pad), high + pad


def _axes(
    frame: Frame,
    at: _Place,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    x_label: str,
    x_names: Sequence[str] | None,
) -> list[str]:
    right, bottom = frame.width - frame.right, frame.height - frame.bottom
    parts = []
    for value in ticks(*y_range, most=max(2, int((bottom - frame.top) / 44))):
        y = at(x_range[0], value)[1]
        parts.append(f'<path class="axis" d="M{frame.left:g} {y:.1f}H{right:g}"/>')
        parts.append(f'<text x="{frame.left - 9:g}" y="{y + 4.5:.1f}" text-anchor="end">{short(value)}</text>')
    most = max(2, int((right - frame.left) / 96))
    named = (
        [(value, short(value)) for value in ticks(*x_range, most=most)] if x_names is None else _named(x_names, most)
    )
    for value, name in named:
        x = at(value, y_range[0])[0]
        parts.append(f'<path class="base" d="M{x:.1f} {bottom:g}v5"/>')
        anchor = "end" if x > right - 20 and frame.right < 30 and x_names is None else "middle"
        parts.append(f'<text x="{x:.1f}" y="{bottom + 20:g}" text-anchor="{anchor}">{escape(name)}</text>')
    parts.append(f'<path class="base" d="M{frame.left:g} {bottom:g}H{right:g}"/>')
    if x_label:
        x, y = (frame.left + right) / 2, frame.height - 5
        parts.append(f'<text x="{x:g}" y="{y:g}" text-anchor="middle">{escape(x_label)}</text>')
    return parts


def _named(names: Sequence[str], most: int) -> list[tuple[float, str]]:
    """Every name, or every second, third, ..., so that at most about `most` of them stand below the axis."""
    return [(float(i), names[i]) for i in range(0, len(names), math.ceil(len(names) / most) or 1)]


def ticks(low: float, high: float, *, most: int) -> list[float]:
    """At most `most` + 1 round values (1, 2 or 5 times a power of ten apart) from `low` to `high`.

    >>> ticks(0.9, 2.1, most=4)
    [1.0, 1.5, 2.0]
    """
    if not high > low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for step in (power, 2 * power, 5 * power, 10 * power):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first <= most:
            break
    return [round(n * step, 12) for n in range(first, last + 1)]


def short(value: float) -> str:
    """A number for an axis: few digits, thousands as k.

    >>> short(2500), short(1e6), short(0.003), short(-0.0), short(1.5)
    ('2.5k', '1M', '0.003', '0', '1.5')
    """
    if value == 0:
        return "0"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}" if abs(value) >= 1e-4 else f"{value:.0e}"


def smooth(points: Sequence[Point], share: float = 0.02) -> list[Point]:
    """The mean of the neighbours of each point, `share` of all on either side (fewer, evenly, at the ends)."""
    reach = int(len(points) * share)
    sums = [0.0]
    for _, y in points:
        sums.append(sums[-1] + y)
    smoothed = []
    for i, (x, _) in enumerate(points):
        near = min(reach, i, len(points) - 1 - i)
        smoothed.append((x, (sums[i + near + 1] - sums[i - near]) / (2 * near + 1)))
    return smoothed


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """At most about `most` points that draw the same curve: of each stretch, its lowest and highest, and the ends."""
    if len(points) <= most:
        return list(points)
    size = math.ceil(len(points) / (most / 2))
    kept = {0, len(points) - 1}
    for start in range(0, len(points), size):
        stretch = range(start, min(start + size, len(points)))
        kept |= {min(stretch, key=lambda i: points[i][1]), max(stretch, key=lambda i: points[i][1])}
    return [points[i] for i in sorted(kept)]


def spread(places: Sequence[float], low: float, high: float, apart: float) -> list[float]:
    """The places in order, moved as little as needed to lie `apart` and, as far as that fits, within [low, high].

    >>> spread([10, 12, 60], 0, 100, 20)
    [10, 30, 60]
    """
    moved = sorted(min(max(place, low), high) for place in places)
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + apart)
    if moved and moved[-1] > high:
        moved[-1] = high
        for i in range(len(moved) - 2, -1, -1):
            moved[i] = min(moved[i], moved[i + 1] - apart)
    return moved
