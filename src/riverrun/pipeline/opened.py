"""open_model: a trained model from a run folder (or its model/ folder), to predict, sample and score with."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from riverrun import combinations, configuration, run, tasks
from riverrun import files as sealed
from riverrun.cells.cell import Cell
from riverrun.errors import DataError, ModelError
from riverrun.models import files
from riverrun.pipeline.plan import restore
from riverrun.pipeline.train import OWN_CELL, kept
from riverrun.run import RunFolder
from riverrun.tasks.task import Prepared, Task
from riverrun.training import checkpoints, snapshot
from riverrun.training.hardware import choose_device, use_threads


class Opened(NamedTuple):
    """A model in evaluation mode on its device.

    coder: what turns its items into numbers (a language model's: the tokenizer). sections: the options of its run, by
    section. run: the run folder it lies in, None for a model folder alone. config, card: what else its folder says.
    """

    task: Task
    model: Any
    coder: Any
    sections: Mapping[str, Any]
    device: torch.device
    run: RunFolder | None
    config: Mapping[str, Any]
    card: str


def open_model(
    path: Path,
    *,
    device: str = "auto",
    threads: int = 0,
    cell: type[Cell] | None = None,
    warn: Callable[[str], None] = lambda _: None,
) -> Opened:
    """Open a run folder or a model folder; of a run that has no model/ yet, its best checkpoint, else its last.

    warn: is told where it is a checkpoint, and which.
    Raises ModelError where there is no model, or it is corrupted or newer; UsageError for a device that is not there.
    """
    folder = run.model_folder(path)
    where = choose_device(device)
    use_threads(threads)
    if folder is None:
        opened = _checkpointed(RunFolder(path), cell, warn)
    else:
        _need(cell, _own_cell(folder), folder)
        opened = _stored(folder, cell)
    return opened._replace(model=opened.model.to(where), device=where)


def _stored(folder: Path, cell: type[Cell] | None) -> Opened:
    stored = files.read(folder)
    if stored.kind not in tasks.names():
        raise ModelError(
            f"{folder / files.CONFIG}: expected a model of kind {', '.join(tasks.names())}, got {stored.kind!r}. "
            "Give a model that this riverrun knows, or upgrade it."
        )
    task = tasks.find(stored.kind)
    coder = task.load_coder(stored.coder)
    model, options = files.module(
        folder, stored, task.sections["model"], lambda options: task.model(options, coder, cell=cell)
    )
    home = folder.parent if folder.name == "model" and (folder.parent / "run.toml").is_file() else None
    values = stored.config.get("run", {})
    known = {section: keys for section, keys in values.items() if section in task.sections}
    sections = {**configuration.resolve(task.sections, combinations.acting(task.sections, known)), "model": options}
    run_folder = RunFolder(home) if home else None
    return Opened(task, model, coder, sections, torch.device("cpu"), run_folder, stored.config, stored.card)


def _checkpointed(folder: RunFolder, cell: type[Cell] | None, warn: Callable[[str], None]) -> Opened:
    """The model of a run that was killed, or is still being trained: what `fit` would give if it ended there."""
    own = folder.read_json("env.json").get(OWN_CELL)
    _need(cell, own, folder.path)
    which = "best" if checkpoints.pointer(folder.path, "best") is not None else "last"
    checkpoint = checkpoints.load(folder.path, which, warn=warn, clean=False)
    snapshot.record(checkpoint.files, checkpoint.path)  # raises where a newer riverrun wrote it
    planned = restore(folder.configuration)
    task = tasks.find(planned.task)
    coder = task.load_coder(checkpoint.files)
    model = task.model(planned.sections["model"], coder, cell=cell)
    tensors = snapshot.weights(checkpoint.files)
    try:
        model.to(next(t.dtype for t in tensors.values() if t.is_floating_point())).load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(f"{checkpoint.path}: does not fit {folder.configuration} ({error}).") from None
    note = f"{folder.path}: training has not ended: these are the weights of step {checkpoint.step:,}."
    warn(f"{note} Go on with `riverrun resume {folder.path}`.")
    config = {OWN_CELL: own, "run": kept(planned.sections)}
    return Opened(task, model.eval(), coder, planned.sections, torch.device("cpu"), folder, config, f"# {note}\n")


def _need(cell: type[Cell] | None, own: str | None, folder: Path) -> None:
    if own and cell is None:
        raise ModelError(
            f"{folder}: made with a cell of one's own, {own}. Open it in Python, riverrun.load(folder, cell={own})."
        )


def _own_cell(folder: Path) -> str | None:
    with contextlib.suppress(ValueError, AttributeError):  # `files.read` says what is wrong with such a file
        name = json.loads(sealed.read_folder(folder, [files.CONFIG])[files.CONFIG]).get(OWN_CELL)
        return name if isinstance(name, str) else None
    return None


def data_of(opened: Opened) -> Prepared:
    """The parts that the model was trained and tested on, read again from where its run found them.

    Raises DataError where they are no longer there or no longer the same (by SHA-256).
    """
    if opened.run is None:
        raise DataError("a model folder does not say where its data lies: give the run folder, or a file.")
    record = opened.run.read_json("data.json")
    planned = restore(opened.run.configuration)
    if "-" in planned.files:
        raise DataError("the data came from standard input and is not kept.")
    corpus = opened.task.read(planned.files, planned.sections["data"])
    prepared: Prepared = opened.task.prepare(
        corpus,
        {**opened.sections, "data": planned.sections["data"]},
        coder=opened.coder,
        select=bool(record["parts"].get("valid")),
        cache=opened.run.tokens,
        record=record,
    )
    before = {file["sha256"] for file in record["files"]}
    for file in prepared.files:
        if file.sha256 not in before:
            raise DataError(f"{file.path}: no longer the file that was trained on (its SHA-256 has changed).")
    return prepared
