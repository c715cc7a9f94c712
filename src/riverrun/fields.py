"""How an option is declared and checked: a dataclass field whose metadata says what it may be.

Metadata holds `help`, and where they apply `choices` (a tuple, or a function that lists them), `least` (the smallest
value), `below` (all values are less than it) and `acts` (beside which other options it does anything; combinations.py
reads it). This file imports no torch.
"""

from __future__ import annotations

import math
from dataclasses import field, fields
from typing import Any

from riverrun.errors import OptionError, nearest


def option(default: Any, help: str, **limits: Any) -> Any:
    """A field with that default and help; the limits are those that this file's first lines name."""
    return field(default=default, metadata={"help": help, **limits})


def share(default: float, help: str, **limits: Any) -> Any:
    """A field that holds a probability in [0, 1)."""
    return option(default, help, least=0.0, below=1.0, **limits)


def check(options: Any) -> None:
    """OptionError unless every value of the dataclass is of its default's type and within its field's limits."""
    for found in fields(options):
        _check(found.name, getattr(options, found.name), found.metadata, type(found.default))


def _check(name: str, value: Any, limits: Any, kind: type) -> None:
    """OptionError unless `value` is of the default's type and within the field's limits."""
    right = isinstance(value, bool) if kind is bool else isinstance(value, int | float) and not isinstance(value, bool)
    if kind is str:
        right = isinstance(value, str)
    elif kind is int:
        right = right and isinstance(value, int)
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a name"}[kind]
    if "choices" in limits and not callable(limits["choices"]):  # callable: looked up, and judged, when it is used
        if value not in limits["choices"]:
            expected = ", ".join(limits["choices"])
            raise OptionError(
                name, f"expected one of {expected}, got {value!r}.{nearest(str(value), limits['choices'])}"
            )
        return
    bounds = [f"of at least {limits['least']}"] if "least" in limits else []
    bounds += [f"less than {limits['below']}"] if "below" in limits else []
    right = right and (isinstance(value, str) or math.isfinite(value))
    inside = right and (not bounds or value >= limits["least"]) and ("below" not in limits or value < limits["below"])
    if not inside:
        raise OptionError(name, f"expected {' '.join([words, ' and '.join(bounds)]).strip()}, got {value!r}.")
