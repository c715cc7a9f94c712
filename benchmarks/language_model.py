"""The main job measured as a user would run it: `riverrun train`, then eval/metrics.json; beside it plain torch.

    python benchmarks/language_model.py builtin --minutes 2           # the text that every Python carries, preset demo
    python benchmarks/language_model.py TEXT[.gz] --minutes 15        # preset default
    python benchmarks/language_model.py TEXT[.gz] --minutes 15 --peer # and plain_torch.py after it
    python benchmarks/language_model.py startup                       # `riverrun --help`, median of 10

The last 10 % is held out; nothing is selected on it. Prints one JSON object: nats per character with the state carried
over the whole part, its interval, the baselines', and the precision that riverrun chose.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
COMMAND = [sys.executable, "-m", "riverrun"]


def trained(data: list[str], preset: str, minutes: float, seed: int) -> dict[str, Any]:
    """One run in a temporary folder: its figures."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        options = ["--preset", preset, "--minutes", str(minutes), "--seed", str(seed), "-o", str(run)]
        subprocess.run([*COMMAND, "train", *data, *options], check=True, stdout=sys.stderr)
        metrics = json.loads((run / "eval" / "metrics.json").read_text())
        events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    start = next(event for event in events if event["event"] == "start")
    end = next(event for event in events if event["event"] == "end")
    return {
        "preset": preset,
        "minutes": minutes,
        "precision": start["precision"],
        "threads": start["threads"],
        "steps": end["step"],
        "tokens_per_second": round(end["tokens"] / end["seconds"]),
        "carried": metrics["carried"],
        "baselines": {b["name"]: b["nats_per_character"] for b in metrics["baselines"]},
    }


def startup(rounds: int = 10) -> dict[str, float]:
    """Seconds that `riverrun --help` takes."""
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run([*COMMAND, "--help"], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - began)
    return {"help_seconds_median": statistics.median(seconds), "help_seconds_worst": max(seconds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a text, 'builtin', or 'startup'")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--preset")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peer", action="store_true", help="run the plain torch script too")
    arguments = parser.parse_args()
    if arguments.data == "startup":
        print(json.dumps(startup(), indent=1))
        return
    builtin = arguments.data == "builtin"
    preset = arguments.preset or ("demo" if builtin else "default")
    figures = trained([] if builtin else [arguments.data], preset, arguments.minutes, arguments.seed)
    if arguments.peer:
        script = [sys.executable, str(HERE / "plain_torch.py"), arguments.data, "--minutes", str(arguments.minutes)]
        figures["plain_torch"] = json.loads(subprocess.run(script, check=True, capture_output=True).stdout)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
