"""`riverrun VERB ...`: finds the verb's file, reads its options, turns every error into a sentence and an exit code.

Exit codes: 0 done, 2 usage, 3 data or model, 4 a check failed or training diverged, 130 interrupted.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from types import ModuleType

from riverrun import __version__, tasks
from riverrun.cli.flags import Parser
from riverrun.errors import OptionError, RiverrunError, UsageError, nearest

INTERRUPTED = 130
# How long OpenMP's threads spin while they wait for each other, read once, when torch is loaded; a user's own choice
# holds. By default it is so long that beside other busy processes 40 steps of a small model took five minutes; with
# 10,000 turns one, and a quiet machine shows no difference. (Sleeping at once, `passive`: 5 s, but then a quiet machine
# trains at 0.6 of its speed.)
WAITING = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
SPINS = "10000"
# Verb -> its module. A verb stands here once it works.
VERBS = {
    "train": "riverrun.cli.train",
    "resume": "riverrun.cli.resume",
    "eval": "riverrun.cli.evaluate",
    "sample": "riverrun.cli.sample",
    "predict": "riverrun.cli.predict",
    "data": "riverrun.cli.data",
    "presets": "riverrun.cli.presets",
    "doctor": "riverrun.cli.doctor",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code. No RiverrunError, interrupt or lack of memory shows a traceback."""
    given = list(sys.argv[1:] if argv is None else argv)
    if not any(name in os.environ for name in WAITING):
        os.environ[WAITING[0]] = SPINS
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a letter gets its number
    try:
        code = _run(given)
        sys.stdout.flush()
        return code
    except RiverrunError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted.", INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output (`| head`) has gone: that is its right. Nothing more can be written to stdout.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError:
        return _fail("out of memory. Use a smaller --hidden, --lanes or --window.", 1)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _fail(f"{place}{error.strerror or error}.", 3)
    except RuntimeError as error:
        if "out of memory" in str(error).lower() or "can't allocate memory" in str(error):
            return _fail("out of memory. Use a smaller --hidden, --lanes or --window.", 1)
        raise


def _fail(message: str, code: int) -> int:
    with contextlib.suppress(BrokenPipeError, ValueError):
        sys.stdout.flush()
        print(f"riverrun: {message}", file=sys.stderr)
    return code


def _run(given: list[str]) -> int:
    if not given or given[0] in ("-h", "--help", "help"):
        print(overview(), end="")
        return 0 if given else UsageError.exit_code
    if given[0] in ("-V", "--version"):
        print(f"riverrun {__version__}")
        return 0
    verb, rest = given[0], given[1:]
    if verb not in VERBS:
        what = "option" if verb.startswith("-") else "verb"
        raise UsageError(f"{verb}: no such {what}.{nearest(verb, VERBS)} `riverrun --help` lists the verbs.")
    module = import_module(VERBS[verb])
    parser = verb_parser(verb, module, _helped(rest))
    arguments = parser.read(rest)
    if arguments is None:
        print(parser.format_help(), end="")
        return 0
    try:
        return int(module.run(arguments))
    except OptionError as error:
        raise parser.typed(error) from None


def _helped(given: Sequence[str]) -> str | None:
    """The task whose options help is asked for: `riverrun train --task tag --help`."""
    if "-h" not in given and "--help" not in given:
        return None
    named = [value for flag, value in pairwise(given) if flag == "--task"]
    named += [flag.partition("=")[2] for flag in given if flag.startswith("--task=")]
    return tasks.find(named[0]).name if named else None


def verb_parser(verb: str, module: ModuleType, task: str | None = None) -> Parser:
    """The parser of one verb, with the options that its module adds; task: with those of that task alone."""
    parser = Parser(prog=f"riverrun {verb}", description=module.__doc__, task=task)
    module.add(parser)
    return parser


def overview() -> str:
    """What `riverrun --help` prints."""
    lines = [
        f"riverrun {__version__}: recurrent neural networks, trained on your own sequences.",
        "",
        "usage: riverrun VERB [DATA|RUN] [--options]",
        "",
    ]
    lines += [f"  {verb:<9} {import_module(home).SUMMARY}" for verb, home in VERBS.items()]
    lines += [
        "",
        "  riverrun VERB --help   the options of a verb",
        "  riverrun --version     the version",
        "",
        "The first command: `riverrun train --minutes 2` (works without any data and offline).",
        "",
    ]
    return "\n".join(lines)
