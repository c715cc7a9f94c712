"""Watching a run: a bar in a terminal, plain lines elsewhere, made from the events of `fit`."""

from __future__ import annotations

import math
import sys
import unicodedata
from collections.abc import Callable
from types import TracebackType
from typing import Any, TextIO

Event = dict[str, Any]
FIRST_LINE, LONGEST_PAUSE = 1.0, 30.0  # seconds between plain lines: each pause is 1.5 times the one before
SAMPLES = 30.0  # seconds between samples that are shown; the first and the last always are


class Progress:
    """Shows events: loss in nats, bits per character and perplexity, tokens a second, time left, samples.

    stream: where to; a bar where it is a terminal, else plain lines. Standard error by default.
    unit: what is counted, in the plural.
    characters: how many characters a token stands for, for the bits per character (1 for a character model); None:
        what is predicted is no text, and only nats are shown.
    keep: is given every plain line, for a transcript, bar or not.

    >>> import io
    >>> stream = io.StringIO()
    >>> Progress(stream)({"event": "evaluation", "step": 200, "seconds": 3.0, "valid_nats": 1.5, "best": True})
    >>> print(stream.getvalue().strip())
    step 200: validation 1.5000 nats, 2.164 bits/char, perplexity 4.48 (best so far)
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        unit: str = "tokens",
        characters: float | None = 1.0,
        keep: Callable[[str], None] | None = None,
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._unit, self._characters, self._keep = unit, characters, keep
        self._next_sample, self._sample = 0.0, ""  # one that has not been shown
        self._pause, self._next_line = FIRST_LINE, 0.0
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar off the screen's bottom; what it last showed stays."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __call__(self, event: Event) -> None:
        match event["event"]:
            case "start":
                self._start(event)
            case "step":
                self._step(event)
            case "evaluation":
                best = " (best so far)" if event.get("best") else ""
                self._line(f"step {event['step']:,}: validation {self.figures(event['valid_nats'])}{best}")
            case "sample":
                self._show(f"step {event['step']:,}: sample\n{printable(event['text'])}\n", event["seconds"])
            case "skipped":
                self._line(
                    f"step {event['step']:,}: batch at position {event['position']:,} skipped: loss {event['nats']}, "
                    f"gradient norm {event['gradient_norm']}".replace("None", "not finite")
                )
            case "warning" | "averaging":
                self._line(f"step {event['step']:,}: {event['text']}")
            case "end":
                self._end(event)

    def figures(self, nats: float | None) -> str:
        """A loss per token in nats, and of text in bits per character and as the perplexity of a token."""
        if nats is None:
            return "not finite"
        if self._characters is None:
            return f"{nats:.4f} nats"
        bits = nats / math.log(2) / self._characters
        perplexity = math.exp(min(nats, 700.0))
        return f"{nats:.4f} nats, {bits:.3f} bits/char, perplexity {perplexity:,.2f}"

    def _start(self, event: Event) -> None:
        verb = "resuming at" if event["resumed"] else "training from"
        self._line(
            f"{verb} step {event['step']:,}: {event['parameters']:,} parameters, {event['budget']}, "
            f"on {event['device']} in {event['precision']}: {event['precision_reason']}"
        )
        self._next_line = event["seconds"] + FIRST_LINE
        if self._stream.isatty():
            self._open_bar()

    def _step(self, event: Event) -> None:
        fraction = min(event["fraction"], 1.0)
        left = event["seconds"] * (1 - fraction) / fraction if fraction else 0.0
        text = (
            f"{self.figures(event['nats'])}, {event['tokens_per_second']:,.0f} {self._unit}/s, {clock(left)} left"
            if fraction < 1
            else f"{self.figures(event['nats'])}, {event['tokens_per_second']:,.0f} {self._unit}/s"
        )
        if self._bar is not None:
            self._bar.update(self._task, completed=fraction, step=f"{event['step']:,}", text=text)
        if event["seconds"] >= self._next_line or fraction >= 1:
            self._pause = min(1.5 * self._pause, LONGEST_PAUSE)
            self._next_line = event["seconds"] + self._pause
            self._line(f"step {event['step']:,} ({fraction:.0%}): {text}", shown=self._bar is not None)

    def _end(self, event: Event) -> None:
        self.close()
        if self._sample:
            self._print(self._sample)
        reason = {
            "budget": "the budget is used up",
            "patience": "validation no longer improves",
            "signal": "stopped by a signal; the run can be resumed",
        }[event["stopped"]]
        counted = f"{event['tokens']:,} {self._unit}"
        self._line(f"step {event['step']:,}: end after {clock(event['seconds'])} and {counted}: {reason}")

    def _show(self, sample: str, seconds: float) -> None:
        """A sample, kept for the end where another one has just been shown."""
        late = seconds >= self._next_sample
        self._sample = "" if late else sample
        self._next_sample = seconds + SAMPLES if late else self._next_sample
        self._line(sample, shown=not late)

    def _line(self, text: str, *, shown: bool = False) -> None:
        """A plain line; `shown` where the bar shows the same."""
        if self._keep is not None:
            self._keep(text)
        if not shown:
            self._print(text)

    def _print(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=self._stream, flush=True)

    def _open_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("step {task.fields[step]}"),
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            TextColumn("{task.fields[text]}"),
        )
        self._bar = Bar(*columns, console=Console(file=self._stream), refresh_per_second=4)
        self._task = self._bar.add_task("", total=1.0, step="0", text="")
        self._bar.start()


def clock(seconds: float) -> str:
    """`4:05`, or `1:04:05`.

    >>> clock(245), clock(3845)
    ('4:05', '1:04:05')
    """
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def printable(text: str) -> str:
    """The text without what a terminal would obey: control characters other than newline and tab become U+FFFD."""
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs") else "\ufffd" for c in text)
