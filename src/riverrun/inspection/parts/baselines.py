"""The model beside its baselines: a chart of the first figure with its intervals, and a table of all of them.

A language model's nats per character are bars from zero (`bars.py`).
"""

from __future__ import annotations

from html import escape

from riverrun.inspection import page
from riverrun.inspection.bars import bars
from riverrun.inspection.findings import own_result
from riverrun.inspection.part import Part
from riverrun.inspection.ranges import Row, range_chart
from riverrun.inspection.record import RunRecord, number
from riverrun.inspection.scored import Figure, Scored, baselines, own, written

MODEL = "this model"
SHOWN = 5  # figures that the table has room for


def against(run: RunRecord) -> str:
    """The section's HTML; empty where there are no baselines."""
    if own_result(run.metrics) is not None:
        return bars(run)
    mine, others = own(run.metrics), baselines(run.metrics)
    if not mine or not others:
        return ""
    first = mine[0]
    everyone = [*others, Scored(MODEL, {figure.name: figure for figure in mine})]
    rated = [scored for scored in everyone if first.name in scored.figures]
    rated.sort(key=lambda scored: scored.figures[first.name].value, reverse=first.higher)
    unrated = [scored for scored in everyone if first.name not in scored.figures]
    more = "More is better" if first.higher else "Less is better"
    return (
        f"<p>Simple methods, trained on the same data and asked about {_over(run)}. {more}; a network is worth its "
        f"trouble only as far as it beats them.</p><h3>{escape(page.capital(first.name))}, with 95 % intervals</h3>"
        f'<div class="card scroll wide">{_chart(first, rated)}</div>{_table([*rated, *unrated], mine[:SHOWN])}'
        f"{page.cut(mine, SHOWN, 'figures')}{_limits(others)}"
    )


def _over(run: RunRecord) -> str:
    count, of = number(run.metrics.get("count")), run.metrics.get("of")
    of = of if isinstance(of, str) else "items"
    part = escape(str(run.metrics.get("part", "test")))
    return f"the same {count:,.0f} {escape(of)} of the {part} part" if count else f"the same {part} part"


def _chart(first: Figure, rated: list[Scored]) -> str:
    share = 100.0 if first.unit == "share" else 1.0
    rows = []
    for scored in rated:
        figure = scored.figures[first.name]
        low = figure.value if figure.low is None else figure.low
        high = figure.value if figure.high is None else figure.high
        rows.append(
            Row(scored.name, share * figure.value, share * low, share * high, figure.shown, scored.name == MODEL)
        )
    return range_chart(
        rows,
        title=f"{first.name} of the model and its baselines",
        describe="; ".join(f"{row.name} {row.shown}" for row in rows),
        unit=" %" if first.unit == "share" else "",
        limits=(0.0, 100.0) if first.unit == "share" else (min(0.0, *(row.low for row in rows)), float("inf")),
    )


def _table(everyone: list[Scored], shown: list[Figure]) -> str:
    head = "".join(
        f'<th scope="col" class="n">{escape(figure.name)}{escape(figure.suffix)}'
        f"{'' if figure.higher else '<br>(less is better)'}</th>"
        for figure in shown
    )
    rows = "".join(_row(scored, shown) for scored in everyone)
    return (
        '<div class="card scroll"><table><thead><tr><th scope="col">Method</th>'
        f'{head}<th scope="col" class="n">made in</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _row(scored: Scored, shown: list[Figure]) -> str:
    cells = []
    for wanted in shown:
        figure = scored.figures.get(wanted.name)
        if figure is None:
            cells.append('<td class="n">–</td>')
            continue
        interval = f'<small class="over">{escape(figure.interval)}</small>' if figure.interval else ""
        cells.append(f'<td class="n">{escape(written(figure.value, figure.unit))}{interval}</td>')
    note = f"<small>{escape(scored.note)}</small>" if scored.note else ""
    made = page.duration(scored.seconds) if scored.seconds is not None else "–"
    return (
        f'<tr{" class=own" if scored.name == MODEL else ""}><th scope="row">{escape(scored.name)}{note}</th>'
        f'{"".join(cells)}<td class="n">{made}</td></tr>'
    )


def _limits(others: list[Scored]) -> str:
    """What the methods may learn from at most, those of one limit together."""
    limits = {scored.limit: [of.name for of in others if of.limit == scored.limit] for scored in others if scored.limit}
    if not limits:
        return ""
    told = "; ".join(f"{' and '.join(names)}: {limit}" for limit, names in limits.items())
    rest = "; the others learn from all of it" if sum(map(len, limits.values())) < len(others) else ""
    return f'<p class="note">Of the training data, at most: {escape(told)}{rest}.</p>'


PART = Part("baselines", "Against the baselines", against)
