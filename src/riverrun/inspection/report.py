"""The report of a run: report.html, one file that opens anywhere, offline, with no script.

It is made from the run folder alone, so it can be made again at any time, and the same folder gives the same bytes.
What the folder lacks is named at the end, with the way to get it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from statistics import median
from typing import Any

from riverrun.files import write_atomic
from riverrun.inspection import page, surprise
from riverrun.inspection.curves import curves, header_curve, training_nats_near
from riverrun.inspection.findings import LN2, Result, baselines, findings, longest, own_result
from riverrun.inspection.record import RunRecord, Sample, number, pairs, read_run

SIGNS = {"good": ("✓", "Good"), "warn": ("!", "Mind"), "plain": ("·", "Note")}
STAGES = 5  # samples shown over training


def build(run: Path) -> Path:
    """Write `report.html` into a run folder, from what is in it; returns the path.

    Raises DataError where `run` is no folder.
    """
    path = run / "report.html"
    write_atomic(path, render(read_run(run)).encode("utf-8", "replace"))  # a lone surrogate becomes "?"
    return path


def render(run: RunRecord) -> str:
    """The report as HTML."""
    candidates = [
        ("result", "What came out", _result(run)),
        ("learning", "How it learnt", curves(run)),
        ("baselines", "Against the baselines", _baselines(run)),
        ("writing", "What it writes", _writing(run)),
        ("surprise", "What surprises it", _surprise(run)),
        ("facts", "How to repeat it", _facts(run)),
        ("missing", "What is missing", _missing(run)),
    ]
    return page.document(
        title=f"{run.name} · riverrun report",
        header=_header(run),
        sections=[section for section in candidates if section[2]],
        footer=_footer(run),
    )


def _header(run: RunRecord) -> str:
    return (
        f'<div><p class="kind">riverrun report · language model</p><h1>{escape(run.name)}</h1>'
        f'<p class="lead">{_lead(run)}</p></div>{header_curve(run)}'
    )


def _lead(run: RunRecord) -> str:
    model = run.configuration.get("model")
    trained = [escape(_architecture(run, model if isinstance(model, dict) else {}))]
    parts = run.data.get("parts")
    train = parts.get("train") if isinstance(parts, dict) else None
    tokens = number(train.get("tokens")) if isinstance(train, dict) else None
    if run.seconds is not None:
        trained.append(f"trained for {page.duration(run.seconds)}")
    if tokens is not None:
        trained.append(f"on {page.count(tokens)} {escape(run.unit)}s")
    own = own_result(run.metrics)
    if own is None:
        return " ".join(trained) + ". It has not been evaluated yet."
    return (
        " ".join(trained) + f". It predicts text that it has never seen at <b>{own.nats:.3f} nats</b> "
        f"({own.bits:.3f} bits) <b>per character</b>."
    )


def _architecture(run: RunRecord, model: Mapping[str, Any]) -> str:
    if model.get("model") == "window":
        return f"A feed-forward network over the last {model.get('context', '?')} {run.unit}s"
    cell, layers, hidden = model.get("cell"), model.get("layers"), model.get("hidden")
    if not cell:
        return "A language model"
    name = str(cell).upper() if len(str(cell)) <= 4 else str(cell)
    size = f" of {layers} × {hidden} units" if layers and hidden else ""
    count = number(run.model.get("parameters")) or number(run.started.get("parameters"))
    parameters = f" ({page.count(count)} parameters)" if count else ""
    return f"{'An' if name[0] in 'AEFHILMNORSX' and name.isupper() else 'A'} {name}{size}{parameters}"


def _result(run: RunRecord) -> str:
    entries: list[tuple[str, str, str, str]] = []
    own, others = own_result(run.metrics), baselines(run.metrics)
    if own is not None:
        entries.append(("Held-out text", f"{own.nats:.3f}", "nats/char", _interval(own)))
    carried = run.metrics.get("carried")
    perplexity = number(carried.get("perplexity")) if isinstance(carried, dict) else None
    if perplexity is not None:
        among = f"as unsure as among {perplexity:,.3g} equally likely {run.unit}s"
        entries.append(("Perplexity", f"{perplexity:,.3g}", f"per {run.unit}", among))
    if own is not None and others:
        gain = others[0].nats - own.nats
        what = "Ahead of the baselines" if gain > 0 else "Behind the baselines"
        entries.append((what, f"{abs(gain):.3f}", "nats/char", f"the best, {others[0].name}, has {others[0].nats:.3f}"))
    if run.seconds is not None:
        steps = f"{run.last_step:,} steps" if run.last_step is not None else ""
        rates = [rate for _, rate in pairs(run.steps, "step", "tokens_per_second")]
        rate = f", {page.count(median(rates))} {run.unit}s a second" if rates else ""
        entries.append(("Training", page.duration(run.seconds), "", steps + rate))
    said = "".join(
        f'<li class="{f.tone}"><span class="sign" aria-hidden="true">{SIGNS[f.tone][0]}</span>'
        f'<span class="off">{SIGNS[f.tone][1]}: </span>{escape(f.text)}</li>'
        for f in findings(run)
    )
    if not entries:
        return page.absent("There are no results yet: the run has neither been trained to its end nor evaluated.")
    return page.figures(entries) + (f'<ul class="findings">{said}</ul>' if said else "")


def _interval(result: Result) -> str:
    if result.low is None or result.high is None:
        return f"{result.bits:.3f} bits per character"
    return f"95 % interval {result.low:.3f} to {result.high:.3f}; {result.bits:.3f} bits"


def _baselines(run: RunRecord) -> str:
    own, others = own_result(run.metrics), baselines(run.metrics)
    if not others:
        return ""
    results = sorted([*others, *([own] if own else [])], key=lambda result: result.nats)
    scale = max(result.high or result.nats for result in results)
    rows = "".join(_bar_row(result, scale, own=result is own) for result in results)
    left_out = [
        str(entry.get("name", "?")) + (f" ({entry['note']})" if entry.get("note") else "")
        for entry in run.metrics.get("baselines") or []
        if isinstance(entry, dict)
        and number(entry.get("nats_per_character")) is None
        and number(entry.get("bits_per_character")) is None
    ]
    beyond = f'<p class="note">Without a finite figure: {escape("; ".join(left_out))}.</p>' if left_out else ""
    limits = [
        f"{entry.get('name', '?')}: {entry['limit']}"
        for entry in run.metrics.get("baselines") or []
        if isinstance(entry, dict) and isinstance(entry.get("limit"), str) and entry["limit"]
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


def _writing(run: RunRecord) -> str:
    staged = [sample for sample in run.samples if sample.step is not None]
    final = run.novelty.get("text")
    if not isinstance(final, str) or not final.strip():
        final = run.samples[-1].text if run.samples else ""
    if not final:
        return ""
    parts = [_final_sample(run, final)]
    stages = _stages(staged)
    if len(stages) > 1:
        items = "".join(_stage(run, sample) for sample in stages)
        parts.append(f'<h3>The same model while it learnt</h3><ol class="timeline">{items}</ol>')
    return "".join(parts)


def _final_sample(run: RunRecord, text: str) -> str:
    span = longest(run.novelty, "sample") if run.novelty.get("text") == text else None
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
        span, new = longest(run.novelty, whose), _new(run, whose)
        if span is not None:
            shares = [f"{100 * new[n]:.0f} %" if n in new else "–" for n in orders]
            rows.append([name, f"{int(span['length']):,} characters", *shares])
    head = ["", "longest span copied", *(f"new {n}-grams" for n in orders)]
    return page.table(
        head, rows, "Set beside the training text; a span of n characters is new where it is nowhere in it"
    )


def _new(run: RunRecord, whose: str) -> dict[str, float]:
    part = run.novelty.get(whose)
    new = part.get("new") if isinstance(part, dict) else None
    shares = new.items() if isinstance(new, dict) else ()
    return {str(n): value for n, share in shares if (value := number(share)) is not None}


def _stages(samples: Sequence[Sample]) -> list[Sample]:
    """At most STAGES of them: the first, the last, and early ones rather than late, since most changes early."""
    if len(samples) <= STAGES:
        return list(samples)
    last = len(samples) - 1
    return [samples[i] for i in sorted({round(last * (k / (STAGES - 1)) ** 1.6) for k in range(STAGES)})]


def _stage(run: RunRecord, sample: Sample) -> str:
    assert sample.step is not None
    near = training_nats_near(run, sample.step)
    loss = f"{near:.2f} nats per {escape(run.unit)}" if near is not None else ""
    text = sample.text if len(sample.text) <= 320 else sample.text[:320].rstrip() + " …"
    return f'<li><div class="when"><b>step {sample.step:,}</b>{loss}</div><pre class="prose">{escape(text)}</pre></li>'


def _surprise(run: RunRecord) -> str:
    tokens = surprise.tokens_of(run.surprise)
    if not any(token.bits is not None for token in tokens):
        return ""
    rows = []
    order = sorted(range(len(tokens)), key=lambda i: -(tokens[i].bits or 0.0))
    for i in order[:8]:
        token = tokens[i]
        if token.bits is None:
            continue
        before = "".join(t.text for t in tokens[max(0, i - 24) : i])[-24:].replace("\n", "↵")
        likely = ", ".join(f"{surprise.name(text)} {surprise.percent(p)}" for text, p in token.top[:3])
        rows.append([f"…{before}[{token.text.replace(chr(10), '↵')}]", f"{token.bits:.1f}", likely])
    told = page.table(["Where", "bits", "what it expected"], rows, "The most surprising of it")
    return (
        f"<p>The beginning of the held-out text, as the model read it. The warmer the ground, the less it expected the "
        f"{escape(run.unit)}; rest the pointer on one to see what it expected.</p>{surprise.legend()}"
        '<div class="card"><div class="prose surprise" role="region" tabindex="0" aria-label="Coloured text">'
        f"{surprise.to_html(tokens)}</div></div>"
        f"<details><summary>The most surprising places as a table</summary>{told}</details>"
    )


def _facts(run: RunRecord) -> str:
    cards = [
        page.facts(title, {key: value for key, value in section.items() if value not in (0, False, "none")})
        for title, name in (("Model", "model"), ("Training", "training"))
        if isinstance(section := run.configuration.get(name), dict)
    ]
    cards += [page.facts("Data", run.data), page.facts("Machine", run.environment)]
    shown = "".join(cards)
    if not shown:
        return ""
    raw = ""
    if run.configuration_text:
        raw = (
            "<details><summary>run.toml, which repeats this run: riverrun train -c run.toml</summary>"
            f'<div class="card"><pre>{escape(run.configuration_text)}</pre></div></details>'
        )
    left_out = '<p class="note">Options that are off are left out here; run.toml has them all.</p>'
    return f"{left_out}<div class=facts>{shown}</div>{raw}"


def _missing(run: RunRecord) -> str:
    if not run.missing:
        return ""
    rows = [[entry.file, entry.shows, entry.remedy] for entry in run.missing]
    body = "".join(
        f'<tr><th scope="row"><code>{escape(file)}</code></th><td>{escape(shows)}</td><td>{escape(remedy)}</td></tr>'
        for file, shows, remedy in rows
    )
    return (
        "<p>These parts of the run folder were not there, or could not be read, so the report does without them.</p>"
        '<div class="card scroll"><table><thead><tr><th scope="col">File</th><th scope="col">It would show</th>'
        f'<th scope="col">How to get it</th></tr></thead><tbody>{body}</tbody></table></div>'
    )


def _footer(run: RunRecord) -> str:
    versions = run.environment.get("versions")
    version = versions.get("riverrun") if isinstance(versions, dict) else None
    by = f"riverrun {escape(str(version))}" if version else "riverrun"
    return (
        f"<p>Made by {by} from the run folder alone. Nats are natural-logarithm units: 1 nat = {1 / LN2:.3f} bits. "
        "All figures are for held-out text with the state carried through, unless they say otherwise.</p>"
    )
