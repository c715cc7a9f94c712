"""finish: what a trained model is worth: the test part's figures beside baselines, what the task adds, the report."""

from __future__ import annotations

from typing import Any

from riverrun import tasks
from riverrun.inspection import report
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
    metrics = task.measure(model, prepared, training=training, say=say, baselines=baselines)
    run.write_json("eval/metrics.json", metrics)
    facts = task.conclude(run, model, prepared, metrics, say=say, seed=training.seed)
    page = report.build(run.path)
    if run.model.is_dir():  # not where a run is measured that was killed
        say(f"model      {run.model}")
    say(f"report     {page}")
    return {"metrics": metrics, **facts, "report": str(page)}
