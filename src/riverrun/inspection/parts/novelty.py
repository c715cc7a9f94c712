"""The last sample of a language model, with what it copied marked, and how new it is beside real text."""

from __future__ import annotations

from html import escape

from riverrun.inspection import page
from riverrun.inspection.findings import longest
from riverrun.inspection.part import Part
from riverrun.inspection.record import RunRecord, number


def novelty(run: RunRecord) -> str:
    """The section's HTML; empty where there is no sample at all. Without a record of it the sample stands unmarked."""
    found = run.result("novelty")
    final = found.get("text")
    if not isinstance(final, str) or not final.strip():
        final = run.samples[-1].text if run.samples else ""
    return _final_sample(run, final) if final else ""


def _final_sample(run: RunRecord, text: str) -> str:
    span = longest(run.result("novelty"), "sample") if run.result("novelty").get("text") == text else None
    shown, told = escape(text), ""
    if span is not None and int(span["length"]) > 0:
        begin, end = int(span["in_sample"]), int(span["in_sample"]) + int(span["length"])
        shown = f"{escape(text[:begin])}<mark>{escape(text[begin:end])}</mark>{escape(text[end:])}"
        told = (
            f'<p class="note">Marked: the longest span that the training text has too, {end - begin:,} characters.</p>'
            f"{_novelty_table(run)}"
        )
    return f'<div class="card"><pre class="prose">{shown}</pre></div>{told}'


def _novelty_table(run: RunRecord) -> str:
    """The longest copied span and the shares of new n-grams: of the sample, and of real text as the measure."""
    rows, orders = [], list(_new(run, "sample"))
    for whose, name in (("sample", "this sample"), ("held_out", "real text that it never saw")):
        span, new = longest(run.result("novelty"), whose), _new(run, whose)
        if span is not None:
            shares = [f"{100 * new[n]:.0f} %" if n in new else "–" for n in orders]
            rows.append([name, f"{int(span['length']):,} characters", *shares])
    head = ["", "longest span copied", *(f"new {n}-grams" for n in orders)]
    return page.table(
        head, rows, "Set beside the training text; a span of n characters is new where it is nowhere in it"
    )


def _new(run: RunRecord, whose: str) -> dict[str, float]:
    part = run.result("novelty").get(whose)
    new = part.get("new") if isinstance(part, dict) else None
    shares = new.items() if isinstance(new, dict) else ()
    return {str(n): value for n, share in shares if (value := number(share)) is not None}


PART = Part("writing", "What it writes", novelty)
