"""A run folder, read as far as it is there: a report is made from nothing else, at any time, on any machine.

A run may be young, killed, or made by another version, so nothing is required: what is missing or unreadable is named
in `missing`, with the way to get it.

What a task writes into eval/ for its report. Every file is one JSON object; a key with "?" may be left out; text is
plain text and may hold anything. Instead of what it should hold, a file may say why there is nothing to show:
{"absent": "This model has no attention."}; the report passes that sentence on.

metrics.json       {"task", "part": "test", "count": how many were judged, "figures": [FIGURE, ...], "baselines":
                   [{"name", "figures": [FIGURE, ...], "seconds": made in, or null, "note", "limit"?: what it may learn
                   from at most}, ...], "unit"?: noun of one prediction ("label", "word", "phoneme"), "of"?: what
                   `count` counts, in the plural ("names"), "loss"?: nats per prediction of this part, which the curves
                   are compared with, "remarks"?: [further sentences]}
    FIGURE         {"name", "value": x or null, "low", "high": 95 % interval, or null, "unit", "better": "higher" or
                   "lower"}. The first one is compared; baselines have the same names. unit "share": the value is from
                   0 to 1 and shown in per cent; "" (F1, BLEU): as it is; anything else is written behind it ("nats").
confusion.json     {"labels": [...], "counts": [[int]]: row = true, column = predicted, "of"?: "words"}. For several
                   labels a text instead of counts "yes_no": [[true and predicted, predicted only, true only, neither]
                   of each label].
calibration.json   {"bins": [{"low", "high": edges of the bin from 0 to 1, "count", "confidence": the mean probability
                   of what was predicted, or null where count is 0, "accuracy": share of it that was right, or null},
                   ...], "ece": expected calibration error from 0 to 1}
mistakes.json      {"items": [{"text", "at"?: [begin, end] of the characters of text that are meant, "expected",
                   "predicted": text, or a list of texts (several labels, several references), "probability"?: of what
                   was predicted, or null, "file"?: "name:line"}, ...], "count"?: how many there are}, the worst first.
importance.json    {"method": ["attention", "gradient"], one or both, "correlation": mean rank correlation of the two
                   over the items or a larger set, or null, "joint"?: what stands between two tokens, " " where absent,
                   "items": [{"label": true, "predicted", "tokens": [...], "attention": [weight of each token] or null,
                   "gradient": [of each token, > 0 where it speaks for what was predicted, < 0 against] or null}, ...]}
lengths.json       {"unit": what is counted ("source words"), "rows": [{"low", "high": lengths, both included, high null
                   for "and more", "count", "figures": {name: x, or {"value", "low", "high"}}}, ...]}; names as in
                   metrics.json, from where unit and direction are taken.
alignments.json    {"items": [{"source": [...], "target": [...], "weights": [[share of each source token] of each
                   target token]}, ...]}
surprise.json      {"tokens", "nats": [of each, null where not predicted], "top"?: [[[token, chance], ...] of each]}
novelty.json       {"unit", "text", "sample" and "held_out": {"longest": {"length", "in_sample"}, "new": {n: share}}}

Of data.json it reads "unit" (as above), "parts": {"train": {noun in the plural: how many, ...}, ...} and "files".
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from riverrun import tasks
from riverrun.errors import DataError

Event = Mapping[str, Any]

DEFAULT_TASK = "lm"  # of folders that do not say
RESULTS = {
    "metrics": "the result on held-out data and the baselines",
    "surprise": "held-out text coloured by surprise",
    "novelty": "how much of a sample was copied",
    "confusion": "what is taken for what",
    "calibration": "whether its probabilities can be believed",
    "mistakes": "the worst mistakes",
    "importance": "which tokens mattered",
    "lengths": "the result by length",
    "alignments": "what it looked at for each word it wrote",
}
"""What eval/NAME.json shows. It is asked for where a part of the report is called NAME; metrics.json always."""


class Missing(NamedTuple):
    """Something that the report would show if it were there."""

    file: str
    shows: str
    remedy: str


class Sample(NamedTuple):
    """A text that the model wrote: after which step (None: not known), and what it is called."""

    step: int | None
    name: str
    text: str


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What a run folder says. Empty mappings and sequences stand for what it does not."""

    path: Path
    task: str
    kind: str  # what the task makes, as a title says it: "language model"
    parts: Sequence[str]  # of the report, in order
    steps: Sequence[Event]  # one an optimiser step that was logged, in order, a resumed run's repeats dropped
    evaluations: Sequence[Event]
    skipped: Sequence[Event]
    started: Event
    ended: Event
    samples: Sequence[Sample]
    data: Mapping[str, Any]
    environment: Mapping[str, Any]
    configuration: Mapping[str, Any]
    configuration_text: str
    model: Mapping[str, Any]
    results: Mapping[str, Mapping[str, Any]]  # by name: what eval/NAME.json holds
    missing: Sequence[Missing]

    def result(self, name: str) -> Mapping[str, Any]:
        """What eval/NAME.json holds; empty where it is not there, or says why there is nothing to show."""
        content = self.results.get(name, {})
        return {} if "absent" in content else content

    @property
    def metrics(self) -> Mapping[str, Any]:
        """What eval/metrics.json holds."""
        return self.result("metrics")

    @property
    def name(self) -> str:
        """The run's name: its folder's."""
        return self.path.resolve().name

    @property
    def unit(self) -> str:
        """The noun of one token: character, byte, word or token."""
        unit = self.metrics.get("unit") or self.data.get("unit")
        return unit if isinstance(unit, str) else "token"

    @property
    def last_step(self) -> int | None:
        """How many optimiser steps were taken, as far as it is logged."""
        found = [n for n in (number(self.ended.get("step")), _last(self.steps, "step")) if n is not None]
        return int(max(found)) if found else None

    @property
    def seconds(self) -> float | None:
        """How long training took, evaluation and earlier parts of a resumed run included, as far as it is logged."""
        found = [n for n in (number(self.ended.get("seconds")), _last(self.steps, "seconds")) if n is not None]
        return max(found) if found else None


def read_run(path: Path, parts: Sequence[str] | None = None) -> RunRecord:
    """Read a run folder. Raises DataError where `path` is no folder; everything else is told by `missing`.

    parts: of the report; None: those that the run's task names.
    """
    if not path.is_dir():
        raise DataError(f"{path}: not a folder. Expected a run folder, as `riverrun train` makes it.")
    missing: list[Missing] = []
    begins, evaluate = "it is written when a run begins", f"riverrun eval {path}"
    log = _read_log(path, missing)
    steps = _in_order([event for event in log if event.get("event") == "step"])
    configuration_text = _text(path, "run.toml", "the configuration", begins, missing)
    try:
        configuration = tomllib.loads(configuration_text)
    except tomllib.TOMLDecodeError as error:
        configuration = {}
        missing.append(Missing("run.toml", "the configuration", f"not readable as TOML ({error})"))
    data = _json(path, "data.json", "what the data were and how they were split", begins, missing)
    task = next((name for of in (configuration, data) if isinstance(name := of.get("task"), str)), DEFAULT_TASK)
    kind, named = _declared(task, path)
    parts = named if parts is None else parts
    samples = _samples(path, log, missing)
    if not samples and "samples" in parts:
        remedy = f"riverrun sample {path}" if task == DEFAULT_TASK else "it is written while a run trains"
        missing.append(Missing("samples/", "what the model wrote", remedy))
    environment = _json(path, "env.json", "versions, device and the kernel chosen", begins, missing)
    model = _json(path, "model/config.json", "the model's size", "it is written when training ends", missing)
    results = {
        name: _json(path, f"eval/{name}.json", shows, evaluate, missing)
        for name, shows in RESULTS.items()
        if name in parts or name == "metrics"
    }
    return RunRecord(
        path=path,
        task=task,
        kind=kind,
        parts=parts,
        steps=steps,
        evaluations=_in_order([event for event in log if event.get("event") == "evaluation"]),
        skipped=[event for event in log if event.get("event") == "skipped"],
        started=next((event for event in log if event.get("event") == "start"), {}),
        ended=next((event for event in reversed(log) if event.get("event") == "end"), {}),
        samples=samples,
        data=data,
        environment=environment,
        configuration=configuration,
        configuration_text=configuration_text,
        model=model,
        results=results,
        missing=missing,
    )


def _declared(name: str, path: Path) -> tuple[str, Sequence[str]]:
    """The kind of a task and the parts of its report; of a task of another version, the parts that it has files for."""
    for task in tasks.all_tasks():
        if task.name == name:
            return re.sub(r"^an? ", "", task.summary.split(":")[0]), task.report
    return name, ("scores", "curves", "baselines", *(of for of in RESULTS if (path / "eval" / f"{of}.json").is_file()))


def number(value: Any) -> float | None:
    """`value` as a finite float, or None: JSON written by Python may hold NaN, Infinity, null or text.

    >>> number(2), number("2"), number(float("nan")), number(True)
    (2.0, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def pairs(events: Sequence[Event], x: str, y: str) -> list[tuple[float, float]]:
    """The points (x, y) of the events in which both are finite numbers."""
    found = [(number(event.get(x)), number(event.get(y))) for event in events]
    return [(a, b) for a, b in found if a is not None and b is not None]


def _last(events: Sequence[Event], key: str) -> float | None:
    return max((n for n in (number(event.get(key)) for event in events) if n is not None), default=None)


def _in_order(events: Sequence[Event]) -> list[Event]:
    """By step, one event a step: after a crash and `resume`, the steps since the checkpoint are logged twice."""
    by_step = {step: event for event in events if (step := number(event.get("step"))) is not None}
    return [by_step[step] for step in sorted(by_step)]


def _text(path: Path, name: str, shows: str, remedy: str, missing: list[Missing]) -> str:
    try:
        return (path / name).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        missing.append(Missing(name, shows, remedy))
    except OSError as error:
        missing.append(Missing(name, shows, f"it cannot be read ({error.strerror})"))
    return ""


def _json(path: Path, name: str, shows: str, remedy: str, missing: list[Missing]) -> Mapping[str, Any]:
    before = len(missing)
    text = _text(path, name, shows, remedy, missing)
    if len(missing) > before:
        return {}
    try:
        content = json.loads(text)
    except ValueError as error:
        missing.append(Missing(name, shows, f"it is not JSON ({error})"))
        return {}
    if not isinstance(content, dict):
        missing.append(Missing(name, shows, "it is not a JSON object"))
        return {}
    return content


def _read_log(path: Path, missing: list[Missing]) -> list[Event]:
    text = _text(path, "log.jsonl", "the curves of training", "it is written while a run trains", missing)
    events: list[Event] = []
    broken = 0
    for line in text.splitlines():
        if not line.strip():
            continue
        try:
            event = json.loads(line)
        except ValueError:
            broken += 1
            continue
        if isinstance(event, dict):
            events.append(event)
    if broken > 1:  # one is the line that a killed process was writing
        missing.append(Missing("log.jsonl", "the whole of the curves", f"{broken} of its lines are not JSON"))
    return events


def _samples(path: Path, log: Sequence[Event], missing: list[Missing]) -> list[Sample]:
    """From the log and from samples/, each text once, by step; those whose step is not known come last."""
    samples: dict[str, Sample] = {}
    for event in log:
        step, text = number(event.get("step")), event.get("text")
        if event.get("event") == "sample" and isinstance(text, str) and text.strip():
            samples[text.strip()] = Sample(None if step is None else int(step), "", text)
    folder = path / "samples"
    for file in sorted(folder.glob("*.txt")) if folder.is_dir() else []:
        text = _text(path, f"samples/{file.name}", "a sample", "", missing)
        digits = re.search(r"\d+", file.stem)
        if text.strip() and text.strip() not in samples:
            samples[text.strip()] = Sample(int(digits[0]) if digits else None, file.stem, text)
    return sorted(samples.values(), key=lambda s: (s.step is None, s.step or 0))
