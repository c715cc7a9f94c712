"""The parts of a report, one file each: a `Task.report` names them by their files' names. Whatever lies here is found.

>>> find("curves").heading
'How it learnt'
>>> find("no such part") is None
True
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from riverrun.inspection.part import Part


def names() -> tuple[str, ...]:
    """The names of all parts that lie in this folder."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def find(name: str) -> Part | None:
    """The part of that name, or None where this version has none."""
    if name not in names():
        return None
    part = import_module(f"{__name__}.{name}").PART
    assert isinstance(part, Part)
    return part
