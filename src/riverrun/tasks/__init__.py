"""Tasks: one file a task, with a frozen `Task` called TASK in it; whatever lies in this folder is collected.

>>> "lm" in names()
True
>>> find("lm").summary
'a language model: text that goes on'
"""

from __future__ import annotations

import codecs
import pkgutil
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from riverrun.configuration import settings
from riverrun.errors import OptionError, UsageError, nearest
from riverrun.tasks.task import Task

MOST = 10  # columns that are told


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


def infer(paths: Sequence[str], given: Mapping[str, Any] | None = None) -> tuple[Task, str]:
    """The task that fits the data, and the reason in a sentence. Raises UsageError where none does.

    given: the options that were given, by key. What says how data are read, and only some tasks have, says that it is
    one of them. `encoding` is that of the files.
    """
    given = given or {}
    known = {task.name: {each.name for each in settings({"data": task.sections["data"]})} for task in all_tasks()}
    read = given.keys() & set().union(*known.values())
    fitting = [task for task in all_tasks() if read <= known[task.name]]
    encoding = given.get("encoding", "utf-8")
    try:
        codecs.lookup(encoding)
    except LookupError:
        encoding = "utf-8"  # the task says what is wrong with it
    for task in sorted((*fitting, *all_tasks()), key=lambda task: task.fallback):
        reason = task.infer(paths, encoding)
        if reason is None and len(fitting) == 1 and task is fitting[0]:
            reason = "no other one has the options that were given"
        if reason is not None:
            return task, reason
    raise UsageError(
        f"{paths[0] if paths else 'no data'}: no task is known for such data"
        f"{_columns(paths[0], encoding) if paths else ''}. Name one: --task {', '.join(names())}."
    )


def _columns(path: str, encoding: str) -> str:
    """Of a table the columns, and the options that say what they hold."""
    from riverrun.data.labelled_layout import header
    from riverrun.data.tables import short

    found = header(path, encoding)
    if not found:
        return ""
    there = ", ".join(map(short, found[:MOST])) + (" ..." if found[MOST:] else "")
    return (
        f": its columns are {there}, by its first line. Say what they hold: --text and --label (classify), "
        "--source-field and --target-field (seq2seq), --field (lm)"
    )
