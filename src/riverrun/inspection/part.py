"""A part of the report: what a task names in `Task.report`, and a file of `parts/` declares as PART."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from riverrun.inspection.record import RunRecord


class Part(NamedTuple):
    """Where a part stands, and what makes it.

    section: an identifier; parts of one section stand together, under the heading of the first.
    build: the HTML, "" where the run lacks what it shows.
    file: the name of the eval/NAME.json without which there is nothing to show; where that is there and `build` gives
    nothing, the report says that it could not be read.
    """

    section: str
    heading: str
    build: Callable[[RunRecord], str]
    file: str = ""
