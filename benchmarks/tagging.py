"""Tagging measured on a treebank's official split: accuracy by epoch, then the test part beside baselines.

    python benchmarks/tagging.py FOLDER                        # *-train, *-dev and *-test.conllu[.gz] in it
    python benchmarks/tagging.py FOLDER --column xpos --crf    # options of `riverrun train` by their flags
    python benchmarks/tagging.py FOLDER --no-baselines

Nothing is chosen by the test part; the weights that are best on the dev part, by its loss, are judged. Prints a line an
epoch, and at the end one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from riverrun import configuration, presets, tasks
from riverrun.combinations import acting
from riverrun.tasks.measures import tagging
from riverrun.tasks.tags.work import nats, tag
from riverrun.training.hardware import choose_device, choose_precision
from riverrun.training.loop import fit

TASK = tasks.find("tag")


def part(folder: Path, name: str) -> str:
    """The one file of a part."""
    found = sorted(folder.glob(f"*-{name}.conllu*"))
    if len(found) != 1:
        raise SystemExit(f"{folder}: expected one *-{name}.conllu or .conllu.gz, found {len(found)}.")
    return str(found[0])


def sections(preset: str, given: dict[str, Any]) -> dict[str, Any]:
    """The options of a run: the preset's, and what was given."""
    values = configuration.from_names(TASK.sections, given)
    layers = [presets.find(preset, "tag").values, values]
    return configuration.resolve(TASK.sections, acting(TASK.sections, configuration.merge(TASK.sections, *layers)))


def run(options: dict[str, Any], files: dict[str, str], *, baselines: bool) -> dict[str, Any]:
    """Train, telling accuracy by epoch; the figures of the test part."""
    began = time.perf_counter()
    prepared = TASK.prepare(TASK.read([files["train"]], options["data"]), options)
    training = options["training"]
    steps = math.ceil(len(prepared.train.lengths) / training.batch)
    training = replace(training, evaluate_every=training.evaluate_every or steps)
    torch.manual_seed(training.seed)
    model = TASK.model(options["model"], prepared.coder)
    device = choose_device(training.device)
    precision = choose_precision(training.precision, device, rows=training.rows, ragged=training.ragged)
    print("\n".join(prepared.lines()))
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {precision.name}, {steps} steps an epoch")
    curve: list[dict[str, float]] = []
    start = time.perf_counter()

    def evaluate() -> float:
        found = [one.tags[0] for one in tag(model, prepared.coder, prepared.valid)]
        result = tagging.judged(prepared.splits.valid, found, prepared.coder.saw, spans=bool(prepared.coder.scheme))
        figures = {figure["name"]: figure["value"] for figure in tagging.figures(result)}
        loss, seconds = nats(model, prepared.valid), time.perf_counter() - start
        curve.append({"seconds": round(seconds, 1), "nats": loss, **figures})
        shown = ", ".join(f"{name} {100 * value:.2f} %" for name, value in figures.items() if value is not None)
        print(f"{seconds:6.0f} s  evaluation {len(curve):3}  dev: {loss:.4f} nats, {shown}", flush=True)
        return loss

    result = fit(model, TASK.batches(prepared, training), training, evaluate=evaluate)
    model.load_state_dict(result.weights)
    model.eval()
    metrics = TASK.measure(model, prepared, training=training, say=print, baselines=baselines)
    return {
        "files": files,
        "model": options["model"].words(),
        "threads": torch.get_num_threads(),
        "precision": precision.name,
        "steps": result.steps,
        "best_step": result.best_step,
        "seconds_of_training": round(result.seconds, 1),
        "seconds_in_all": round(time.perf_counter() - began, 1),
        "words_per_second": round(result.tokens / result.seconds),
        "curve": curve,
        "figures": metrics["figures"],
        "baselines": metrics["baselines"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--preset", default="default")
    parser.add_argument("--no-baselines", action="store_true")
    arguments, flags = parser.parse_known_args()
    files = {name: part(arguments.folder, name) for name in ("train", "dev", "test")}
    given: dict[str, Any] = {"valid": files["dev"], "test": files["test"]}
    while flags:
        name = flags.pop(0).removeprefix("--").replace("-", "_")
        given[name] = flags.pop(0) if flags and not flags[0].startswith("--") else True
    for name in [name for name in given if name.startswith("no_")]:
        given[name.removeprefix("no_")] = not given.pop(name)
    print(json.dumps(run(sections(arguments.preset, given), files, baselines=not arguments.no_baselines), indent=1))


if __name__ == "__main__":
    main()
