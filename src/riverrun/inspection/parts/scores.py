"""What came out of a task: its figures, large and with intervals, and in words how they compare with the baselines."""

from __future__ import annotations

from riverrun.inspection import page
from riverrun.inspection.findings import Finding, training_findings
from riverrun.inspection.part import Part
from riverrun.inspection.parts.figures import training
from riverrun.inspection.record import RunRecord
from riverrun.inspection.scored import Figure, own, written
from riverrun.inspection.verdict import verdict

LARGE = 6  # figures that are shown large


def scores(run: RunRecord) -> str:
    """The section's HTML; a sentence where there are no results yet, empty where they cannot be read."""
    mine = own(run.metrics)
    if run.results.get("metrics") and not mine:
        return ""
    entries = [
        (page.capital(figure.name), written(figure.value, figure.unit), figure.suffix.strip(), _told(figure))
        for figure in mine
    ]
    entries = entries[:LARGE] + training(run)
    if not entries:
        return page.absent("There are no results yet: the run has neither been trained to its end nor evaluated.")
    remarks = run.metrics.get("remarks")
    said = [Finding("plain", text) for text in remarks if isinstance(text, str)] if isinstance(remarks, list) else []
    return (
        page.figures(entries)
        + page.cut(mine, LARGE, "figures")
        + page.sentences([*verdict(run.metrics), *training_findings(run), *said])
    )


def _told(figure: Figure) -> str:
    interval = f"95 % interval {figure.interval.replace('–', 'to')}" if figure.interval else ""
    return ", ".join(filter(None, [interval, "" if figure.higher else "less is better"]))


PART = Part("result", "What came out", scores, file="metrics")
