"""The worst mistakes, as the evaluation found them: what was given, what was expected, what it said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from html import escape
from typing import Any

from riverrun.inspection import page
from riverrun.inspection.part import Part
from riverrun.inspection.record import RunRecord, number

MOST = 20  # mistakes that are shown
LETTERS = 400  # of a text that are shown


def mistakes(run: RunRecord) -> str:
    """The section's HTML; empty where there are none."""
    content = run.result("mistakes")
    entries, count = content.get("items"), content.get("count")
    items = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    items = [item for item in items if "expected" in item and "predicted" in item]
    if not items:
        return ""
    shown = items[:MOST]
    sure = any(number(item.get("probability")) is not None for item in shown)
    told = " Beside each stands how sure it was of what it said." if sure else ""
    listed = "".join(_mistake(item) for item in shown)
    return (
        "<p>The worst mistakes in held-out data, the worst first: often they show a wrong label in the data, or what "
        f'the model never had a chance to learn.{told}</p><ol class="timeline">{listed}</ol>'
        f"{page.cut(range(max(len(items), count if isinstance(count, int) else 0)), len(shown), 'mistakes')}"
    )


def _mistake(item: Mapping[str, Any]) -> str:
    expected, predicted = _texts(item["expected"]), _texts(item["predicted"])
    probability, file = number(item.get("probability")), item.get("file")
    sure = f"<b>{page.percent(probability)} sure</b>" if probability is not None else ""
    where = f'<span title="{escape(file)}">{escape(file.rpartition("/")[2])}</span>' if isinstance(file, str) else ""
    wanted = [escape(_short(text)) for text in expected] or ["nothing"]
    said = [_marked(text, expected) for text in predicted] or ["nothing"]
    return (
        f'<li><div class="when">{sure}{where}</div><div><div class="prose">{_text(item)}</div>'
        f'<dl class="said"><dt>expected</dt><dd>{_listed(wanted)}</dd>'
        f"<dt>it said</dt><dd>{_listed(said)}</dd></dl></div></li>"
    )


def _texts(value: Any) -> list[str]:
    return [str(entry) for entry in value] if isinstance(value, list) else [str(value)]


def _short(text: str) -> str:
    return page.clipped(text, LETTERS)


def _listed(shown: Sequence[str]) -> str:
    return " <small class=over>or</small> ".join(shown) if len(shown) > 1 else shown[0]


def _text(item: Mapping[str, Any]) -> str:
    """The text that was given, the meant part of it marked; of a long one, what lies around that part."""
    text, at = str(item.get("text", "")), item.get("at")
    if (
        isinstance(at, list)
        and len(at) == 2
        and all(isinstance(n, int) for n in at)
        and 0 <= at[0] < at[1] <= len(text)
    ):
        begin, end = at[0], min(at[1], at[0] + LETTERS)
        first = max(0, begin - LETTERS // 2) if len(text) > LETTERS else 0
        before = ("…" if first else "") + text[first:begin]
        after = page.clipped(text[end:], max(1, LETTERS - (begin - first)))
        return f"{escape(before)}<mark>{escape(text[begin:end])}</mark>{escape(after)}"
    return escape(_short(text))


def _marked(predicted: str, expected: Sequence[str]) -> str:
    """What it said, with the words marked that the nearest of what was expected does not have there."""
    words = _short(predicted).split(" ")
    wanted = [_short(text).split(" ") for text in expected]
    if len(words) < 2 or not any(len(text) > 1 for text in wanted):
        return escape(_short(predicted))
    nearest = max(
        (SequenceMatcher(None, text, words, autojunk=False) for text in wanted), key=lambda match: match.ratio()
    )
    shown = []
    for kind, _, _, begin, end in nearest.get_opcodes():
        piece = escape(" ".join(words[begin:end]))
        if piece:
            shown.append(piece if kind == "equal" else f"<mark>{piece}</mark>")
    return " ".join(shown)


PART = Part("mistakes", "Where it goes wrong", mistakes, file="mistakes")
