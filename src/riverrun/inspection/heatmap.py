"""Matrices as pictures: rows and columns with names, and cells whose ground says how much.

A cell tells its figures when a pointer rests on it (SVG's own <title>, no script). A screen reader hears the title and
the sentence; the figures belong in a table beside the picture. Cells without anything in them are left out, so that a
large and sparse matrix stays small.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from riverrun.inspection.page import CONTROLS, clipped

LETTERS = 18  # of a name that are shown
WIDTH = 880  # of a card on the page
CELL = 46.0  # the largest side of a cell
CROWDED = 17.0  # a side below which slanted names would cover each other


class Cell(NamedTuple):
    """A cell: where it is, the class of its ground, how opaque that is (None: as the class has it), what it tells."""

    row: int
    column: int
    style: str
    told: str
    opacity: float | None = None
    text: str = ""


def matrix(
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Sequence[Cell],
    *,
    title: str,
    describe: str,
    axes: tuple[str, str] = ("", ""),
    largest: float = CELL,
    alone: str = "",
) -> str:
    """An SVG element, never wider than it needs to be. axes: what the rows and what the columns are.

    largest: the side of a cell where there is room. alone: a style sheet to carry along, for a file of its own.
    """
    heads = [visible(name) for name in rows], [visible(name) for name in columns]
    letters = [max((len(name) for name in names), default=0) for names in heads]
    left = 14 + 7.3 * letters[0] + (20 if axes[0] else 0)
    slant = 5.4 * letters[1] + 16  # names on the slant need room above, and to the right of the last column too
    size = min(largest, (WIDTH - left - slant) / max(1.0, len(columns) - 0.5))
    angle, need, beyond = -45, slant + 2, max(8.0, slant - size / 2)
    if size < CROWDED:
        angle, need, beyond = -90, 7.3 * letters[1] + 16, 8.0
        size = max(9.0, (WIDTH - left - beyond) / len(columns))
    elif letters[1] * 7.4 + 8 <= size:
        angle, need, beyond = 0, 26.0, 8.0
    top = need + (22 if axes[1] else 0)
    width, height = left + size * len(columns) + beyond, top + size * len(rows) + 4
    font = min(13.0, size * 0.92)
    parts = [
        f'<svg class="chart" viewBox="0 0 {width:.0f} {height:.0f}" style="width:{width:.0f}px" role="img" '
        f'aria-label="{escape(title)}. {escape(describe)}" xmlns="http://www.w3.org/2000/svg">'
    ]
    if alone:
        parts.append(f'<style>{alone}</style><rect class="sheet" width="{width:.0f}" height="{height:.0f}"/>')
    parts.append(
        f'<rect class="field" x="{left:.1f}" y="{top:.1f}" width="{size * len(columns):.1f}" '
        f'height="{size * len(rows):.1f}"/>'
    )
    parts += _axes(axes, left, top, size, len(rows), len(columns))
    for i, name in enumerate(heads[0]):
        y = top + size * (i + 0.5) + font * 0.35
        parts.append(_name(name, rows[i], f'x="{left - 7:.1f}" y="{y:.1f}" text-anchor="end"', font))
    for i, name in enumerate(heads[1]):
        x, y = left + size * (i + 0.5) + (font * 0.35 if angle == -90 else 0), top - 8
        turned = f' transform="rotate({angle} {x:.1f} {y:.1f})"' if angle else ""
        anchor = "start" if angle else "middle"
        parts.append(_name(name, columns[i], f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turned}', font))
    gap = 1.0 if size > 14 else 0.5
    for cell in cells:
        x, y = left + size * cell.column, top + size * cell.row
        opacity = "" if cell.opacity is None else f' fill-opacity="{cell.opacity:.3g}"'
        parts.append(
            f'<rect class="{cell.style}"{opacity} x="{x + gap / 2:.1f}" y="{y + gap / 2:.1f}" '
            f'width="{size - gap:.1f}" height="{size - gap:.1f}"><title>{escape(cell.told)}</title></rect>'
        )
        if cell.text:
            parts.append(
                f'<text class="in" x="{x + size / 2:.1f}" y="{y + size / 2 + 4.5:.1f}" text-anchor="middle">'
                f"{escape(cell.text)}</text>"
            )
    return "".join([*parts, "</svg>"])


def _axes(axes: tuple[str, str], left: float, top: float, size: float, rows: int, columns: int) -> list[str]:
    parts = []
    if axes[1]:
        middle = left + size * columns / 2
        parts.append(f'<text class="label" x="{middle:.1f}" y="14" text-anchor="middle">{escape(axes[1])}</text>')
    if axes[0]:
        y = top + size * rows / 2
        parts.append(
            f'<text class="label" x="14" y="{y:.1f}" text-anchor="middle" transform="rotate(-90 14 {y:.1f})">'
            f"{escape(axes[0])}</text>"
        )
    return parts


def _name(shown: str, whole: str, place: str, font: float) -> str:
    told = f"<title>{escape(whole)}</title>" if shown != whole else ""
    size = f' style="font-size:{font:.1f}px"' if font < 13 else ""
    return f"<text {place}{size}>{escape(shown)}{told}</text>"


def visible(text: str) -> str:
    """A name as a picture shows it: white space by signs, at most LETTERS letters.

    >>> visible(" "), visible("a b"), visible("internationalization")
    ('␣', 'a b', 'internationalizat…')
    """
    shown = text.replace("\n", "↵").replace("\t", "⇥").translate(CONTROLS)
    return clipped(shown, LETTERS) if shown.strip() else "␣" * len(shown) or "∅"
