"""log.jsonl: what happened, one JSON object a line; the same to TensorBoard where that was asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from riverrun.errors import OptionError

Event = dict[str, Any]


def fan_out(*sinks: Callable[[Event], None]) -> Callable[[Event], None]:
    """One receiver of events that tells several, in this order."""

    def tell(event: Event) -> None:
        for sink in sinks:
            sink(event)

    return tell


class Log:
    """Appends events to a file, each line at once, so that a killed run leaves all but perhaps its last line.

    A full disk loses lines, is said once on `complaints`, and never stops the run.
    """

    def __init__(self, path: Path, complaints: TextIO | None = None) -> None:
        self.path = path
        self.lost = 0
        self._complaints = complaints
        self._torn = _is_torn(path)

    def __call__(self, event: Event) -> None:
        line = json.dumps(event, ensure_ascii=False, allow_nan=False) + "\n"
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write("\n" + line if self._torn else line)
        except OSError as error:
            self._torn = True  # a part of the line may be there
            self.lost += 1
            if self.lost == 1:
                print(f"{self.path}: cannot be written ({error.strerror}); the run goes on.", file=self._stream)
        else:
            self._torn = False

    @property
    def _stream(self) -> TextIO:
        return sys.stderr if self._complaints is None else self._complaints


def _is_torn(path: Path) -> bool:
    """Whether the file ends within a line, as a killed process leaves it."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            if file.tell() == 0:
                return False
            file.seek(-1, 2)
            return file.read(1) != b"\n"
    except OSError:
        return False


def read(path: Path) -> list[Event]:
    """The events of a log, as if the run had never been interrupted.

    A torn line is passed over. Where a resumed run began at step s, what the interrupted one had done beyond s is
    dropped: it was done again.
    """
    events: list[Event] = []
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if not isinstance(event, dict):
                continue
            if event.get("event") == "start" and event.get("resumed"):
                events = [earlier for earlier in events if earlier.get("step", 0) <= event.get("step", 0)]
            events.append(event)
    return events


class TensorBoard:
    """Writes losses, learning rate, gradient norm and samples where TensorBoard reads them.

    Raises OptionError where the package is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self._writer = self.needed()(str(folder))

    @staticmethod
    def needed() -> Any:
        """What writes the files; to be asked for before a run folder is made."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            problem = "the package tensorboard is not installed. Install riverrun[tensorboard]."
            raise OptionError("tensorboard", problem) from None
        return SummaryWriter

    def __call__(self, event: Event) -> None:
        step = event.get("step", 0)
        for name, tag in _SCALARS.get(event["event"], {}).items():
            if event.get(name) is not None:
                self._writer.add_scalar(tag, event[name], step)
        if event["event"] == "sample":
            self._writer.add_text("sample", event["text"], step)
        if event["event"] == "end":
            self._writer.close()


_SCALARS: dict[str, dict[str, str]] = {
    "step": {
        "nats": "nats/train",
        "lr": "lr",
        "gradient_norm": "gradient_norm",
        "tokens_per_second": "tokens_per_second",
    },
    "evaluation": {"valid_nats": "nats/valid"},
}
