"""plan: what a run is to do, from preset, file and options given: a Configuration. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riverrun import combinations, configuration, presets, tasks
from riverrun.combinations import ARGUMENTS, KEYS, Layer, Notation
from riverrun.configuration import Configuration, Schema, Values
from riverrun.errors import OptionError, UsageError
from riverrun.tasks.task import Task

if TYPE_CHECKING:
    from riverrun.cells.cell import Cell

DEFAULT_TASK = "lm"


def schema(task: str = DEFAULT_TASK) -> Schema:
    """The sections of a run.toml of that task, and the options dataclass of each."""
    return tasks.find(task).sections


def plan(
    files: Sequence[str],
    given: Values | Callable[[Task], Values],
    *,
    asked: Mapping[str, Any] | None = None,
    task: str | None = None,
    preset: str | None = None,
    file: Path | None = None,
    notation: Notation = ARGUMENTS,
    cell: type[Cell] | None = None,
) -> tuple[Configuration, str]:
    """The configuration, and the sentence why its task is what it is.

    Defaults, then the preset, then the configuration file, then what is given; the last to name a key wins. The default
    preset holds where neither a preset nor a configuration file is named.

    given: values, or a function that gives them where it is known for which task. asked: where that is to be inferred,
    what was given by key, for whichever task.
    notation: how the one who gave `given` writes options. cell: a class of one's own, in place of the one named.
    Raises UsageError, naming an option as it was typed, where something is unknown, out of range or does nothing, or
    where no budget is left.
    """
    layers: list[Layer] = []
    reason = "asked for (--task)"
    if task is None and file is not None:
        task, reason = configuration.task_of(file), f"as {file} says"
    if task is None and preset is not None:
        task, reason = presets.task_of(preset), f"what preset {preset} is for"
    if task is None:
        named = files or (configuration.files_of(file) if file is not None else ())
        found, reason = tasks.infer(named, asked)
    else:
        found = tasks.find(task)
    if preset is not None or file is None:
        layers.append(Layer(presets.find(preset, found.name).values, notation))
    if file is not None:
        read = configuration.read(file, found.sections)
        layers.append(Layer(read.values, KEYS, read.places))
        files = files or read.files or ()
    values_given = given(found) if callable(given) else given
    own = {"model": {"cell": cell}} if cell is not None else {}
    layers.append(Layer(configuration.merge(found.sections, values_given, own), notation))
    try:
        values = combinations.settled(found.sections, layers)
        if own:  # it is judged, and stands in no file
            values["model"].pop("cell")
        sections = configuration.resolve(found.sections, values)
    except OptionError as error:
        raise combinations.typed(error, layers) from None
    if not sections["training"].budget():
        raise UsageError("no budget: give --minutes, --steps or --epochs (or a preset that has one).")
    return Configuration(found.name, tuple(_absolute(name) for name in files), sections), reason


def restore(path: Path) -> Configuration:
    """The configuration that a run folder's run.toml holds. Raises DataError and UsageError as `configuration.read`."""
    task = configuration.task_of(path) or DEFAULT_TASK
    read = configuration.read(path, schema(task))
    return Configuration(task, read.files or (), configuration.resolve(schema(task), read.values))


def _absolute(name: str) -> str:
    # So that run.toml repeats the run from any folder.
    return name if name == "-" else str(Path(name).absolute())
