"""Options of the command line, made from the option dataclasses: one flag a field, `--no-x` for a boolean.

Values stay text here; `configuration` converts and checks them, so that a flag and a TOML key are judged alike.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from riverrun.configuration import Schema, Setting, Values, from_flags, settings
from riverrun.errors import OptionError, UsageError, nearest


class Parser(argparse.ArgumentParser):
    """argparse that raises UsageError, names the nearest option, and takes no abbreviations."""

    def __init__(self, *, prog: str, description: str | None, task: str | None = None) -> None:
        """task: of whose options alone the help is to be."""
        self.task = task
        self.declared: set[str] = set()  # flags that come from option dataclasses, which the docs list elsewhere
        super().__init__(
            prog=prog,
            usage=f"{prog} ... [--options]",
            description=description,
            allow_abbrev=False,
            add_help=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.add_argument("-h", "--help", action="store_true", help="show this text")

    def read(self, given: Sequence[str]) -> argparse.Namespace | None:
        """The arguments, or None where help is asked for. Raises UsageError."""
        before = list(given)[: list(given).index("--")] if "--" in given else list(given)
        if "-h" in before or "--help" in before:
            return None
        arguments, unknown = self.parse_known_intermixed_args(list(given))
        if unknown:
            first = unknown[0]
            name = first.partition("=")[0]
            known = [flag for action in self._actions for flag in action.option_strings]
            if not name.startswith("-"):
                raise UsageError(f"{first}: not expected here. `{self.prog} --help` shows what is.")
            raise UsageError(f"{name}: no such option.{nearest(name, known)} `{self.prog} --help` lists all.")
        return arguments

    def typed(self, error: OptionError) -> UsageError:
        """The error, of an option of this verb, as the flag that it is here."""
        flag = "--" + error.name.replace("_", "-")
        known = any(flag in action.option_strings for action in self._actions)
        return UsageError(f"{flag}: {error.problem}") if known else error

    def error(self, message: str) -> NoReturn:
        """What argparse itself complains about, as a UsageError."""
        message = re.sub(r"^arguments? ", "", message)
        raise UsageError(f"{message}. `{self.prog} --help` shows what is expected.")


def add_settings(parser: Parser, schemas: Mapping[str, Schema], *, leave_out: Sequence[str] = ()) -> None:
    """Add a flag for every key of every section of every task, grouped by section.

    schemas: task -> its sections. Tasks share a flag of the same name; its help says which have it, if not all.
    """
    schemas = {task: schema for task, schema in schemas.items() if parser.task in (None, task)}
    for section, keys in _shared(schemas).items():
        group = parser.add_argument_group(f"[{section}]")
        for name, owners in keys.items():
            if name in leave_out:
                continue
            setting = next(iter(owners.values()))
            parser.declared.add(setting.flag)
            text = _help(owners, len(schemas))
            if setting.kind is bool:
                group.add_argument(
                    setting.flag, dest=name, action=argparse.BooleanOptionalAction, default=None, help=text
                )
            else:
                metavar = {int: "N", float: "X", str: name.upper()}[setting.kind]
                group.add_argument(setting.flag, dest=name, metavar=metavar, default=None, help=text)


def given_settings(arguments: Mapping[str, Any], task: str, schemas: Mapping[str, Schema]) -> Values:
    """The layer of the command line for a task. Raises UsageError for a flag that only other tasks have."""
    own = {setting.name: setting.section for setting in settings(schemas[task])}
    for section, keys in _shared(schemas).items():
        for name, owners in keys.items():
            if arguments.get(name) is not None and name not in own:
                flag = next(iter(owners.values())).flag
                like = [each for each, its in own.items() if its == section and each.endswith(f"_{name}")]
                like = [f"--{each.replace('_', '-')}" for each in like]
                hint = f" Task {task} has {' and '.join(like)}." if like else ""
                raise UsageError(f"{flag}: not an option of task {task}, only of {', '.join(owners)} (--task).{hint}")
    return from_flags(schemas[task], arguments)


def asked(arguments: Mapping[str, Any], schemas: Mapping[str, Schema]) -> dict[str, Any]:
    """The settings that were given, of whichever task, as they were typed."""
    names = {setting.name for schema in schemas.values() for setting in settings(schema)}
    return {name: value for name, value in arguments.items() if name in names and value is not None}


def _shared(schemas: Mapping[str, Schema]) -> dict[str, dict[str, dict[str, Setting]]]:
    """Section -> key -> task -> its setting."""
    found: dict[str, dict[str, dict[str, Setting]]] = {}
    for task, schema in schemas.items():
        for setting in settings(schema):
            found.setdefault(setting.section, {}).setdefault(setting.name, {})[task] = setting
    return found


def _help(owners: Mapping[str, Setting], tasks: int) -> str:
    """What a flag means; where tasks disagree, whose meaning and default it is."""
    texts: dict[str, list[str]] = {}
    defaults: dict[str, list[str]] = {}
    for task, setting in owners.items():
        choices = f": {', '.join(setting.choices)}" if setting.choices else ""
        texts.setdefault(setting.help + choices, []).append(task)
        default = setting.default
        if setting.kind is bool:
            default = "yes" if setting.default else "no"
        defaults.setdefault(str(default), []).append(task)
    if len(texts) == 1:
        words = next(iter(texts))
    else:
        words = "; ".join(f"{', '.join(names)}: {text}" for text, names in texts.items())
    if len(owners) < tasks and len(texts) == 1:
        words = f"{', '.join(owners)}: {words}"
    if len(defaults) == 1:
        shown = next(iter(defaults))
    else:
        shown = ", ".join(
            f"{names[0] if len(names) == 1 else ' '.join(names)} {value}" for value, names in defaults.items() if value
        )
    return f"{words} (default {shown})".replace("%", "%%") if shown else words.replace("%", "%%")


def add_json(parser: Parser) -> None:
    """`--json`, which every verb has."""
    parser.add_argument("--json", action="store_true", help="write the result as JSON to standard output")


def whole(text: str, flag: str, *, least: int) -> int:
    """A whole number of at least `least`. Raises UsageError naming the flag."""
    try:
        number = int(text)
    except ValueError:
        raise UsageError(f"{flag}: expected a whole number, got {text!r}.") from None
    if number < least:
        raise UsageError(f"{flag}: expected a whole number of at least {least}, got {number}.")
    return number


def real(text: str, flag: str, *, least: float, most: float = float("inf")) -> float:
    """A finite number within bounds. Raises UsageError naming the flag."""
    try:
        number = float(text)
    except ValueError:
        raise UsageError(f"{flag}: expected a number, got {text!r}.") from None
    if not least <= number <= most or number == float("inf"):
        bounds = f"of at least {least:g}" if most == float("inf") else f"from {least:g} to {most:g}"
        raise UsageError(f"{flag}: expected a number {bounds}, got {text}.")
    return number
