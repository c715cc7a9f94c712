"""Tasks: one file a task, with a frozen `Task` called TASK in it; whatever lies in this folder is collected.

>>> "lm" in names()
True
>>> find("lm").summary
'a language model: text that goes on'
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping, Sequence
from importlib import import_module

from riverrun.errors import OptionError, UsageError, nearest
from riverrun.tasks.task import Task


def all_tasks() -> tuple[Task, ...]:
    """Every task that lies in this folder, by name. Needs no torch."""
    modules = [import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    found = [module.TASK for module in modules if isinstance(getattr(module, "TASK", None), Task)]
    return tuple(sorted(found, key=lambda task: task.name))


def names() -> tuple[str, ...]:
    """The names of all tasks, as `--task` takes them."""
    return tuple(task.name for task in all_tasks())


def schemas() -> dict[str, Mapping[str, type]]:
    """Of every task, the sections of its run.toml and the options dataclass of each."""
    return {task.name: task.sections for task in all_tasks()}


def find(name: str) -> Task:
    """The task of that name. Raises UsageError naming the nearest."""
    for task in all_tasks():
        if task.name == name:
            return task
    raise OptionError("task", f"expected one of {', '.join(names())}, got {name!r}.{nearest(name, names())}")


def infer(paths: Sequence[str]) -> tuple[Task, str]:
    """The task that fits the data, and the reason in a sentence. Raises UsageError where none does."""
    for task in sorted(all_tasks(), key=lambda task: task.fallback):
        reason = task.infer(paths)
        if reason is not None:
            return task, reason
    raise UsageError(f"{paths[0]}: no task is known for such data. Name one: --task {', '.join(names())}.")
