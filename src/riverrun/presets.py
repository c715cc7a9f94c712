"""Presets: named starting points, each with what it is for, what to expect of it, and in what time.

A preset is a layer of values between the defaults and `run.toml`; anything else given overrides it. Each task declares
its own; the first one of a task holds where none is named.
"""

from __future__ import annotations

from riverrun import tasks
from riverrun.errors import OptionError, nearest
from riverrun.tasks.task import Preset


def all_presets() -> tuple[Preset, ...]:
    """Every preset of every task."""
    return tuple(preset for task in tasks.all_tasks() for preset in task.presets)


def find(name: str | None, task: str) -> Preset:
    """The preset of that name of a task; None: its first. Raises OptionError naming the nearest.

    >>> find("tiny", "lm").values["training"]["steps"]
    60
    """
    known = tasks.find(task).presets
    for preset in known:
        if name in (None, preset.name):
            return preset
    names = [preset.name for preset in known]
    others = [preset.task for preset in all_presets() if preset.name == name]
    hint = f" It is one of task {others[0]}." if others else nearest(str(name), names)
    raise OptionError("preset", f"expected one of {', '.join(names)} (task {task}), got {name!r}.{hint}")


def task_of(name: str | None) -> str | None:
    """The task that a preset's name stands for, None where several tasks have one of that name, or none does.

    >>> task_of("min-char-rnn"), task_of("default")
    ('lm', None)
    """
    found = {preset.task for preset in all_presets() if preset.name == name}
    return found.pop() if len(found) == 1 else None
