"""A made-up run folder, complete and small, for the tests of the report."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

TEXT = "ROMEO:\nThe moon & the <sea> are one.\n"


def metrics() -> dict[str, Any]:
    def baseline(name: str, nats: float | None) -> dict[str, Any]:
        bits = None if nats is None else nats / math.log(2)
        low, high = (None, None) if nats is None else (nats - 0.02, nats + 0.02)
        return {"name": name, "nats_per_character": nats, "bits_per_character": bits, "low": low, "high": high,
                "seconds": 1.5, "note": f"a note on {name}"}  # fmt: skip

    def part(nats: float) -> dict[str, float]:
        return {"nats": nats, "bits_per_character": nats / math.log(2), "perplexity": math.exp(nats),
                "low": nats - 0.01, "high": nats + 0.01}  # fmt: skip

    return {
        "part": "test",
        "unit": "character",
        "tokens": 4999,
        "characters": 5000,
        "carried": part(1.25),
        "reset": part(1.375),
        "warning": None,
        "baselines": [baseline("unigram", 3.0), baseline("order 5", None), baseline("Kneser-Ney", 1.5)],
    }


def log(steps: int = 200) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = [{"event": "start", "parameters": 1_234_567}]
    for step in range(steps):
        nats = 1.2 + 3 * math.exp(-step / 20) + 0.01 * math.sin(7 * step)
        events.append({"event": "step", "step": step, "seconds": step / 2, "tokens": 64 * step, "nats": nats,
                       "lr": 0.003 * (1 - step / steps), "gradient_norm": 0.5 + 0.1 * math.cos(step),
                       "tokens_per_second": 30_000 + step})  # fmt: skip
        if step % 50 == 49:
            events.append({"event": "evaluation", "step": step, "valid_nats": nats + 0.1})
            events.append({"event": "sample", "step": step, "text": f"sample number {step}"})
    return [*events, {"event": "end", "step": steps, "seconds": steps / 2}]


def surprise() -> dict[str, Any]:
    tokens = list(TEXT)
    nats = [None, *(math.log(2) * (i % 14) for i in range(1, len(tokens)))]
    return {"tokens": tokens, "nats": nats, "top": [[["a", 0.5], ["\\n", 0.25]] for _ in tokens]}


def novelty() -> dict[str, Any]:
    longest = {"length": 8, "in_sample": 7, "in_training": 40}
    usual = {"length": 6, "in_sample": 0, "in_training": 3}
    return {
        "unit": "character",
        "text": TEXT,
        "training_elements": 45_000,
        "sample": {"elements": len(TEXT), "longest": longest, "new": {"5": 0.25, "10": 0.75}},
        "held_out": {"elements": len(TEXT), "longest": usual, "new": {"5": 0.3, "10": 0.8}},
    }


def files() -> dict[str, str]:
    """Every file that a report reads, by its path in the run folder."""
    return {
        "log.jsonl": "".join(json.dumps(event) + "\n" for event in log()),
        "data.json": json.dumps({
            "files": [{"path": "plays.txt", "sha256": "0123456789abcdef" * 4, "bytes": 50_000, "dropped": 0}],
            "unit": "character",
            "split_rule": "the last 0.1 for the test",
            "parts": {"train": {"tokens": 45_000, "documents": 1}, "test": {"tokens": 5000, "documents": 1}},
        }),
        "env.json": json.dumps({
            "command": ["riverrun", "train", "plays.txt"],
            "versions": {"riverrun": "0.1.0", "torch": "2.13.0"},
            "kernel": "torch: the cell equals torch's LSTM",
        }),
        "run.toml": '[model]\ncell = "lstm"\nhidden = 64\nlayers = 2\ndropout = 0.3\n[training]\nlr = 0.003\n',
        "model/config.json": json.dumps({"format": 1, "parameters": 1_234_567}),
        "eval/metrics.json": json.dumps(metrics()),
        "eval/surprise.json": json.dumps(surprise()),
        "eval/novelty.json": json.dumps(novelty()),
        "samples/final.txt": TEXT,
    }  # fmt: skip


def write(folder: Path, contents: dict[str, str]) -> Path:
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode("utf-8", "surrogatepass"))
    return folder
