"""Made-up run folders of the tasks that label, tag and translate: what their evaluation writes, complete and small."""

from __future__ import annotations

import json
import math
from typing import Any

from inspection import folder

PARTS = {
    "classify": ("scores", "curves", "baselines", "confusion", "calibration", "mistakes", "importance"),
    "tag": ("scores", "curves", "baselines", "confusion", "mistakes"),
    "seq2seq": ("scores", "curves", "baselines", "lengths", "alignments", "mistakes", "samples"),
}


def figure(name: str, value: float | None, *, unit: str = "share", better: str = "higher", wide: float = 0.01) -> Any:
    low, high = (None, None) if value is None else (value - wide, value + wide)
    return {"name": name, "value": value, "low": low, "high": high, "unit": unit, "better": better}


def baseline(name: str, *figures: Any, seconds: float | None = 2.0, note: str = "") -> Any:
    return {"name": name, "figures": list(figures), "seconds": seconds, "note": note}


def classify_metrics() -> dict[str, Any]:
    return {
        "task": "classify", "part": "test", "count": 2010, "unit": "name", "of": "names", "loss": 0.52,
        "figures": [figure("accuracy", 0.84), figure("macro-F1", 0.585, unit="", wide=0.03)],
        "baselines": [
            baseline("majority", figure("accuracy", 0.468), figure("macro-F1", 0.035, unit="", wide=0.001)),
            baseline("logistic regression", figure("accuracy", 0.8), figure("macro-F1", 0.6, unit="", wide=0.03),
                     note="on 1- to 4-grams"),
            baseline("naive Bayes", figure("accuracy", 0.75), seconds=None),
        ],
    }  # fmt: skip


def confusion() -> dict[str, Any]:
    return {"labels": ["Arabic", "Czech", "Dutch"], "counts": [[90, 8, 2], [10, 30, 10], [0, 0, 50]], "of": "names"}


def calibration() -> dict[str, Any]:
    bins: list[dict[str, Any]] = [
        {"low": k / 10, "high": (k + 1) / 10, "count": 0, "confidence": None, "accuracy": None} for k in range(10)
    ]
    bins[6].update(count=100, confidence=0.65, accuracy=0.55)
    bins[9].update(count=300, confidence=0.97, accuracy=0.9)
    return {"bins": bins, "ece": 0.0775}


def mistakes() -> dict[str, Any]:
    return {
        "items": [
            {"text": "Abl", "expected": "Czech", "predicted": "Arabic", "probability": 0.987, "file": "names.tsv:41"},
            {"text": "Smit", "expected": "Dutch", "predicted": "Czech", "probability": 0.61},
        ]
    }


def importance() -> dict[str, Any]:
    item = {"label": "good", "predicted": "bad", "tokens": ["a", "dull", "film"]}
    return {
        "method": ["attention", "gradient"],
        "correlation": 0.61,
        "items": [{**item, "attention": [0.1, 0.8, 0.1], "gradient": [0.05, 0.4, -0.2]}],
    }


def seq2seq_metrics() -> dict[str, Any]:
    return {
        "task": "seq2seq", "part": "test", "count": 500, "unit": "phoneme", "of": "words",
        "figures": [
            figure("word error rate", 0.31, better="lower"), figure("BLEU", 31.24, unit="", wide=1.0),
        ],
        "baselines": [baseline("copy", figure("word error rate", 1.0, better="lower", wide=0.0))],
    }  # fmt: skip


def lengths() -> dict[str, Any]:
    return {
        "unit": "source words",
        "rows": [
            {"low": 1, "high": 5, "count": 200, "figures": {"BLEU": {"value": 40.0, "low": 37.0, "high": 43.0}}},
            {"low": 6, "high": 10, "count": 180, "figures": {"BLEU": {"value": 32.0, "low": 30.0, "high": 34.0}}},
            {"low": 11, "high": None, "count": 120, "figures": {"BLEU": 20.5}},
        ],
    }


def alignments() -> dict[str, Any]:
    return {
        "items": [
            {"source": ["le", "chat", "dort"], "target": ["the", "cat", "sleeps", "</s>"],
             "weights": [[0.9, 0.1, 0.0], [0.05, 0.9, 0.05], [0.0, 0.2, 0.8], [0.1, 0.1, 0.8]]},
        ]
    }  # fmt: skip


def tag_metrics() -> dict[str, Any]:
    return {
        "task": "tag", "part": "test", "count": 25_094, "unit": "word", "of": "words",
        "figures": [figure("accuracy", 0.941, wide=0.003), figure("unknown-word accuracy", 0.79, wide=0.02)],
        "baselines": [baseline("most frequent tag", figure("accuracy", 0.862, wide=0.004))],
    }  # fmt: skip


def files(task: str) -> dict[str, str]:
    """Every file that a report of the task reads, by its path in the run folder."""
    contents = {name: text for name, text in folder.files().items() if not name.startswith("eval/")}
    contents["run.toml"] = f'task = "{task}"\n' + contents["run.toml"]
    contents["log.jsonl"] = "".join(json.dumps(event) + "\n" for event in folder.log())
    unit = {"classify": "name", "tag": "word", "seq2seq": "phoneme"}[task]
    noun = {"classify": "names", "tag": "sentences", "seq2seq": "pairs"}[task]
    contents["data.json"] = json.dumps({"unit": unit, "parts": {"train": {noun: 18_063}, "test": {noun: 2010}}})
    if task != "seq2seq":
        del contents["samples/final.txt"]
    for name, content in results(task).items():
        contents[f"eval/{name}.json"] = json.dumps(content)
    return contents


def results(task: str) -> dict[str, dict[str, Any]]:
    """What lies in eval/, by name."""
    if task == "classify":
        return {"metrics": classify_metrics(), "confusion": confusion(), "calibration": calibration(),
                "mistakes": mistakes(), "importance": importance()}  # fmt: skip
    if task == "tag":
        return {"metrics": tag_metrics(), "confusion": confusion(), "mistakes": mistakes()}
    return {"metrics": seq2seq_metrics(), "lengths": lengths(), "alignments": alignments(), "mistakes": mistakes()}


def many_labels(n: int) -> dict[str, Any]:
    """A confusion matrix of n labels, in which label i is i times taken for its neighbour."""
    counts = [[100 if i == j else i if j == (i + 1) % n else 0 for j in range(n)] for i in range(n)]
    return {"labels": [f"label {i}" for i in range(n)], "counts": counts}


def diagonal(rows: int, columns: int) -> list[list[float]]:
    """Weights of a soft diagonal; every row sums to 1."""
    weights = []
    for i in range(rows):
        middle = i * (columns - 1) / max(1, rows - 1)
        row = [math.exp(-((j - middle) ** 2)) for j in range(columns)]
        weights.append([value / sum(row) for value in row])
    return weights
