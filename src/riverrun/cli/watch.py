"""watch: what a terminal shows of a run, what its log keeps, and what happens when it ends. For train and resume."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from riverrun import tasks
from riverrun.cli.voice import Voice
from riverrun.pipeline.finish import finish
from riverrun.pipeline.train import Assembled, Trained, recorders
from riverrun.run import RunFolder
from riverrun.training import distributed
from riverrun.training.log import fan_out
from riverrun.training.progress import Progress

INTERRUPTED = 130
LARGE = 50_000_000  # bytes of a corpus whose reading is shown
Events = Callable[[dict[str, Any]], None]


class Watcher:
    """Shows and records the events of one run."""

    def __init__(self, voice: Voice) -> None:
        self.voice = voice
        self.progress: Progress | None = None
        self._reading = Reading(voice.stream, voice.say)

    def events(self, assembled: Assembled, run: RunFolder | None) -> Events | None:
        """The receiver of events: terminal, transcript, log.jsonl, TensorBoard where asked for."""
        self._reading.close()
        if distributed.ranks().rank != 0:
            return None  # rank 0 speaks for all
        self.progress = Progress(
            self.voice.stream,
            unit=tasks.find(assembled.configuration.task).unit,
            characters=assembled.prepared.characters,
            keep=self.voice.keep,
        )
        if run is None:
            return self.progress
        self.voice.say(f"run        {run.path}")
        self.voice.record(run.transcript)
        return fan_out(*recorders(assembled, run), self.progress)

    def reading(self, done: int, total: int) -> None:
        """Tells how much of a large corpus has been read."""
        if distributed.ranks().rank == 0:
            self._reading(done, total)

    def finish(self, trained: Trained, *, baselines: bool) -> int:
        """After training: evaluation, baselines, sample, report, unless a signal stopped it; returns the exit code."""
        rank = distributed.ranks().rank
        distributed.disconnect()  # the rest is rank 0's alone, and must wait for nobody
        if rank != 0:
            return INTERRUPTED if trained.result.stopped == "signal" else 0
        assert trained.run is not None
        facts: dict[str, Any] = {
            "run": str(trained.run.path),
            "stopped": trained.result.stopped,
            "steps": trained.result.steps,
            tasks.find(trained.configuration.task).unit: trained.result.tokens,
            "seconds": trained.result.seconds,
            "nats": trained.result.nats,
        }
        if trained.result.stopped == "signal":
            self.voice.say(f"saved. Go on with: riverrun resume {trained.run.path}")
            self.voice.result(facts)
            return INTERRUPTED
        try:
            facts |= finish(trained, say=self.voice.say, baselines=baselines)
        except KeyboardInterrupt:
            run = trained.run.path
            self.voice.say(f"interrupted. The model is in {trained.run.model}; measure it with: riverrun eval {run}")
            return INTERRUPTED
        self.voice.result(facts)
        return 0


class Reading:
    """How far a large corpus has been read: a bar in a terminal, else a line every tenth."""

    def __init__(self, stream: TextIO, say: Callable[[str], None]) -> None:
        self._stream, self._say = stream, say
        self._told = 0.0
        self._bar: Any = None
        self._task: Any = None

    def __call__(self, done: int, total: int) -> None:
        """`done` of `total` bytes have been read; starts anew where a file is read once more."""
        if total < LARGE:
            return
        if self._stream.isatty():
            self._show(done, total)
        elif done / total >= self._told + 0.1 or done / total < self._told:
            self._told = done / total
            self._say(f"reading    {done / total:.0%} of {total / 1e6:,.0f} MB")

    def close(self) -> None:
        """Take the bar off the screen."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _show(self, done: int, total: int) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("reading   "), BarColumn(bar_width=20), DownloadColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(file=self._stream), refresh_per_second=4)
            self._task = self._bar.add_task("", total=total)
            self._bar.start()
        self._bar.update(self._task, completed=done, total=total)
        if done >= total:
            self.close()


@contextmanager
def watch(voice: Voice) -> Iterator[Watcher]:
    """A watcher whose bar is taken off the screen whatever happens."""
    watcher = Watcher(voice)
    try:
        yield watcher
    finally:
        watcher._reading.close()
        if watcher.progress is not None:
            watcher.progress.close()
