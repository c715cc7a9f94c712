"""The section on learning: the loss with what it is to be compared with, and the quantities that explain it."""

from __future__ import annotations

from html import escape

from riverrun.inspection import page
from riverrun.inspection.charts import SMALL, Frame, Level, Line, Point, line_chart, smooth, thinned
from riverrun.inspection.findings import baselines, final_training_nats, held_out_nats, own_result
from riverrun.inspection.part import Part
from riverrun.inspection.record import RunRecord, number, pairs

SMALL_CHARTS = (
    ("lr", "Learning rate"),
    ("gradient_norm", "Gradient norm before clipping"),
    ("tokens_per_second", "{unit}s a second"),
)


def curves(run: RunRecord) -> str:
    """The section's HTML; empty where nothing was logged."""
    train = pairs(run.steps, "step", "nats")
    if not train:
        return ""
    valid = pairs(run.evaluations, "step", "valid_nats")
    levels, level_values = [], []
    own = own_result(run.metrics)
    test = held_out_nats(run.metrics)
    if test is not None:
        what = "text" if own is not None else "data"
        levels.append(Level(value=test, label=f"held-out {what} {test:.3f}", style="test"))
        level_values.append(test)
    best = next(iter(baselines(run.metrics)), None)
    if best is not None and own is not None and test is not None:
        value = best.nats * test / own.nats  # per character to per token
        levels.append(Level(value=value, label=f"{best.name} {value:.3f}", style="other"))
        level_values.append(value)
    mean = smooth(train)
    last = final_training_nats(run)
    lines = [
        Line(points=train, style="raw"),
        Line(points=mean, style="model", label=f"training {last:.3f}"),
    ]
    if valid:
        label = f"validation {valid[-1][1]:.3f}"
        lines.append(Line(points=valid, style="valid", label=label, dots=True))
    low, high = _window([y for _, y in train], [y for _, y in mean], [y for _, y in valid], level_values)
    chart = line_chart(
        lines,
        title="Loss over training",
        describe=f"Training loss falls from {train[0][1]:.2f} to {last:.2f} nats per {run.unit} over "
        f"{train[-1][0]:,.0f} steps.",
        x_label="step",
        levels=levels,
        y_range=(low, high),
    )
    above = (
        f" The first steps, from {max(y for _, y in train):.2f} on, lie above the picture."
        if max(y for _, y in train) > high
        else ""
    )
    dropout = " Training figures are taken with dropout at work, so they lie above what the model could do."
    return (
        f"<p>Loss in nats per {escape(run.unit)}: the thin line is each logged step, the thick one its running mean."
        f"{escape(above)}{escape(dropout) if _has_dropout(run) else ''}</p>"
        f'<div class="card scroll wide">{chart}</div>{_small_charts(run)}'
        f"<details><summary>The same as a table</summary>{_table(run, mean, valid)}</details>"
    )


def _window(raw: list[float], mean: list[float], valid: list[float], levels: list[float]) -> tuple[float, float]:
    """The range to show: all of it but the fall of the first steps, which would press the rest flat."""
    low = min([*mean, *valid, *levels])
    settled = mean[min(len(mean) - 1, max(1, len(mean) // 33))]
    high = max([settled, *valid[1:], *levels, min(mean) * 1.2])
    pad = 0.06 * (high - low) or 0.1
    lowest = min(raw)
    return max(min(low - pad, lowest), low - 3 * pad), high + pad


def _has_dropout(run: RunRecord) -> bool:
    model = run.configuration.get("model")
    return isinstance(model, dict) and any("dropout" in key and number(value) for key, value in model.items())


def _small_charts(run: RunRecord) -> str:
    charts = []
    for key, title in SMALL_CHARTS:
        points = pairs(run.steps, "step", key)
        if len(points) < 2:
            continue
        heading = title.format(unit=run.unit).capitalize()
        values = [y for _, y in points]
        drawn = points if key == "lr" else smooth(points)
        lines = [Line(points=drawn, style="model")]
        if key != "lr":
            lines.insert(0, Line(points=points, style="raw"))
        svg = line_chart(
            lines,
            title=heading,
            describe=f"From {values[0]:.4g} to {values[-1]:.4g}, between {min(values):.4g} and {max(values):.4g}.",
            frame=SMALL,
            y_range=_small_window(values, drawn),
        )
        charts.append(f'<div class="card"><h3>{escape(heading)}</h3>{svg}</div>')
    return f'<div class="pair">{"".join(charts)}</div>' if charts else ""


def _small_window(values: list[float], drawn: list[Point]) -> tuple[float, float]:
    """From zero to just above the curve; single spikes of the raw values are cut off."""
    ordered = sorted(values)
    high = max(ordered[int(0.995 * (len(ordered) - 1))], max(y for _, y in drawn))
    return (0.0 if ordered[0] >= 0 else ordered[0]), high * 1.06 or 1.0


def _table(run: RunRecord, mean: list[Point], valid: list[Point]) -> str:
    shown = sorted({round(k * (len(mean) - 1) / 9) for k in range(10)})
    seconds = dict(pairs(run.steps, "step", "seconds"))
    rows = []
    for i in shown:
        step, nats = mean[i]
        before = [y for x, y in valid if x <= step]
        time = page.duration(seconds[step]) if step in seconds else "–"
        rows.append([f"{step:,.0f}", time, f"{nats:.3f}", f"{before[-1]:.3f}" if before else "–"])
    return page.table(["Step", "time", "training, running mean", "validation, latest"], rows)


def training_nats_near(run: RunRecord, step: int) -> float | None:
    """The running mean of the training loss at a step."""
    points = smooth(pairs(run.steps, "step", "nats"))
    return min(points, key=lambda point: abs(point[0] - step))[1] if points else None


def header_curve(run: RunRecord) -> str:
    """The river under the title: the loss of this very run, running down to its level. Only decoration."""
    points = smooth(pairs(run.steps, "step", "nats"), 0.01)
    if len(points) < 8:
        return ""
    frame = Frame(width=1000, height=44)
    start = points[len(points) // 60][1]
    low = min(y for _, y in points)
    first, last = points[0][0], points[-1][0]
    spots = [
        (
            (x - first) / (last - first) * frame.width,
            frame.height * (0.86 - 0.8 * min(1.0, (y - low) / (start - low or 1))),
        )
        for x, y in thinned(points, 240)
    ]
    bank = "".join(f"L{x:.1f} {y:.1f}" for x, y in spots)
    return (
        f'<svg class="river" viewBox="0 0 1000 44" preserveAspectRatio="none" aria-hidden="true">'
        f'<path fill="currentColor" opacity=".16" d="M0 44{bank}L1000 44Z"/>'
        f'<path fill="none" stroke="currentColor" stroke-width="2" vector-effect="non-scaling-stroke" d="M{bank[1:]}"/>'
        "</svg>"
    )


PART = Part("learning", "How it learnt", curves)
