"""Which tokens mattered for what it said: texts coloured by attention and by gradient x input, side by side.

Neither is an explanation: attention weights may be changed without changing the prediction (Jain and Wallace 2019), and
a gradient sees only the smallest of changes. Where both agree there is reason to believe them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from riverrun.inspection import page
from riverrun.inspection.heatmap import visible
from riverrun.inspection.part import Part
from riverrun.inspection.record import RunRecord, number

MOST = 12  # texts that are shown
TOKENS = 400  # of a text that are shown
NAMED = 3  # tokens that are named below a text
METHODS = {"attention": "by attention", "gradient": "by gradient × input"}


class Coloured(NamedTuple):
    """A text with what was true and predicted, and the weight of each token by each method that has one."""

    label: str
    predicted: str
    tokens: Sequence[str]
    weights: Mapping[str, Sequence[float]]


def importance(run: RunRecord) -> str:
    """The section's HTML; empty where no text has weights."""
    content = run.result("importance")
    entries = content.get("items")
    found = [text for entry in entries if (text := coloured_of(entry))] if isinstance(entries, list) else []
    if not found:
        return ""
    joint = content.get("joint")
    joint = joint if isinstance(joint, str) else " "
    shown = "".join(_text(text, joint) for text in found[:MOST])
    both = all(any(method in text.weights for text in found) for method in METHODS)
    signed = any("gradient" in text.weights for text in found)
    against = (
        " Blue and underlined with dots: it spoke <span class='c4 against'>against</span> what was predicted."
        if signed
        else ""
    )
    return (
        "<p>The warmer the ground, the more a token <span class=s5>mattered</span> for what was predicted, within each "
        f"text and method.{against} Rest the pointer on a token to see its weight.</p>"
        f"{page.sentences(_agreement(content, both))}{shown}{page.cut(found, MOST, 'texts')}"
    )


def coloured_of(entry: Any) -> Coloured | None:
    """The text that a record gives, or None where it has no tokens or no weights for all of them."""
    if not isinstance(entry, dict) or not isinstance(entry.get("tokens"), list) or not entry["tokens"]:
        return None
    tokens = [str(token) for token in entry["tokens"]]
    weights = {}
    for method in METHODS:
        given = entry.get(method)
        values = [number(value) for value in given] if isinstance(given, list) else []
        known = [value for value in values if value is not None]
        if len(known) == len(tokens):
            weights[method] = known
    if not weights:
        return None
    return Coloured(_label(entry.get("label")), _label(entry.get("predicted")), tokens, weights)


def _label(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "?" if value is None else str(value)


def _agreement(content: Mapping[str, Any], both: bool) -> list[tuple[str, str]]:
    rank = number(content.get("correlation"))
    if rank is None:
        return [] if both else [("plain", "Only one of the two methods is there, so nothing speaks for it or against.")]
    figure = f"mean rank correlation of attention and gradient: {rank:.2f}".replace("-", "−")
    if rank >= 0.5:
        return [("good", f"The two methods largely agree ({figure}).")]
    if rank >= 0.2:
        return [("plain", f"The two methods agree in part ({figure}): neither is the whole truth.")]
    return [("warn", f"The two methods do not agree ({figure}): do not take either for the reason.")]


def _text(text: Coloured, joint: str) -> str:
    right = "rightly" if text.label == text.predicted else f"but it is {text.label}"
    heads = []
    for method, weights in text.weights.items():
        most = sorted(range(len(weights)), key=lambda i: -abs(weights[i]))[:NAMED]
        named = ", ".join(f"{visible(text.tokens[i])} ({_written(weights[i])})" for i in most)
        heads.append(
            f'<div class="card"><h3>{METHODS[method]}</h3><div class="prose words">{_words(text, weights, joint)}</div>'
            f'<p class="note">Most: {escape(named)}</p></div>'
        )
    cut = page.cut(text.tokens, TOKENS, "tokens")
    return f"<h3>Taken for {escape(text.predicted)}, {escape(right)}</h3><div class='pair'>{''.join(heads)}</div>{cut}"


def _words(text: Coloured, weights: Sequence[float], joint: str) -> str:
    most = max(abs(weight) for weight in weights) or 1.0
    shown = []
    for token, weight in list(zip(text.tokens, weights, strict=True))[:TOKENS]:
        level = round(8 * abs(weight) / most)
        style = f"c{level} against" if weight < 0 and level else f"s{level}"
        shown.append(f'<span class="{style}" title="{escape(_written(weight))}">{escape(token)}</span>')
    return escape(joint).join(shown)


def _written(weight: float) -> str:
    return f"{weight:.2g}".replace("-", "−")


PART = Part("importance", "What mattered", importance, file="importance")
