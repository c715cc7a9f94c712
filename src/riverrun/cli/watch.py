"""watch: what a terminal shows of a run, what its log keeps, and what happens when it ends. For train and resume."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from riverrun.cli.voice import Voice
from riverrun.pipeline.finish import finish
from riverrun.pipeline.train import Assembled, Trained, characters_per_token
from riverrun.run import RunFolder
from riverrun.training import distributed
from riverrun.training.log import Log, TensorBoard, fan_out
from riverrun.training.progress import Progress

INTERRUPTED = 130
Events = Callable[[dict[str, Any]], None]


class Watcher:
    """Shows and records the events of one run."""

    def __init__(self, voice: Voice) -> None:
        self.voice = voice
        self.progress: Progress | None = None
        self._read = 0.0

    def events(self, assembled: Assembled, run: RunFolder | None) -> Events | None:
        """The receiver of events: terminal, transcript, log.jsonl, TensorBoard where asked for."""
        if distributed.ranks().rank != 0:
            return None  # rank 0 speaks for all
        self.progress = Progress(
            self.voice.stream, characters=characters_per_token(assembled.prepared), keep=self.voice.keep
        )
        if run is None:
            return self.progress
        self.voice.say(f"run        {run.path}")
        self.voice.record(run.transcript)
        sinks: list[Events] = [Log(run.log), self.progress]
        if assembled.configuration.sections["training"].tensorboard:
            sinks.append(TensorBoard(run.path / "tensorboard"))
        return fan_out(*sinks)

    def reading(self, done: int, total: int) -> None:
        """Tells how much of a large corpus has been read: a line every tenth."""
        share = done / total if total else 1.0
        if total > 50_000_000 and (share >= self._read + 0.1 or share < self._read):
            self._read = share
            self.voice.say(f"reading    {share:.0%} of {total / 1e6:,.0f} MB")

    def finish(self, trained: Trained, *, baselines: bool) -> int:
        """After training: evaluation, baselines, sample, report, unless a signal stopped it; returns the exit code."""
        if distributed.ranks().rank != 0:
            return INTERRUPTED if trained.result.stopped == "signal" else 0
        assert trained.run is not None
        facts: dict[str, Any] = {
            "run": str(trained.run.path),
            "stopped": trained.result.stopped,
            "steps": trained.result.steps,
            "tokens": trained.result.tokens,
            "seconds": trained.result.seconds,
            "nats": trained.result.nats,
        }
        if trained.result.stopped == "signal":
            self.voice.say(f"saved. Go on with: riverrun resume {trained.run.path}")
            self.voice.result(facts)
            return INTERRUPTED
        facts |= finish(trained, say=self.voice.say, baselines=baselines)
        self.voice.result(facts)
        return 0


@contextmanager
def watch(voice: Voice) -> Iterator[Watcher]:
    """A watcher whose bar is taken off the screen whatever happens."""
    watcher = Watcher(voice)
    try:
        yield watcher
    finally:
        if watcher.progress is not None:
            watcher.progress.close()
