"""List the presets, or show what one of them sets.

riverrun presets
riverrun presets min-char-rnn
"""

from __future__ import annotations

import argparse
import json

from riverrun import presets, tasks
from riverrun.cli.flags import Parser, add_json
from riverrun.errors import UsageError, nearest

SUMMARY = "list the presets, or what one of them sets"


def add(parser: Parser) -> None:
    """The options of `riverrun presets`."""
    parser.add_argument("name", nargs="?", help="show this preset only")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print them."""
    chosen = list(presets.all_presets())
    if arguments.name:
        chosen = [preset for preset in chosen if preset.name == arguments.name]
        if not chosen:
            names = list(dict.fromkeys(preset.name for preset in presets.all_presets()))
            raise UsageError(
                f"{arguments.name}: no such preset; expected one of {', '.join(names)}.{nearest(arguments.name, names)}"
            )
    if arguments.json:
        print(json.dumps([preset._asdict() for preset in chosen], indent=1, ensure_ascii=False))
        return 0
    task = ""
    for preset in chosen:
        if preset.task != task:
            task = preset.task
            print(f"{task}: {tasks.find(task).summary}\n")
        print(f"{preset.name:<14}{preset.summary}")
        print(f"{'':<14}expect: {preset.expected}")
        if arguments.name:
            for section, values in preset.values.items():
                print(f"\n[{section}]")
                for key, value in values.items():
                    print(f"{key} = {json.dumps(value)}")
    return 0
