"""Every error that riverrun raises on purpose, and the exit code that the command line gives it.

    RiverrunError
    ├── UsageError          exit 2   an option, an argument or a key is wrong
    │   ├── OptionError     exit 2   the same, of one option that it names by its key
    │   └── CellError       exit 2   a cell's `step` uses what the engine cannot trace
    ├── DataError           exit 3   a file or its content is not what was expected
    │   └── ModelError      exit 3   a model or checkpoint is missing, corrupted or newer
    └── CheckFailed         exit 4   a check that was asked for failed
        └── Diverged        exit 4   training produced non-finite numbers several times in a row

A message names the argument or the file and line, what was expected, what came, and what to do.
Layers keep torch's own exception types (ValueError, RuntimeError) where they mirror torch.nn.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class RiverrunError(Exception):
    """The root: a mistake that can be told in a sentence, without a traceback."""

    exit_code = 1


class UsageError(RiverrunError, ValueError):
    """An option, an argument or a configuration key is wrong."""

    exit_code = 2


class OptionError(UsageError):
    """One option is wrong: `name` is its key (or a layer's argument), `problem` the rest of the sentence.

    Where options are typed, on a command line or in a file, the name is put as it was typed there.

    >>> str(OptionError("hidden", "expected a whole number, got 'x'."))
    "hidden: expected a whole number, got 'x'."
    """

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(name, problem)
        self.name, self.problem = name, problem

    def __str__(self) -> str:
        return f"{self.name}: {self.problem}"


class CellError(UsageError):
    """A cell's `step` uses what the engine cannot trace; the message names the line."""


class DataError(RiverrunError):
    """A file is missing, unreadable or not what was expected; the message names file and line or byte."""

    exit_code = 3


class ModelError(DataError):
    """A model folder or checkpoint is missing, corrupted, or written by a newer version."""


class CheckFailed(RiverrunError):
    """A check that the user asked for failed."""

    exit_code = 4


class Diverged(CheckFailed):
    """Training met non-finite losses or gradients several times in a row."""


def nearest(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'hidden'?`, or the empty string where nothing known is near.

    >>> nearest("hiden", ["hidden", "cell"])
    " Did you mean 'hidden'?"
    """
    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""
