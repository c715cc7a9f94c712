"""open_model: a trained model from a run folder (or its model/ folder), to sample and score with."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
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
from riverrun.pipeline.writing import novelty as compared
from riverrun.run import RunFolder
from riverrun.training.hardware import choose_device


class Opened(NamedTuple):
    """A model in evaluation mode on its device. run: the run folder it lies in, None for a model folder alone."""

    model: LanguageModel | FixedWindow
    tokenizer: Tokenizer
    device: torch.device
    saved: Saved
    run: RunFolder | None


def open_model(path: Path, *, device: str = "auto", threads: int = 0, cell: type[Cell] | None = None) -> Opened:
    """Open a run folder or a model folder.

    Raises ModelError where there is no model, or it is corrupted or newer; UsageError for a device that is not there.
    """
    folder = run.model_folder(path)
    where = choose_device(device)
    if threads:
        torch.set_num_threads(threads)
    own = _own_cell(folder)
    if own and cell is None:
        raise ModelError(
            f"{folder}: made with a cell of one's own, {own}. Open it in Python, riverrun.load(folder, cell={own})."
        )
    saved = files.load(folder, cell=cell)
    home = folder.parent if folder.name == "model" and (folder.parent / "run.toml").is_file() else None
    return Opened(saved.model.to(where), saved.tokenizer, where, saved, RunFolder(home) if home else None)


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
    return prepare_again(record, configuration.files, configuration.sections["data"], opened.tokenizer)


def novelty(opened: Opened, texts: Sequence[str]) -> tuple[dict[str, Any] | None, str]:
    """How much of `texts` was copied from the training text: the record, and the sentence (also why there is none)."""
    try:
        prepared = data_of(opened)
    except DataError as error:
        return None, f"not compared with the training text: {error}"
    return compared(opened.tokenizer, texts, prepared.splits.train, prepared.splits.test)
