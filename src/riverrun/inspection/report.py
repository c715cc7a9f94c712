"""The report of a run: report.html, one file that opens anywhere, offline, with no script.

It is made from the run folder alone, so it can be made again at any time, and the same folder gives the same bytes.
What the folder lacks is named at the end, with the way to get it.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from riverrun.files import write_atomic
from riverrun.inspection import page, parts
from riverrun.inspection.findings import LN2, own_result
from riverrun.inspection.parts.curves import header_curve
from riverrun.inspection.record import DEFAULT_TASK, RESULTS, Missing, RunRecord, number, read_run
from riverrun.inspection.scored import own


def build(run: Path) -> Path:
    """Write `report.html` into a run folder, from what is in it; returns the path.

    Raises DataError where `run` is no folder.
    """
    path = run / "report.html"
    write_atomic(path, render(read_run(run)).encode("utf-8", "replace"))  # a lone surrogate becomes "?"
    return path


def render(run: RunRecord) -> str:
    """The report as HTML."""
    sections, missing = compose(run)
    sections = [
        *sections,
        ("facts", "How to repeat it", _facts(run)),
        ("missing", "What is missing", _missing(missing)),
    ]
    return page.document(
        title=f"{run.name} · riverrun report",
        header=_header(run),
        sections=[section for section in sections if section[2]],
        footer=_footer(run),
    )


def compose(run: RunRecord) -> tuple[list[tuple[str, str, str]], list[Missing]]:
    """The sections that the run's parts make, in their order, (identifier, heading, HTML) each; and what is missing."""
    sections: dict[str, tuple[str, str]] = {}
    missing = list(run.missing)
    for name in run.parts:
        part = parts.find(name)
        if part is None:
            missing.append(Missing(name, "a part of the report", "this version of riverrun does not know it"))
            continue
        shown = part.build(run)
        heading, before = sections.get(part.section, (part.heading, ""))
        sections[part.section] = (heading, before + shown)
        content = run.results.get(part.file)
        if content and not shown:
            reason = content.get("absent")
            remedy = reason if isinstance(reason, str) else "it does not hold what this version of riverrun expects"
            missing.append(Missing(f"eval/{part.file}.json", RESULTS[part.file], remedy))
    return [(section, heading, shown) for section, (heading, shown) in sections.items()], missing


def _header(run: RunRecord) -> str:
    return (
        f'<div><p class="kind">riverrun report · {escape(run.kind)}</p><h1>{escape(run.name)}</h1>'
        f'<p class="lead">{_lead(run)}</p></div>{header_curve(run)}'
    )


def _lead(run: RunRecord) -> str:
    model = run.configuration.get("model")
    trained = [escape(_architecture(run, model if isinstance(model, dict) else {}))]
    if run.seconds is not None:
        trained.append(f"trained for {page.duration(run.seconds)}")
    amount = _amount(run)
    if amount:
        trained.append(f"on {escape(amount)}")
    said = " ".join(trained)
    text, first = own_result(run.metrics), next(iter(own(run.metrics)), None)
    if text is not None:
        return (
            f"{said}. It predicts text that it has never seen at <b>{text.nats:.3f} nats</b> "
            f"({text.bits:.3f} bits) <b>per character</b>."
        )
    if first is not None:
        return f"{said}. {escape(page.capital(first.name))} on what it has never seen: <b>{escape(first.shown)}</b>."
    return f"{said}. It has not been evaluated yet."


def _amount(run: RunRecord) -> str:
    """How much it was trained on: tokens by the run's own noun, else the first thing that was counted."""
    counts = run.data.get("parts")
    train = counts.get("train") if isinstance(counts, dict) else None
    if not isinstance(train, dict):
        return ""
    if (tokens := number(train.get("tokens"))) is not None and run.task == DEFAULT_TASK:
        return f"{page.count(tokens)} {run.unit}s"
    found = next(((noun, n) for noun, value in train.items() if (n := number(value)) is not None), None)
    return f"{page.count(found[1])} {found[0].replace('_', ' ')}" if found else ""


def _architecture(run: RunRecord, model: Mapping[str, Any]) -> str:
    if model.get("model") == "window":
        return f"A feed-forward network over the last {model.get('context', '?')} {run.unit}s"
    cell, layers, hidden = model.get("cell"), model.get("layers"), model.get("hidden")
    if not cell:
        return "A language model" if run.task == DEFAULT_TASK else f"A model for {run.kind}"
    name = str(cell).upper() if len(str(cell)) <= 4 else str(cell)
    size = f" of {layers} × {hidden} units" if layers and hidden else ""
    count = number(run.model.get("parameters")) or number(run.started.get("parameters"))
    parameters = f" ({page.count(count)} parameters)" if count else ""
    return f"{'An' if name[0] in 'AEFHILMNORSX' and name.isupper() else 'A'} {name}{size}{parameters}"


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


def _missing(missing: list[Missing]) -> str:
    if not missing:
        return ""
    rows = [[entry.file, entry.shows, entry.remedy] for entry in missing]
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
    what = "text with the state carried through" if run.task == DEFAULT_TASK else "data"
    return (
        f"<p>Made by {by} from the run folder alone. Nats are natural-logarithm units: 1 nat = {1 / LN2:.3f} bits. "
        f"All figures are for held-out {what}, unless they say otherwise.</p>"
    )
