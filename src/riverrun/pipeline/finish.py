"""finish: what a trained model is worth: the test part's figures beside baselines, what the task adds, the report."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from riverrun import tasks
from riverrun.errors import DataError
from riverrun.inspection import findings, report
from riverrun.inspection.verdict import verdict
from riverrun.pipeline.train import Trained
from riverrun.run import RunFolder
from riverrun.tasks.task import Prepared, Say


def finish(trained: Trained, *, say: Say, baselines: bool) -> dict[str, Any]:
    """Evaluate on the test part, set baselines beside it, and write the report; returns what --json shows."""
    assert trained.run is not None
    training = trained.configuration.sections["training"]
    name = trained.configuration.task
    return judge(name, trained.run, trained.model, trained.prepared, training=training, say=say, baselines=baselines)


def judge(
    task_name: str, run: RunFolder, model: Any, prepared: Prepared, *, training: Any, say: Say, baselines: bool
) -> dict[str, Any]:
    """Measure a model on the test part of its run; eval/ and report.html are made anew."""
    task = tasks.find(task_name)
    writable(run)
    metrics = task.measure(model, prepared, training=training, say=say, baselines=baselines)
    for sentence in compared(metrics):
        say(f"verdict    {sentence}")
    run.write_json("eval/metrics.json", metrics)
    facts = task.conclude(run, model, prepared, metrics, say=say, seed=training.seed)
    page = report.build(run.path)
    if run.model.is_dir():  # not where a run is measured that was killed
        say(f"model      {run.model}")
    say(f"report     {page}")
    return {"metrics": metrics, **facts, "report": str(page)}


def compared(metrics: Mapping[str, Any]) -> list[str]:
    """How the model stands beside its baselines, in sentences; none where there are no baselines."""
    if not metrics.get("baselines"):
        return []
    text = findings.against_baselines(findings.own_result(metrics), findings.baselines(metrics))
    return [finding.text for finding in ([text] if text is not None else verdict(metrics))]


def writable(run: RunFolder) -> None:
    """DataError where a run folder cannot be written to: told before it is measured, which takes long."""
    for path in (run.path, run.evaluation):
        if path.exists() and not (path.is_dir() and os.access(path, os.W_OK)):
            raise DataError(
                f"{path}: cannot be written, and figures and report are kept there. Allow that, or measure a copy of "
                f"the run or its {run.model.name}/ folder."
            )
