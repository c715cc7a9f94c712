"""What the tests of the command line share: a text, options of a small model, and how a command ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

TEXT = "".join(f"the {n % 7} cats sat on the {n % 5} mats, and {n % 3} dogs looked on.\n" for n in range(120))
SMALL = ["--hidden", "8", "--layers", "1", "--lanes", "4", "--window", "8", "--dropout", "0", "--precision", "float32"]


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Riverrun = Callable[..., Done]
Killed = Callable[..., None]
