"""Look into data before training on it.

  riverrun data peek plays.txt

Says what would be read, in which tokens, how it would be split, and shows how it begins.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from riverrun import combinations, configuration, tasks
from riverrun.cli.flags import Parser, add_json, add_settings, asked, given_settings
from riverrun.cli.voice import Voice
from riverrun.configuration import Schema
from riverrun.errors import UsageError, nearest

SUMMARY = "look into data before training on it: data peek DATA"


def add(parser: Parser) -> None:
    """The options of `riverrun data`."""
    parser.add_argument("what", metavar="peek", help="what to do: peek")
    parser.add_argument(
        "data", nargs="*", metavar="DATA", help="files or a folder; - for standard input; none: built-in"
    )
    parser.add_argument(
        "--task", default=None, help=f"force the task instead of inferring it: {', '.join(tasks.names())}"
    )
    add_json(parser)
    add_settings(parser, _schemas())


def _schemas() -> dict[str, Schema]:
    return {task: {"data": sections["data"]} for task, sections in tasks.schemas().items()}


def run(arguments: argparse.Namespace) -> int:
    """Read, and tell."""
    if arguments.what != "peek":
        raise UsageError(f"data {arguments.what}: expected `data peek`.{nearest(arguments.what, ['peek'])}")
    if arguments.task is None:
        task, reason = tasks.infer(arguments.data, asked(vars(arguments), _schemas()))
    else:
        task, reason = tasks.find(arguments.task), "asked for (--task)"
    given = given_settings(vars(arguments), task.name, _schemas())
    section = _schemas()[task.name]
    values = combinations.settled(section, [combinations.Layer(given, combinations.FLAGS)])
    # Beside a valid_share no other option has to want a validation part.
    sections = {**configuration.resolve(task.sections, {}), **configuration.resolve(section, values)}
    select = not task.fallback or "valid_share" in given.get("data", {})  # as `train` does by default
    with tempfile.TemporaryDirectory(prefix="riverrun-") as folder:  # for a corpus too large for memory
        corpus = task.read(arguments.data, sections["data"])
        prepared = task.prepare(corpus, sections, select=select, cache=Path(folder))
        more, shown = prepared.peek()
        facts = {"task": task.name, "reason": reason, **prepared.record(), **more}
        lines = [*prepared.lines(), *shown]
    voice = Voice(json=arguments.json)
    voice.result(facts)
    if arguments.json:
        return 0
    voice.say(f"task       {task.name}: {reason}")
    for file in prepared.files:
        dropped = f", {file.dropped:,} rows dropped" if file.dropped else ""
        voice.say(f"file       {file.path}: {file.bytes:,} bytes, SHA-256 {file.sha256[:16]}...{dropped}")
    for line in lines:
        voice.say(line)
    return 0
