"""Measure a model on held-out data, by the figures of its task, beside honest baselines.

  riverrun eval runs/plays              the run's own test part; eval/ and report.html are made anew
  riverrun eval runs/plays other.txt    other data, all of it; nothing is written
  riverrun eval runs/g2p --beam 1       written in another way than the run's: shown, and nothing is written

Figures come with a bootstrap interval; a language model's with the state carried and with the state reset.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from riverrun import tasks
from riverrun.cli.flags import Parser, add_json, add_settings, given_settings, whole
from riverrun.cli.voice import Voice
from riverrun.configuration import Schema
from riverrun.errors import UsageError

if TYPE_CHECKING:
    from riverrun.pipeline.opened import Opened
    from riverrun.tasks.task import Prepared

SUMMARY = "measure a model on held-out data, beside baselines"
# What says how data become a vocabulary and parts: of a trained model that is settled.
SPLIT = ("valid", "test", "valid_share", "test_share", "split_by")
VOCABULARY = (
    "vocabulary",
    "source_vocabulary",
    "target_vocabulary",
    "shared_vocabulary",
    "min_count",
    "vectors",
    "vectors_limit",
)
PARTS = (*SPLIT, *VOCABULARY, "tokens", "source_tokens", "target_tokens")


def add(parser: Parser) -> None:
    """The options of `riverrun eval`."""
    parser.add_argument("model", metavar="RUN", help="a run folder, or its model/ folder")
    parser.add_argument("data", nargs="*", metavar="DATA", help="data to measure on, instead of the run's test part")
    parser.add_argument(
        "--baselines",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="compute the baselines too (default: for the run's own test part)",
    )
    parser.add_argument(
        "--window", default="", metavar="N", help="lm: tokens after which the state is reset (default: as in training)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default auto)")
    parser.add_argument("--threads", default="0", metavar="N", help="CPU threads (0: torch's choice)")
    add_json(parser)
    add_settings(parser, _schemas(), leave_out=PARTS)


def _schemas() -> dict[str, Schema]:
    """Of every task, how DATA is read, and how a model writes for it."""
    asked = ("data", "decoding")
    return {
        task: {name: sections[name] for name in asked if name in sections} for task, sections in tasks.schemas().items()
    }


def run(arguments: argparse.Namespace) -> int:
    """Evaluate and show."""
    threads = whole(arguments.threads, "--threads", least=0)
    window = whole(arguments.window, "--window", least=1) if arguments.window else 0
    from riverrun.pipeline import finish, opened

    voice = Voice(json=arguments.json)
    model = opened.open_model(Path(arguments.model), device=arguments.device, threads=threads, warn=voice.say)
    before = model.sections
    sections = dict(before)
    if window:
        if not hasattr(sections["training"], "window"):
            raise UsageError(f"--window: not an option of task {model.task.name}.")
        sections["training"] = replace(sections["training"], window=window)
    layers = given_settings(vars(arguments), model.task.name, _schemas())
    given = layers.get("data", {})
    if "decoding" in layers:
        sections["decoding"] = replace(sections["decoding"], **layers["decoding"])
    model = model._replace(sections=sections)
    if not arguments.data:
        if given:
            raise UsageError(f"--{next(iter(given)).replace('_', '-')}: says how DATA is read, and there is none.")
        own = all(sections[name] == before[name] for name in ("training", "decoding") if name in sections)
        prepared = opened.data_of(model)
        assert model.run is not None
        baselines, training = arguments.baselines is not False, sections["training"]
        facts = (
            finish.judge(
                model.task.name, model.run, model.model, prepared, training=training, say=voice.say, baselines=baselines
            )
            if own
            else _measured(model, prepared, training, voice, baselines)
        )
        voice.result({"run": str(model.run.path), **facts})
        return 0
    if arguments.baselines and model.run is None:
        raise UsageError("--baselines: a model folder does not hold the training data: give the run folder.")
    sections["data"] = replace(sections["data"], **{"valid": "", "test": "", **given})
    corpus = model.task.read(arguments.data, sections["data"])
    beside = opened.data_of(model) if arguments.baselines else None
    metrics = model.task.measure_other(model.model, model.coder, sections, corpus, say=voice.say, beside=beside)
    metrics["part"] = "given"
    voice.result({"files": [file._asdict() for file in corpus.files], "metrics": metrics})
    return 0


def _measured(model: Opened, prepared: Prepared, training: Any, voice: Voice, baselines: bool) -> dict[str, Any]:
    """The metrics alone: what the run folder holds stays that of the run's own options."""
    metrics = model.task.measure(model.model, prepared, training=training, say=voice.say, baselines=baselines)
    voice.say("not by the run's own options: its eval/ and report.html are left as they are.")
    return {"metrics": metrics}
