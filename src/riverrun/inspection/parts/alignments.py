"""What it looked at: the attention of a decoder as matrices, one for each of a few held-out items."""

from __future__ import annotations

from html import escape

from riverrun.inspection import page
from riverrun.inspection.alignment import Alignment, alignment_of, shown
from riverrun.inspection.heatmap import visible
from riverrun.inspection.part import Part
from riverrun.inspection.record import RunRecord

MOST = 6  # matrices that are shown
LETTERS = 90  # of a heading's sides


def alignments(run: RunRecord) -> str:
    """The section's HTML; empty where there is none."""
    entries = run.result("alignments").get("items")
    found = [item for entry in entries if (item := alignment_of(entry))] if isinstance(entries, list) else []
    if not found:
        return ""
    listed = "".join(f"<div><h3>{_heading(item)}</h3>{shown(item)}</div>" for item in found[:MOST])
    return (
        "<p>A row is a token that it wrote, a column one that it read; the darker the cell, the more it looked there "
        "when it wrote. Rest the pointer on a cell to see the share. A good alignment of like languages runs along the "
        f'diagonal.</p><div class="matrices">{listed}</div>{page.cut(found, MOST, "alignments")}'
    )


def _heading(item: Alignment) -> str:
    sides = [page.clipped(" ".join(map(visible, side)), LETTERS) for side in (item.source, item.target)]
    return escape(" → ".join(sides))


PART = Part("alignments", "What it looks at", alignments, file="alignments")
