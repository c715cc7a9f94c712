"""Where a verb speaks: results to standard output, narration beside it, and a transcript where the run keeps one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


class Voice:
    """What a verb says.

    `say` narrates: on standard output, or on standard error where standard output carries a result (`quiet` or JSON).
    `result` ends a verb: with `--json` its dictionary as one JSON document.
    """

    def __init__(self, *, json: bool, quiet: bool = False) -> None:
        self.json = json
        self.stream = sys.stderr if json or quiet else sys.stdout
        self.transcript: Path | None = None
        self._before: list[str] = []

    def say(self, text: str = "") -> None:
        """Print a line of narration, and keep it for the transcript."""
        print(text, file=self.stream, flush=True)
        self.keep(text)

    def keep(self, text: str) -> None:
        """Put a line into the transcript that something else has already shown."""
        if self.transcript is None:
            self._before.append(text)
            return
        with self.transcript.open("a", encoding="utf-8") as file:
            file.write(text + "\n")

    def record(self, path: Path) -> None:
        """From now on, and with what was said before, write the transcript to `path`."""
        self.transcript = path
        said, self._before = self._before, []
        for line in said:
            self.keep(line)

    def result(self, content: Any) -> None:
        """With `--json`, the verb's result on standard output."""
        if self.json:
            print(json.dumps(content, indent=1, ensure_ascii=False, default=str), flush=True)
