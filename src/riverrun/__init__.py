"""riverrun: recurrent neural networks, trained on your own sequences, seen from inside, put to work.

    import riverrun as rr
    m = rr.LanguageModel(cell="lstm", hidden=512).fit("shakespeare.txt")
    print(m.sample("ROMEO:", length=400)); m.save("runs/plays"); rr.load("runs/plays")

Nothing heavy is imported before it is needed: `import riverrun` does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from riverrun import cells, nn
    from riverrun.cells.cell import Cell
    from riverrun.errors import RiverrunError
    from riverrun.estimators import load
    from riverrun.estimators.classifier import Classifier
    from riverrun.estimators.language_model import LanguageModel
    from riverrun.estimators.sequence_to_sequence import Seq2Seq
    from riverrun.estimators.tagger import Tagger
    from riverrun.layers.recurrent import Recurrent
    from riverrun.sequences import Sequences

__all__ = [
    "Cell",
    "Classifier",
    "LanguageModel",
    "Recurrent",
    "RiverrunError",
    "Seq2Seq",
    "Sequences",
    "Tagger",
    "__version__",
    "cells",
    "load",
    "nn",
]

# Public name -> the module that has it (PEP 562); a name that is a module itself maps to that module.
_HOMES = {
    "Cell": "riverrun.cells.cell",
    "Classifier": "riverrun.estimators.classifier",
    "LanguageModel": "riverrun.estimators.language_model",
    "Recurrent": "riverrun.layers.recurrent",
    "RiverrunError": "riverrun.errors",
    "Seq2Seq": "riverrun.estimators.sequence_to_sequence",
    "Sequences": "riverrun.sequences",
    "Tagger": "riverrun.estimators.tagger",
    "cells": "riverrun.cells",
    "load": "riverrun.estimators",
    "nn": "riverrun.nn",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'riverrun' has no attribute {name!r}")
    module = import_module(home)
    value = module if home == f"riverrun.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
