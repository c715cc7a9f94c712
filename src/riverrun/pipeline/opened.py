"""open_model: a trained model from a run folder (or its model/ folder), to sample and score with."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from riverrun import files as sealed
from riverrun import run
from riverrun.cells.cell import Cell
from riverrun.data.tokenizer import Tokenizer
from riverrun.errors import DataError, ModelError
from riverrun.models import files
from riverrun.models.files import Saved
from riverrun.models.fixed_window import FixedWindow
from riverrun.models.language_model import LanguageModel
from riverrun.pipeline.plan import restore
from riverrun.pipeline.prepare import Prepared, prepare_again
from riverrun.pipeline.train import OWN_CELL
from riverrun.pipeline.writing import MOST_COMPARED, TOO_LONG
from riverrun.pipeline.writing import novelty as compared
from riverrun.run import RunFolder
from riverrun.training import checkpoints, snapshot
from riverrun.training.hardware import choose_device


class Opened(NamedTuple):
    """A model in evaluation mode on its device. run: the run folder it lies in, None for a model folder alone."""

    model: LanguageModel | FixedWindow
    tokenizer: Tokenizer
    device: torch.device
    saved: Saved
    run: RunFolder | None


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
    if threads:
        torch.set_num_threads(threads)
    if folder is None:
        saved = _checkpointed(RunFolder(path), cell, warn)
        return Opened(saved.model.to(where), saved.tokenizer, where, saved, RunFolder(path))
    _need(cell, _own_cell(folder), folder)
    saved = files.load(folder, cell=cell)
    home = folder.parent if folder.name == "model" and (folder.parent / "run.toml").is_file() else None
    return Opened(saved.model.to(where), saved.tokenizer, where, saved, RunFolder(home) if home else None)


def _checkpointed(folder: RunFolder, cell: type[Cell] | None, warn: Callable[[str], None]) -> Saved:
    """The model of a run that was killed, or is still being trained: what `fit` would give if it ended there."""
    own = folder.read_json("env.json").get(OWN_CELL)
    _need(cell, own, folder.path)
    which = "best" if checkpoints.pointer(folder.path, "best") is not None else "last"
    checkpoint = checkpoints.load(folder.path, which, warn=warn, clean=False)
    snapshot.record(checkpoint.files, checkpoint.path)  # raises where a newer riverrun wrote it
    configuration = restore(folder.configuration)
    options, tokenizer = configuration.sections["model"], Tokenizer.from_json(checkpoint.files[files.TOKENIZER])
    model = files.build(options, tokenizer.size, cell=cell)
    tensors = snapshot.weights(checkpoint.files)
    try:
        model.to(next(t.dtype for t in tensors.values() if t.is_floating_point())).load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(f"{checkpoint.path}: does not fit {folder.configuration} ({error}).") from None
    note = f"{folder.path}: training has not ended: these are the weights of step {checkpoint.step:,}."
    warn(f"{note} Go on with `riverrun resume {folder.path}`.")
    return Saved(model.eval(), configuration.task, options, tokenizer, {OWN_CELL: own}, f"# {note}\n")


def _need(cell: type[Cell] | None, own: str | None, folder: Path) -> None:
    if own and cell is None:
        raise ModelError(
            f"{folder}: made with a cell of one's own, {own}. Open it in Python, riverrun.load(folder, cell={own})."
        )


def _own_cell(folder: Path) -> str | None:
    with contextlib.suppress(ValueError, AttributeError):  # `files.load` says what is wrong with such a file
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
    configuration = restore(opened.run.configuration)
    data = configuration.sections["data"]
    return prepare_again(record, configuration.files, data, opened.tokenizer, cache=opened.run.tokens)


def novelty(opened: Opened, texts: Sequence[str]) -> tuple[dict[str, Any] | None, str]:
    """How much of `texts` was copied from the training text: the record, and the sentence (also why there is none)."""
    try:
        if opened.run is not None and opened.run.read_json("data.json")["parts"]["train"]["tokens"] > MOST_COMPARED:
            return None, TOO_LONG  # known without reading all that
        prepared = data_of(opened)
    except DataError as error:
        return None, f"not compared with the training text: {error}"
    return compared(opened.tokenizer, texts, prepared.splits.train, prepared.splits.test)
