"""A language model beside its baselines: nats per character as bars from zero, with their intervals."""

from __future__ import annotations

from html import escape

from riverrun.inspection import page
from riverrun.inspection.findings import Result, baselines, own_result
from riverrun.inspection.record import RunRecord, number


def bars(run: RunRecord) -> str:
    """The HTML; empty where no baseline has a finite figure."""
    own, others = own_result(run.metrics), baselines(run.metrics)
    if not others:
        return ""
    results = sorted([*others, *([own] if own else [])], key=lambda result: result.nats)
    scale = max(result.high or result.nats for result in results)
    rows = "".join(_bar_row(result, scale, own=result is own) for result in results)
    entries = [entry for entry in run.metrics["baselines"] if isinstance(entry, dict)]
    left_out = [
        str(entry.get("name", "?")) + (f" ({entry['note']})" if entry.get("note") else "")
        for entry in entries
        if number(entry.get("nats_per_character")) is None and number(entry.get("bits_per_character")) is None
    ]
    beyond = f'<p class="note">Without a finite figure: {escape("; ".join(left_out))}.</p>' if left_out else ""
    limits = [
        f"{entry.get('name', '?')}: {entry['limit']}"
        for entry in entries
        if isinstance(entry.get("limit"), str) and entry["limit"]
    ]
    if limits:
        beyond += (
            f'<p class="note">Of the training text, at most: {escape("; ".join(limits))}; the others learn from all '
            "of it.</p>"
        )
    part, characters = run.metrics.get("part", "test"), number(run.metrics.get("characters"))
    over = f"the same {characters:,.0f} characters" if characters else "the same characters"
    return (
        f"<p>Simple predictors, trained on the same text and asked about {over} of the {escape(str(part))} part. Fewer "
        "nats are better; a network is worth its trouble only as far as it beats them.</p>"
        '<div class="card scroll"><table><thead><tr><th scope="col">Predictor</th>'
        '<th scope="col">Nats per character<span class="off"> as a bar, with its 95 % interval</span></th>'
        '<th scope="col" class="n">nats</th><th scope="col" class="n">95 % interval</th>'
        '<th scope="col" class="n">bits</th>'
        f'<th scope="col" class="n">made in</th></tr></thead><tbody>{rows}</tbody></table></div>{beyond}'
    )


def _bar_row(result: Result, scale: float, *, own: bool) -> str:
    bar = f'<i style="width:{100 * result.nats / scale:.2f}%"></i>'
    interval = "–"
    if result.low is not None and result.high is not None:
        left, wide = 100 * result.low / scale, 100 * (result.high - result.low) / scale
        bar += f'<u style="left:{left:.2f}%;width:{max(wide, 0.4):.2f}%"></u>'
        interval = f"{result.low:.3f} – {result.high:.3f}"
    note = f"<small>{escape(result.note)}</small>" if result.note else ""
    made = page.duration(result.seconds) if result.seconds is not None else "–"
    return (
        f'<tr{" class=own" if own else ""}><th scope="row">{escape(result.name)}{note}</th>'
        f'<td class="bar"><span class="track" aria-hidden="true">{bar}</span></td><td class="n">{result.nats:.3f}</td>'
        f'<td class="n over">{interval}</td><td class="n">{result.bits:.3f}</td><td class="n">{made}</td></tr>'
    )
