"""cells: one file a cell, its equations and its defaults.

Nothing is registered: a cell is a file in this folder, its name on the command line is the file's name (`gru_after.py`
is "gru-after"), and its class is the one Cell in it. Listing the names imports no torch.

>>> "gru-after" in names()
True
>>> from riverrun.cells import LSTM
>>> find("lstm") is LSTM
True
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from riverrun.errors import UsageError, nearest

if TYPE_CHECKING:
    from riverrun.cells.cell import Cell

_CONTRACT = "riverrun.cells.cell"


def names() -> tuple[str, ...]:
    """The names of all cells, in alphabetical order, read from the folder."""
    found = (module.name for module in pkgutil.iter_modules(__path__) if module.name != "cell")
    return tuple(sorted(name.replace("_", "-") for name in found))


def find(name: str) -> type[Cell]:
    """The cell of that name.

    Errors: UsageError, with the nearest name, where there is none.
    """
    if name not in names():
        raise UsageError(f"cell: expected one of {', '.join(names())}; came {name!r}.{nearest(name, names())}")
    contract = importlib.import_module(_CONTRACT).Cell
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    found: list[type[Cell]] = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, contract) and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise UsageError(f"{module.__file__}: expected one Cell in the file; came {len(found)}.")
    return found[0]


def __getattr__(attribute: str) -> Any:
    """`riverrun.cells.LSTM`, `.Cell`, `.sigmoid`: looked up when asked for, so that listing names stays light."""
    if attribute.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {attribute!r}")
    contract = importlib.import_module(_CONTRACT)
    if attribute in contract.__all__:
        return getattr(contract, attribute)
    for name in names():
        if (cell := find(name)).__name__ == attribute:
            return cell
    raise AttributeError(f"module {__name__!r} has no attribute {attribute!r}")
