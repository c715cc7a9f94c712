"""What is taken for what: the confusion matrix as a picture, its commonest mix-ups, and the figures of each label.

Where a text has several labels there is no matrix, only the figures of each.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from riverrun.inspection import page
from riverrun.inspection.heatmap import CELL, Cell, matrix, visible
from riverrun.inspection.part import Part
from riverrun.inspection.record import RunRecord, number

MOST = 40  # labels that the picture has room for
NUMBERED = 12  # labels up to which the cells have numbers in them
MIXED = 10  # mix-ups in the table
ROWS = 60  # labels in the table
EDGES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75)  # of a row's share: where a level ends and the next begins


class Confusion(NamedTuple):
    """counts[i][j]: how many of the true label i were predicted to be label j. of: what they are."""

    labels: Sequence[str]
    counts: Sequence[Sequence[int]]
    of: str


def confusion(run: RunRecord) -> str:
    """The section's HTML; empty where there are no counts."""
    content = run.result("confusion")
    found = confusion_of(content)
    if found is not None:
        return _matrix(found)
    several = _several(content)
    if not several:
        return ""
    return (
        "<p>A text may have several labels, so each is judged by itself: how many of the texts with it were found "
        f"(recall), and how many of those that were given it have it (precision).</p>{_labels(several)}"
    )


def confusion_of(content: Mapping[str, Any]) -> Confusion | None:
    """The matrix that a record gives, or None where it is empty or not square."""
    labels, rows, of = content.get("labels"), content.get("counts"), content.get("of")
    if not isinstance(labels, list) or not isinstance(rows, list) or len(rows) != len(labels):
        return None
    counts = [[_count(value) for value in row] if isinstance(row, list) else [] for row in rows]
    if any(len(row) != len(labels) or any(n < 0 for n in row) for row in counts) or not any(map(any, counts)):
        return None
    return Confusion([str(label) for label in labels], counts, of if isinstance(of, str) else "items")


def _count(value: Any) -> int:
    n = number(value)
    return -1 if n is None else int(n)


def abridged(whole: Confusion, most: int = MOST) -> tuple[Confusion, int]:
    """At most `most` labels: those in most mistakes as they stand, the rest as one; and how many the rest are."""
    n = len(whole.labels)
    if n <= most:
        return whole, 0
    wrong = [
        sum(whole.counts[i][j] + whole.counts[j][i] for j in range(n) if j != i) + sum(whole.counts[i]) / 1e12
        for i in range(n)
    ]
    kept = sorted(sorted(range(n), key=lambda i: -wrong[i])[: most - 1])
    rest = [i for i in range(n) if i not in set(kept)]
    groups = [*([i] for i in kept), rest]
    counts = [[sum(whole.counts[i][j] for i in rows for j in columns) for columns in groups] for rows in groups]
    return Confusion([*(whole.labels[i] for i in kept), f"{len(rest)} others"], counts, whole.of), len(rest)


def level(share: float) -> int:
    """The level of a share that is not nothing, 1 to 8.

    >>> level(0.001), level(0.02), level(1.0)
    (1, 2, 8)
    """
    return 1 + bisect_right(EDGES, share)


def _matrix(whole: Confusion) -> str:
    total = sum(map(sum, whole.counts))
    wrong = total - sum(row[i] for i, row in enumerate(whole.counts))
    shown, rest = abridged(whole)
    grouped = (
        f'<p class="note">Of {len(whole.labels):,} labels the {len(shown.labels) - 1} with most mistakes are shown; '
        f"the other {rest:,} stand together in the last row and column, where mistakes among them count as right.</p>"
        if rest
        else ""
    )
    mixed = _mixed(whole)
    covered = sum(n for _, _, n, _ in mixed)
    told = (
        f"Of {total:,} {escape(whole.of)} {wrong:,} ({page.percent(wrong / total)}) were taken for something else"
        + (
            f"; the {len(mixed)} commonest mix-ups are {page.percent(covered / wrong)} of that."
            if covered < wrong
            else "."
        )
    )
    return (
        "<p>A row is what it was, a column what it was taken for, in shares of the row: on the diagonal what was "
        f"right, beside it the mistakes. {told}</p>{_legend()}"
        f'<div class="card scroll">{_picture(shown)}</div>{grouped}{_mix_ups(mixed)}{_labels(_single(whole))}'
        f"<details><summary>The counts as a table</summary>{_counts(shown)}</details>"
    )


def _picture(shown: Confusion) -> str:
    cells = []
    for i, row in enumerate(shown.counts):
        total = sum(row)
        for j, n in enumerate(row):
            if n:
                share = n / total
                text = f"{100 * share:.0f} %" if len(shown.labels) <= NUMBERED and share >= 0.005 else ""
                told = f"{visible(shown.labels[i])} taken for {visible(shown.labels[j])}: {n:,} of {total:,}"
                style = f"{'c' if i == j else 's'}{level(share)}"
                cells.append(Cell(i, j, style, f"{told}, {page.percent(share)}", None, text))
    return matrix(
        shown.labels,
        shown.labels,
        cells,
        title=f"Confusion matrix of {len(shown.labels)} labels",
        describe="The counts stand in a table below.",
        axes=("what it was", "what it was taken for"),
        largest=CELL if len(shown.labels) > 4 else 1.6 * CELL,
    )


def _legend() -> str:
    edges = ["less", *(f"{100 * edge:.0f} %" for edge in EDGES)]
    return "".join(
        f'<ul class="legend"><li class="say">{name}</li>'
        + "".join(f'<li class="{style}{i}">{edge}</li>' for i, edge in enumerate(edges, 1))
        + '<li class="say after">or more of the row</li></ul>'
        for name, style in (("Right:", "c"), ("Wrong:", "s"))
    )


def _mixed(whole: Confusion) -> list[tuple[str, str, int, float]]:
    """The commonest mix-ups: (true, predicted, how many, share of the true label's)."""
    found = [
        (whole.labels[i], whole.labels[j], n, n / sum(row))
        for i, row in enumerate(whole.counts)
        for j, n in enumerate(row)
        if n and i != j
    ]
    return sorted(found, key=lambda entry: -entry[2])[:MIXED]


def _mix_ups(mixed: Sequence[tuple[str, str, int, float]]) -> str:
    if not mixed:
        return ""
    rows = [[f"{visible(a)} taken for {visible(b)}", f"{n:,}", page.percent(share)] for a, b, n, share in mixed]
    return f"<h3>The commonest mix-ups</h3>{page.table(['', 'how many', 'of what it was'], rows)}"


def _single(whole: Confusion) -> list[tuple[str, int, int, int]]:
    """Of each label: its name, how many were it and taken for it, how many were it, how many were taken for it."""
    taken = [sum(column) for column in zip(*whole.counts, strict=True)]
    return [(label, whole.counts[i][i], sum(whole.counts[i]), taken[i]) for i, label in enumerate(whole.labels)]


def _several(content: Mapping[str, Any]) -> list[tuple[str, int, int, int]]:
    labels, rows = content.get("labels"), content.get("yes_no")
    if not isinstance(labels, list) or not isinstance(rows, list) or len(rows) != len(labels):
        return []
    found = []
    for label, row in zip(labels, rows, strict=True):
        counts = [_count(value) for value in row] if isinstance(row, list) else []
        if len(counts) != 4 or min(counts) < 0:
            return []
        found.append((str(label), counts[0], counts[0] + counts[2], counts[0] + counts[1]))
    return found


def _labels(found: Sequence[tuple[str, int, int, int]]) -> str:
    """The figures of each label, the most frequent first."""
    rows = []
    for label, both, true, taken in sorted(found, key=lambda entry: -entry[2])[:ROWS]:
        precision = page.percent(both / taken) if taken else "–"
        recall = page.percent(both / true) if true else "–"
        f1 = f"{2 * both / (true + taken):.3f}" if true + taken else "–"
        rows.append([visible(label), f"{true:,}", f"{taken:,}", precision, recall, f1])
    head = ["Label", "were it", "taken for it", "precision", "recall", "F1"]
    shown = page.table(head, rows) + page.cut(found, ROWS, "labels, the most frequent first,")
    if len(rows) > NUMBERED:
        return f"<details><summary>The figures of each label</summary>{shown}</details>"
    return f"<h3>The figures of each label</h3>{shown}"


def _counts(shown: Confusion) -> str:
    rows = [
        [visible(label), *(f"{n:,}" if n else "·" for n in row)]
        for label, row in zip(shown.labels, shown.counts, strict=True)
    ]
    return page.table(["was ↓ taken for →", *map(visible, shown.labels)], rows)


PART = Part("confusion", "What it confuses", confusion, file="confusion")
