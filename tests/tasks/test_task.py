"""Every task keeps the contract, and is found by lying in the folder."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError, fields, is_dataclass

import pytest

from riverrun import tasks
from riverrun.configuration import resolve, settings
from riverrun.errors import UsageError
from riverrun.tasks.task import Task


@pytest.mark.parametrize("name", tasks.names())
def test_a_task_declares_everything(name):
    task = tasks.find(name)
    for field in fields(Task):
        assert getattr(task, field.name) or field.name == "fallback", f"{name}: {field.name} is empty"
    assert set(task.sections) >= {"data", "model", "training"}
    for section, options in task.sections.items():
        assert is_dataclass(options), section
        options()  # every default is accepted
        assert all(field.metadata.get("help") for field in fields(options)), section
        with pytest.raises(FrozenInstanceError):
            setattr(options(), fields(options)[0].name, None)
    assert all(metric.better in ("lower", "higher") for metric in task.metrics)
    assert {preset.task for preset in task.presets} == {name}
    assert task.presets[0].name == "default"
    for preset in task.presets:
        resolve(task.sections, preset.values)
    assert is_dataclass(task.prediction)
    assert all(field.metadata.get("help") for field in fields(task.prediction))


def test_sections_share_one_name_space_as_flags_do():
    for name in tasks.names():
        seen = [field.name for options in tasks.find(name).sections.values() for field in fields(options)]
        assert len(seen) == len(set(seen))


def test_one_task_takes_what_no_other_does():
    assert [task.name for task in tasks.all_tasks() if task.fallback] == ["lm"]


def test_a_flag_that_tasks_share_is_of_one_kind():
    kinds: dict[str, set[bool]] = {}
    for schema in tasks.schemas().values():
        for setting in settings(schema):
            kinds.setdefault(setting.name, set()).add(setting.kind is bool)
    assert [name for name, found in kinds.items() if len(found) > 1] == []


def test_an_unknown_task_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match=r"task: expected one of .*lm.*, got 'lmm'. Did you mean 'lm'"):
        tasks.find("lmm")


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ([], "no data given"),
        (["-"], "standard input"),
        (["plays.txt.gz"], "plain text"),
        (["a.jsonl"], "table (.jsonl)"),
        (["a.csv.gz"], "table (.csv)"),
        (["."], "folder"),
    ],
)
def test_the_task_is_inferred_with_a_reason(paths, words):
    task, reason = tasks.infer(paths)
    assert task.name == "lm"
    assert words in reason


def test_reading_the_declarations_needs_no_torch():
    code = "import riverrun.tasks as t, sys; t.all_tasks(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
