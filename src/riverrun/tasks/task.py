"""The contract of a task: one frozen declaration, read by the command line, the estimators, the docs and the tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class Metric(NamedTuple):
    """A figure that the task is judged by. name: its key in eval/metrics.json. better: "lower" or "higher"."""

    name: str
    unit: str
    better: str


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a job consists of, from the file to the report, in the order in which data meet it.

    A task is declared once, in a file of its own. The functions import what they need when they are called, so that
    reading a declaration (for `--help`) needs no torch.
    """

    name: str
    """As `--task` takes it."""
    summary: str
    """One line for `--help` and the docs."""
    sections: Mapping[str, type]
    """Section of run.toml -> its frozen options dataclass: the single source of flags, TOML, docs and defaults."""
    infer: Callable[[Sequence[str]], str | None]
    """paths -> the sentence why they are this task's data, or None where they are not."""
    read: Callable[..., Any]
    """(paths, data options) -> the corpus."""
    encode: Callable[..., Any]
    """(corpus, tokenizer, folder, progress) -> tokens."""
    batch: Callable[..., Any]
    """(tokens, training options, rank=, world=) -> an endless source of batches, with its cursor."""
    model: Callable[..., Any]
    """(model options, vocabulary, cell=) -> the module, whose `loss(batch, state)` is what training lowers."""
    metrics: tuple[Metric, ...]
    """What is measured; the first is the one that early stopping and comparisons use."""
    evaluate: Callable[..., Any]
    """(model, tokens, tokenizer, window=) -> the metrics, with intervals."""
    baselines: Callable[..., Any]
    """(splits, tokenizer, seconds=) -> an iterator of honest baselines, each with its interval and its seconds."""
    decode: Callable[..., Any]
    """(model, state, prompt, length, ...) -> what the model writes, piece by piece."""
    report: tuple[str, ...]
    """The parts of report.html, in order."""
