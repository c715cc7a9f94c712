"""Sentence polarity in ten-fold cross-validation: riverrun's classifier, words from scratch, beside its baselines.

10,662 film-review sentences, half of them positive (Pang and Lee 2005). Published, words from scratch: Kim (2014), a
convolutional network with random vectors, 76.1 %. As there, each fold is tested once, and a tenth of the other nine
selects the weights to keep. A sentence's fold is its rank by SHA-256 within its label, modulo ten; equal sentences lie
in one fold.

    python benchmarks/polarity.py ZIP [--folds-run 10] [--threads N] [--seed 0] [--no-baselines] [--set key=value ...]
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from riverrun import configuration, tasks
from riverrun.data.labelled import Example, read
from riverrun.data.labelled_split import digest
from riverrun.tasks.labels.prepare import prepare
from riverrun.tasks.labels.results import decided, judged, scores
from riverrun.tasks.measures.classification_baselines import baselines
from riverrun.training.loop import fit

FOLDS = 10


def folds(examples: Sequence[Example]) -> list[int]:
    """The fold of each example: its text's rank by SHA-256 among the texts of its label, modulo ten."""
    texts: dict[str, set[str]] = defaultdict(set)
    for example in examples:
        texts[example.labels[0]].add(example.text)
    fold: dict[str, int] = {}
    for label in sorted(texts):
        for rank, text in enumerate(sorted(texts[label], key=digest)):
            fold.setdefault(text, rank % FOLDS)
    return [fold[example.text] for example in examples]


def parted(examples: Sequence[Example], numbers: Sequence[int], tested: int) -> list[Example]:
    """The examples with the parts of one round: a fold to test, and a tenth of the others, by hash, to select on."""
    found = []
    for example, number in zip(examples, numbers, strict=True):
        selects = digest(example.text)[-1] < 26  # the last byte has nothing to do with the ranks
        found.append(example._replace(part="test" if number == tested else "valid" if selects else "train"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zip", help="the archive with rt-polarity.pos and rt-polarity.neg, or a folder of both")
    parser.add_argument("--folds-run", type=int, default=FOLDS, help="so many of the ten folds")
    parser.add_argument("--preset", default="polarity")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--baselines", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of run.toml")
    given = parser.parse_args()
    task = tasks.find("classify")
    preset = next(preset for preset in task.presets if preset.name == given.preset)
    asked = configuration.from_names(task.sections, dict(pair.split("=", 1) for pair in given.set))
    sections = configuration.resolve(task.sections, preset.values, asked)
    training = replace(sections["training"], threads=given.threads, seed=given.seed)
    corpus = read([given.zip], sections["data"])
    numbers = folds(corpus.examples)
    tables: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for tested in range(min(given.folds_run, FOLDS)):
        prepared = prepare(
            replace(corpus, examples=parted(corpus.examples, numbers, tested)), sections["data"], select=True
        )
        began = time.perf_counter()
        torch.manual_seed(given.seed)
        model = task.model(sections["model"], prepared.coder)
        batches = task.batches(prepared, training)
        result = fit(model, batches, training, evaluate=lambda m=model, p=prepared: task.validate(m, p))
        model.load_state_dict(result.weights)
        seconds = time.perf_counter() - began

        def judge(predicted: Any, examples: Sequence[Example], coder: Any = prepared.coder) -> Any:
            return judged(predicted, examples, coder)

        shown = []
        for name, part in (("valid", prepared.valid), ("test", prepared.test)):
            predicted = decided(scores(model, part).probabilities, "one")
            shown.append(f"{name} {np.mean(predicted == part.targets):.4f}")
            if name == "test":
                tables["riverrun"].append((int((predicted == part.targets).sum()), len(predicted)))
        print(
            f"fold {tested}: {', '.join(shown)}; {seconds:.1f} s, {result.steps} steps, best at {result.best_step} "
            f"({result.best:.4f})",
            flush=True,
        )
        if given.baselines:
            parts = [part.examples for part in (prepared.train, prepared.valid, prepared.test)]
            for row in baselines(*parts, prepared.coder.labels, judge):
                count = len(parts[2])
                tables[row["name"]].append((round(row["figures"][0]["value"] * count), count))
                print(f"    {row['name']}: {row['figures'][0]['value']:.4f} ({row['seconds']:.1f} s)", flush=True)
    facts = {}
    for name, table in tables.items():
        each = np.array([right / count for right, count in table])
        facts[name] = {"accuracy": sum(r for r, _ in table) / sum(c for _, c in table), "folds": each.tolist()}
        spread = f", standard deviation over folds {each.std(ddof=1):.4f}" if len(each) > 1 else ""
        print(f"{name:<30} {facts[name]['accuracy']:.4f} in {len(each)} folds{spread}")
    print(json.dumps({"preset": given.preset, "set": given.set, "seed": given.seed, **facts}))


if __name__ == "__main__":
    main()
