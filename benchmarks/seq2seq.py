"""Sequence to sequence on four public sets, each one command: train, score, and set the figures side by side.

    python benchmarks/seq2seq.py scan FOLDER --out runs/scan [--split simple] [--minutes 6]
    python benchmarks/seq2seq.py cmudict cmudict.dict.gz --out runs/cmudict [--minutes 30]
    python benchmarks/seq2seq.py tatoeba fra-eng.zip --out runs/tatoeba [--minutes 45]
    python benchmarks/seq2seq.py dialogue self_dialogues.jsonl.gz --out runs/dialogue [--minutes 60]

scan      SCAN's official files (Lake & Baroni 2018: exact match, simple 99.8, length 20.8, jump 1.2)
cmudict   letters to phonemes, stress removed, 90/5/5 by the SHA-256 of the word, beam 5; published for another split of
          the same dictionary: word error 33.9 (WFST), 30.2 (Transformer; both g2p-seq2seq)
tatoeba   French to English, split by the English side: with attention and with a thought vector, for as long each, in
          one table by the length of the source
dialogue  replies: one model, written without and with the penalty on generic beginnings, distinct-n beside people's

Any option of run.toml may be set for all runs of a command: --set hidden=256 --set threads=1. What is in --out already
is not trained again, so that a command can be repeated for its table.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from riverrun.cli.main import main as riverrun

PENALTIES = ("0", "0.15", "0.5", "0.3")  # the preset's last: it is what the run folder then shows
ASKED = (
    "hi , how are you ?",
    "what is your favorite movie ?",
    "have you seen the new star wars movie ?",
    "who is your favorite singer ?",
    "i do not like horror movies .",
    "who do you think will win the super bowl ?",
)


def trained(run: Path, data: list[Path], flags: list[str]) -> Path:
    """The run folder, trained now unless it is there."""
    if not (run / "eval" / "metrics.json").is_file():
        call("train", *map(str, data), "-o", str(run), *flags)
    return run


def call(*arguments: str) -> None:
    """The command line, in this process; ends the program where it fails."""
    print(f"$ riverrun {' '.join(arguments)}", flush=True)
    if code := riverrun(list(arguments)):
        raise SystemExit(code)


def read(run: Path, name: str) -> Any:
    """What a file of eval/ holds."""
    return json.loads((run / "eval" / f"{name}.json").read_text())


def row(name: str, figures: list[dict[str, Any]]) -> str:
    """A line of the table: each figure with its interval."""
    cells = []
    for figure in figures:
        times, unit = (100, " %") if figure["unit"] == "share" else (1, "")
        value, low, high = (None if figure[key] is None else times * figure[key] for key in ("value", "low", "high"))
        interval = "" if low is None else f" ({low:.2f} to {high:.2f})"
        cells.append("-" if value is None else f"{value:.2f}{unit}{interval}")
    return f"| {name} | " + " | ".join(cells) + " |"


def table(run: Path) -> None:
    """The figures of a run and of its baselines."""
    metrics = read(run, "metrics")
    names = [figure["name"] for figure in metrics["figures"]]
    print(f"\n{metrics['count']:,} sources, {metrics['pairs']:,} pairs; loss {metrics['loss']:.4f} nats a token")
    print("| | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 1) + "|")
    print(row("riverrun", metrics["figures"]))
    for baseline in metrics["baselines"]:
        print(row(baseline["name"], baseline["figures"]))


def scan(given: argparse.Namespace, flags: list[str]) -> None:
    """SCAN with its official test file."""
    name = {"simple": "simple", "length": "length", "jump": "addprim_jump"}[given.split]
    train, test = (next(iter(sorted(given.data.glob(f"tasks_{part}_{name}.txt*")))) for part in ("train", "test"))
    run = trained(given.out, [train], ["--preset", "commands", "--test", str(test), *flags])
    table(run)


def cmudict(given: argparse.Namespace, flags: list[str]) -> None:
    """CMUdict's words spoken."""
    run = trained(given.out, [given.data], ["--preset", "g2p", *flags])
    table(run)


def tatoeba(given: argparse.Namespace, flags: list[str]) -> None:
    """French to English with attention and without, by length."""
    common = ["--preset", "translation", "--reverse", *flags]
    runs = {
        "attention": trained(given.out / "attention", [given.data], common),
        "thought vector": trained(given.out / "thought", [given.data], [*common, "--attention", "none"]),
    }
    for run in runs.values():
        table(run)
    lengths = {name: read(run, "lengths") for name, run in runs.items()}
    rows = [found["rows"] for found in lengths.values()]
    print(f"\nBLEU by {next(iter(lengths.values()))['unit']}")
    print("| length | sentences | " + " | ".join(runs) + " |")
    print("|---" * (len(runs) + 2) + "|")
    for together in zip(*rows, strict=True):
        low, high, count = (together[0][key] for key in ("low", "high", "count"))
        cells = []
        for found in together:
            bleu = found["figures"]["BLEU"]
            cells.append(f"{bleu['value']:.1f} ({bleu['low']:.1f} to {bleu['high']:.1f})")
        print(f"| {low} to {high} | {count:,} | " + " | ".join(cells) + " |")


def dialogue(given: argparse.Namespace, flags: list[str]) -> None:
    """Replies, and what the penalty on generic ones does to them."""
    run = trained(given.out, [given.data], ["--preset", "dialogue", *flags])
    table(run)
    for penalty in PENALTIES:
        print(f"\npenalty {penalty}")
        call("eval", str(run), "--no-baselines", "--generic-penalty", penalty)
        (given.out / "asked.txt").write_text("".join(f"{line}\n" for line in ASKED))
        call("predict", str(run), str(given.out / "asked.txt"), "--generic-penalty", penalty)


COMMANDS = {"scan": scan, "cmudict": cmudict, "tatoeba": tatoeba, "dialogue": dialogue}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("data", type=Path, help="the file of the set, or SCAN's folder")
    parser.add_argument("--out", type=Path, required=True, help="where the run folders go")
    parser.add_argument("--minutes", default="", help="training time of each model (default: the preset's)")
    parser.add_argument("--split", default="simple", choices=("simple", "length", "jump"), help="of SCAN")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of run.toml")
    given = parser.parse_args()
    flags = ["--minutes", given.minutes] if given.minutes else []
    for pair in given.set:
        key, _, value = pair.partition("=")
        flag = "--" + key.replace("_", "-")
        truth = {"true": [flag], "false": ["--no-" + flag.removeprefix("--")]}
        flags += truth.get(value, [flag, value])
    COMMANDS[given.command](given, flags)


if __name__ == "__main__":
    main()
