"""Train a model on your data; without any, a language model on the text that every Python carries.

  riverrun train --minutes 2
  riverrun train plays.txt --minutes 15 -o runs/plays
  riverrun train reviews.csv --text review --label stars
  riverrun train -c runs/plays/run.toml --seed 1
  riverrun train --task tag --help                          the options of one task

The run folder holds everything: configuration, log, checkpoints, the portable model/, eval/ and report.html. It is
never written over: where RUN exists, RUN-2 is made. Ctrl-C finishes the step and saves; `riverrun resume RUN` goes on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from riverrun import tasks
from riverrun.cli.flags import Parser, add_json, add_settings, asked, given_settings
from riverrun.cli.voice import Voice
from riverrun.pipeline.plan import plan

SUMMARY = "train a model on your data (none: on text that Python carries)"


def add(parser: Parser) -> None:
    """The options of `riverrun train`."""
    parser.add_argument("data", nargs="*", metavar="DATA", help="files or a folder; - for standard input")
    parser.add_argument(
        "--task", default=None, help=f"force the task instead of inferring it: {', '.join(tasks.names())}"
    )
    parser.add_argument("--preset", default=None, help="a named starting point; `riverrun presets` lists them")
    parser.add_argument("-c", "--config", default=None, metavar="FILE", help="a run.toml to start from")
    parser.add_argument("-o", "--output", default=None, metavar="RUN", help="the run folder (default runs/NAME)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, with size and time, and stop")
    parser.add_argument(
        "--baselines",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="also compute the baselines that the model is set against (default yes)",
    )
    add_json(parser)
    add_settings(parser, tasks.schemas())


def run(arguments: argparse.Namespace) -> int:
    """Train, evaluate, report."""
    from riverrun import combinations

    file = Path(arguments.config) if arguments.config else None
    planned, reason = plan(
        arguments.data,
        lambda task: given_settings(vars(arguments), task.name, tasks.schemas()),
        asked=asked(vars(arguments), tasks.schemas()),
        task=arguments.task,
        preset=arguments.preset,
        file=file,
        notation=combinations.FLAGS,
    )

    from riverrun.cli.watch import watch
    from riverrun.pipeline import train as pipeline
    from riverrun.pipeline.estimate import estimate
    from riverrun.run import default_name
    from riverrun.training import distributed

    voice = Voice(json=arguments.json)
    corpus = pipeline.gather(planned)
    if arguments.dry_run:
        facts, lines = estimate(planned, corpus, reason)
        if not arguments.json:
            for line in lines:
                voice.say(line)
        voice.result(facts)
        return 0
    wanted = Path(arguments.output) if arguments.output else default_name(planned.files)
    command = ["riverrun", "train", *sys.argv[2:]] if sys.argv[1:2] == ["train"] else ["riverrun", "train"]
    try:
        with watch(voice) as watcher:
            trained = pipeline.train(
                planned,
                corpus,
                wanted=wanted,
                reason=reason,
                say=voice.say,
                events=watcher.events,
                progress=watcher.reading,
                command=command,
            )
        return watcher.finish(trained, baselines=arguments.baselines)
    finally:
        distributed.disconnect()
