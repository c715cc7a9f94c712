"""Look into data before training on it.

  riverrun data peek plays.txt

Says what would be read, in which tokens, how it would be split, and shows how it begins.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from riverrun.cli.flags import Parser, add_json, add_settings
from riverrun.cli.voice import Voice
from riverrun.errors import UsageError, nearest
from riverrun.pipeline.plan import schema

SUMMARY = "look into data before training on it: data peek DATA"
SHOWN = 300  # characters of the beginning
COMMON = 20  # tokens


def add(parser: Parser) -> None:
    """The options of `riverrun data`."""
    parser.add_argument("what", metavar="peek", help="what to do: peek")
    parser.add_argument(
        "data", nargs="*", metavar="DATA", help="files or a folder; - for standard input; none: built-in"
    )
    add_json(parser)
    add_settings(parser, {"data": schema()["data"]})


def run(arguments: argparse.Namespace) -> int:
    """Read, and tell."""
    if arguments.what != "peek":
        raise UsageError(f"data {arguments.what}: expected `data peek`.{nearest(arguments.what, ['peek'])}")
    from riverrun import combinations, configuration, tasks

    section = {"data": schema()["data"]}
    given = configuration.from_flags(section, vars(arguments))
    values = combinations.settled(section, [combinations.Layer(given, combinations.FLAGS)])
    options = configuration.resolve(section, values)["data"]
    select = "valid_share" in given.get("data", {})  # else no more is cut off than `train` does by default
    import numpy as np

    from riverrun.models.ngram import frequencies
    from riverrun.pipeline.prepare import prepare

    task, reason = tasks.infer(arguments.data)
    with tempfile.TemporaryDirectory(prefix="riverrun-") as folder:  # for a corpus too large for memory
        prepared = prepare(task.read(arguments.data, options), options, select=select, cache=Path(folder))
        tokenizer, train = prepared.tokenizer, prepared.splits.train
        counts = frequencies(train.ids, tokenizer.size)
        beginning = tokenizer.decode(train.ids[:SHOWN])[:SHOWN]
    common = [(tokenizer.token(int(id)), int(counts[id])) for id in np.argsort(-counts, kind="stable")[:COMMON]]
    facts = {"task": task.name, "reason": reason, **prepared.record(), "common": common, "beginning": beginning}
    voice = Voice(json=arguments.json)
    voice.result(facts)
    if arguments.json:
        return 0
    voice.say(f"task       {task.name}: {reason}")
    for file in prepared.files:
        dropped = f", {file.dropped:,} rows dropped" if file.dropped else ""
        voice.say(f"file       {file.path}: {file.bytes:,} bytes, SHA-256 {file.sha256[:16]}...{dropped}")
    voice.say(f"tokens     {tokenizer.unit}s, vocabulary {tokenizer.size:,}")
    for name, part in facts["parts"].items():
        voice.say(f"{name:<10} {part['tokens']:,} {tokenizer.unit}s in {part['documents']:,} documents")
    voice.say(f"split      {prepared.splits.rule}")
    voice.say("common     " + "  ".join(f"{token!r} {count:,}" for token, count in common))
    voice.say("begins")
    voice.say("\n".join("  | " + line for line in beginning.splitlines()))
    return 0
