"""The beginning of the held-out text, coloured by how much it surprised the model."""

from __future__ import annotations

from html import escape

from riverrun.inspection import page, surprise
from riverrun.inspection.part import Part
from riverrun.inspection.record import RunRecord


def coloured(run: RunRecord) -> str:
    """The section's HTML; empty where no token has a surprise."""
    tokens = surprise.tokens_of(run.result("surprise"))
    if not any(token.bits is not None for token in tokens):
        return ""
    rows = []
    order = sorted(range(len(tokens)), key=lambda i: -(tokens[i].bits or 0.0))
    for i in order[:8]:
        token = tokens[i]
        if token.bits is None:
            continue
        before = "".join(t.text for t in tokens[max(0, i - 24) : i])[-24:].replace("\n", "↵")
        likely = ", ".join(f"{surprise.name(text)} {page.percent(p)}" for text, p in token.top[:3])
        rows.append([f"…{before}[{token.text.replace(chr(10), '↵')}]", f"{token.bits:.1f}", likely])
    told = page.table(["Where", "bits", "what it expected"], rows, "The most surprising of it")
    return (
        f"<p>The beginning of the held-out text, as the model read it. The warmer the ground, the less it expected the "
        f"{escape(run.unit)}; rest the pointer on one to see what it expected.</p>{surprise.legend()}"
        '<div class="card"><div class="prose surprise" role="region" tabindex="0" aria-label="Coloured text">'
        f"{surprise.to_html(tokens)}</div></div>"
        f"<details><summary>The most surprising places as a table</summary>{told}</details>"
    )


PART = Part("surprise", "What surprises it", coloured, file="surprise")
