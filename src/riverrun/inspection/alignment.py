"""Alignments: how much of each source token a decoder looked at for each token that it wrote, as a matrix.

An item is what eval/alignments.json and `riverrun predict --json` have: "source", "target" (lists of text) and
"weights" (target x source, from 0 to 1).

>>> item = {"source": ["le", "chat"], "target": ["the", "cat"], "weights": [[0.9, 0.1], [0.2, 0.8]]}
>>> alignment_svg(item)[:4]
'<svg'
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from riverrun.inspection import page
from riverrun.inspection.heatmap import Cell, matrix, visible
from riverrun.inspection.record import number
from riverrun.inspection.theme import picture_sheet

MOST = 60  # tokens of a side that are shown
CELL = 32.0
FAINT = 0.005  # a weight below it is not drawn


class Alignment(NamedTuple):
    """A source, what was made of it, and the share of each source token (columns) for each target token (rows)."""

    source: Sequence[str]
    target: Sequence[str]
    weights: Sequence[Sequence[float]]


def alignment_of(item: Any) -> Alignment | None:
    """The alignment that a record gives, or None where it is not well formed."""
    if not isinstance(item, Mapping):
        return None
    source, target, weights = (_list(item.get(key)) for key in ("source", "target", "weights"))
    rows = [[number(weight) for weight in _list(row)] for row in weights]
    if (
        not source
        or not target
        or len(rows) != len(target)
        or any(len(row) != len(source) or None in row for row in rows)
    ):
        return None
    return Alignment(
        [str(token) for token in source], [str(token) for token in target], [[w or 0.0 for w in row] for row in rows]
    )


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def picture(alignment: Alignment, *, alone: str = "") -> str:
    """The SVG: source tokens from left to right, target tokens downwards, the darker the more it looked there."""
    source, target = alignment.source[:MOST], alignment.target[:MOST]
    cells = [
        Cell(i, j, "look", f"{visible(word)} ← {visible(token)}: {100 * weight:.0f} %", min(max(weight, 0.0), 1.0))
        for i, (word, row) in enumerate(zip(target, alignment.weights, strict=False))
        for j, (token, weight) in enumerate(zip(source, row, strict=False))
        if weight >= FAINT
    ]
    return matrix(
        target,
        source,
        cells,
        title=f"Alignment of {len(alignment.source)} source and {len(alignment.target)} target tokens",
        describe="; ".join(f"{visible(word)} looks at {visible(token)}" for word, token, _ in peaks(alignment)[:MOST]),
        largest=CELL,
        alone=alone,
    )


def peaks(alignment: Alignment) -> list[tuple[str, str, float]]:
    """Of each target token the source token it looked at most, and how much."""
    found = []
    for word, row in zip(alignment.target, alignment.weights, strict=True):
        most = max(range(len(row)), key=row.__getitem__)
        found.append((word, alignment.source[most], row[most]))
    return found


def cut(alignment: Alignment) -> str:
    """The sentence that says what is not shown; empty where all of it is."""
    beyond = [
        f"{len(side):,} {name} tokens"
        for side, name in ((alignment.source, "source"), (alignment.target, "target"))
        if len(side) > MOST
    ]
    return f"Of {' and '.join(beyond)} the first {MOST} are shown." if beyond else ""


def alignment_svg(item: Mapping[str, Any]) -> str:
    """An alignment as an SVG file of its own: well-formed XML, colours for light and dark, at most MOST tokens a side.

    Raises ValueError where the item has no source, no target, or weights of another shape than target x source.
    """
    alignment = alignment_of(item)
    if alignment is None:
        raise ValueError("alignment_svg needs source and target tokens and weights of shape target x source.")
    return _plain(picture(alignment, alone=picture_sheet()))


def alignment_page(items: Sequence[Mapping[str, Any]], title: str = "Alignments") -> str:
    """Several alignments as an HTML file of its own, each with its texts and a table. Raises ValueError as above."""
    sections = []
    for i, item in enumerate(items, 1):
        alignment = alignment_of(item)
        if alignment is None:
            raise ValueError(f"alignment_page: item {i} has no weights of shape target x source.")
        sections.append((f"alignment-{i}", f"{i}", shown(alignment)))
    header = f'<div><p class="kind">riverrun · attention</p><h1>{escape(title)}</h1></div>'
    return _plain(
        page.document(title=title, header=header, sections=sections, footer="<p>Made by riverrun predict.</p>")
    )


def shown(alignment: Alignment) -> str:
    """An alignment on a page: the two texts, the picture, what was cut, and the same as a table."""
    note = f'<p class="note">{escape(said)}</p>' if (said := cut(alignment)) else ""
    rows = [[visible(word), visible(token), f"{100 * weight:.0f} %"] for word, token, weight in peaks(alignment)[:MOST]]
    told = page.table(["It wrote", "looking most at", "share"], rows)
    return (
        f'<div class="card scroll">{picture(alignment)}</div>{note}'
        f"<details><summary>The same as a table</summary>{told}</details>"
    )


def _plain(text: str) -> str:
    """Without what XML cannot hold: control characters become signs, lone surrogates and non-characters "?"."""
    whole = text.translate(page.CONTROLS | {0xFFFE: "?", 0xFFFF: "?"})
    return whole.encode("utf-8", "replace").decode("utf-8")
