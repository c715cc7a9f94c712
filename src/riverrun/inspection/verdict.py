"""The verdict: how a model's figures compare with its baselines', in words, also where it loses.

The first figure decides the tone; a baseline that is ahead in another one is named too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from riverrun.inspection.findings import Finding
from riverrun.inspection.scored import Figure, baselines, best, own


def verdict(metrics: Mapping[str, Any]) -> list[Finding]:
    """The sentences, the most important first; none where there is nothing to compare."""
    mine, others = own(metrics), baselines(metrics)
    if not mine:
        return []
    found = []
    rival = best(others, mine[0].name)
    if rival is not None:
        found.append(_compared(mine[0], *rival))
    elif not others:
        found.append(Finding("plain", "There is no baseline to compare it with: the figures alone do not say much."))
    ahead = [
        f"{figure.name} ({name} {it.shown}, this model {figure.shown})"
        for figure in mine[1:]
        if (other := best(others, figure.name)) is not None
        for name, it in [other]
        if it.beats(figure)
    ]
    if ahead:
        found.append(Finding("warn", f"A baseline is ahead in {'; '.join(ahead)}."))
    return found


def _compared(mine: Figure, name: str, other: Figure) -> Finding:
    figures = f"{mine.name} {mine.shown} against {other.shown}"
    if mine.value == other.value:
        return Finding("warn", f"The model is no better than the best baseline, {name}: {figures}.")
    if not mine.beats(other):
        sure = "" if mine.apart(other) else " The 95 % intervals overlap, so it may be chance."
        return Finding("warn", f"The model does not beat the best baseline, {name}: {figures}.{sure}")
    if not mine.apart(other):
        return Finding(
            "plain",
            f"The model is ahead of the best baseline, {name} ({figures}), but the 95 % intervals overlap: more test "
            "data would settle it.",
        )
    return Finding("good", f"The model beats the best baseline, {name}: {figures}{_gain(mine, other)}.")


def _gain(mine: Figure, other: Figure) -> str:
    """By how much: of a share, as mistakes that it does not make."""
    if mine.unit == "share":
        before, now = (1 - other.value, 1 - mine.value) if mine.higher else (other.value, mine.value)
        if 0 <= now < before <= 1:
            return f", {100 * (before - now) / before:.0f} % fewer mistakes"
    if not mine.higher and 0 <= mine.value < other.value:
        return f", {100 * (other.value - mine.value) / other.value:.0f} % less"
    return ""
