"""Go on with a run that was stopped or killed, from its last checkpoint.

  riverrun resume runs/plays

The stored configuration holds. A budget in steps or epochs ends in the same weights as an undisturbed run; a budget in
minutes goes on with the time it had left.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from riverrun.cli.flags import Parser, add_json
from riverrun.cli.voice import Voice

SUMMARY = "go on with a run that was stopped or killed"


def add(parser: Parser) -> None:
    """The options of `riverrun resume`."""
    parser.add_argument("run", metavar="RUN", help="the run folder")
    parser.add_argument(
        "--baselines",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="also compute the baselines that the model is set against (default yes)",
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Resume, evaluate, report."""
    from riverrun.run import open_run

    folder = open_run(Path(arguments.run))

    from riverrun.cli.watch import watch
    from riverrun.pipeline import train as pipeline
    from riverrun.pipeline.plan import restore
    from riverrun.training import distributed

    voice = Voice(json=arguments.json)
    configuration = restore(folder.configuration)
    try:
        with watch(voice) as watcher:
            trained = pipeline.resume(
                folder,
                configuration,
                warn=voice.say,
                say=voice.say,
                events=watcher.events,
                progress=watcher.reading,
            )
        return watcher.finish(trained, baselines=arguments.baselines)
    finally:
        distributed.disconnect()
