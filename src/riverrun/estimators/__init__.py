"""Estimators: riverrun in Python, one class a task, by scikit-learn's rules; whatever lies in this folder is collected.

import riverrun as rr
m = rr.LanguageModel(minutes=15).fit("shakespeare.txt");  m.save("models/plays");  m = rr.load("models/plays")
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from pathlib import Path

from riverrun.cells.cell import Cell
from riverrun.estimators.estimator import Estimator, opened_at, restored


def load(folder: str | Path, *, device: str = "auto", cell: type[Cell] | None = None) -> Estimator:
    """The model in a run folder or a model folder, as the estimator of its task, ready to be put to work.

    cell: the class of a model that was made with a cell of one's own. Raises ModelError where the folder is missing,
    corrupted or newer.
    """
    opened = opened_at(folder, device, cell)
    return restored(_kinds()[opened.task.name], opened, cell)


def _kinds() -> dict[str, type[Estimator]]:
    """Task -> its estimator."""
    for module in pkgutil.iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return {kind.task: kind for kind in Estimator.__subclasses__() if kind.__module__.startswith(__name__)}
