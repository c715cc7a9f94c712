"""Configuration: frozen dataclasses are the single source of TOML, flags, docs and defaults.

A section is a frozen, keyword-only dataclass; each field carries `metadata={"help": ..., "choices": ..., "acts": ...}`
(combinations.py says what `acts` is). A value comes from the defaults, then a preset, then `run.toml`, then the command
line; the last to speak wins. A key that no section has is an error that names the nearest one, and in a file the line.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from riverrun.errors import DataError, OptionError, UsageError, nearest

FORMAT = 1
Schema = Mapping[str, type]  # section name -> its options dataclass
Values = Mapping[str, Mapping[str, Any]]  # section name -> key -> value
BUDGETS = ("minutes", "steps", "epochs")  # naming one of them replaces the others of an earlier layer


class Setting(NamedTuple):
    """One key of one section: what TOML, flags and docs need to know of it."""

    section: str
    name: str
    kind: type  # bool, int, float or str
    default: Any
    help: str
    choices: tuple[str, ...]
    acts: Mapping[Any, Any]  # where it does anything, see combinations.py

    @property
    def flag(self) -> str:
        """The command-line option: `weight_decay` is `--weight-decay`."""
        return "--" + self.name.replace("_", "-")


class Configuration(NamedTuple):
    """A run, resolved: the task, the files it reads (none: the built-in text) and the options of each section."""

    task: str
    files: tuple[str, ...]
    sections: Mapping[str, Any]

    def toml(self) -> str:
        """The commented `run.toml` that repeats this run; `read` gives the same configuration back."""
        return render(self)


def settings(schema: Schema) -> list[Setting]:
    """Every key of every section, in order. Sections share one name space, since flags do."""
    found: dict[str, Setting] = {}
    for section, options in schema.items():
        hints = get_type_hints(options)
        for field in dataclasses.fields(options):
            choices = field.metadata.get("choices", ())
            setting = Setting(
                section=section,
                name=field.name,
                kind=hints[field.name],
                default=field.default,
                help=field.metadata.get("help", ""),
                choices=tuple(choices() if callable(choices) else choices),
                acts=field.metadata.get("acts", {}),
            )
            if field.name in found:
                raise UsageError(
                    f"{section}.{field.name}: also a key of [{found[field.name].section}]; rename one of them."
                )
            found[field.name] = setting
    return list(found.values())


def convert(setting: Setting, value: Any, where: str) -> Any:
    """`value` (of TOML, or a string of the command line) as the setting's type.

    Raises UsageError naming `where`, what was expected and what came.
    """
    kind = setting.kind
    if setting.choices and value not in setting.choices:
        listed = ", ".join(setting.choices)
        raise UsageError(f"{where}: expected one of {listed}, got {value!r}.{nearest(str(value), setting.choices)}")
    if kind is bool:
        if isinstance(value, bool):
            return value
        raise UsageError(f"{where}: expected true or false, got {value!r}.")
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise UsageError(f"{where}: expected {_NOUN[kind]}, got {value!r}.")
    if kind is str:
        if isinstance(value, str):
            return value
        raise UsageError(f"{where}: expected text in quotes, got {value!r}.")
    try:
        number = kind(value)
    except (ValueError, OverflowError):
        raise UsageError(f"{where}: expected {_NOUN[kind]}, got {value!r}.") from None
    if kind is int and isinstance(value, float):
        raise UsageError(f"{where}: expected {_NOUN[kind]}, got {value!r}.")
    if number != number or number in (float("inf"), float("-inf")):
        raise UsageError(f"{where}: expected a finite number, got {value!r}.")
    return number


_NOUN: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def resolve(schema: Schema, *layers: Values) -> dict[str, Any]:
    """The options of each section, from layers of values of which the last to name a key wins (`merge`).

    Raises OptionError where a value is out of its range, or contradicts another.
    """
    merged = merge(schema, *layers)
    return {section: options(**merged[section]) for section, options in schema.items()}


def merge(schema: Schema, *layers: Values) -> dict[str, dict[str, Any]]:
    """Layers of values as one, of which the last to name a key wins.

    A layer that names a budget (minutes, steps, epochs) takes the other budgets of the layers before it away.
    """
    merged: dict[str, dict[str, Any]] = {section: {} for section in schema}
    for layer in layers:
        for section, values in layer.items():
            if any(name in BUDGETS for name in values):
                for name in BUDGETS:
                    merged[section].pop(name, None)
            merged[section].update(values)
    return merged


def from_flags(schema: Schema, given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The layer of the command line: those of `given` (key -> string or bool) that are not None, converted."""
    layer: dict[str, dict[str, Any]] = {}
    for setting in settings(schema):
        value = given.get(setting.name)
        if value is not None:
            layer.setdefault(setting.section, {})[setting.name] = convert(setting, value, setting.flag)
    return layer


def from_names(schema: Schema, given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The layer of a Python call: every name must be known and of its type."""
    known = {setting.name: setting for setting in settings(schema)}
    layer: dict[str, dict[str, Any]] = {}
    for name, value in given.items():
        if name not in known:
            raise UsageError(f"{name}: no such option.{nearest(name, known)}")
        setting = known[name]
        layer.setdefault(setting.section, {})[name] = convert(setting, value, name)
    return layer


class Read(NamedTuple):
    """What a TOML file says: task and files where it names them, a layer of values, and where each key stands."""

    task: str | None
    files: tuple[str, ...] | None
    values: dict[str, dict[str, Any]]
    places: dict[str, str]


def read(path: Path, schema: Schema) -> Read:
    """Read a run.toml. Raises DataError where it cannot be read, UsageError (`file:line: ...`) where it is wrong."""
    return parse(_text(path), schema, str(path))


def task_of(path: Path) -> str | None:
    """The task that a run.toml names, before it is known which keys it may have; None where it names none."""
    task = _top(path).get("task")
    return task if isinstance(task, str) else None  # anything else `read` refuses


def files_of(path: Path) -> tuple[str, ...]:
    """The files that a run.toml names."""
    files = _top(path).get("files")
    return tuple(map(str, files)) if isinstance(files, list) else ()


def _top(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError:
        return {}  # `read` says what is wrong


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}). Expected a TOML configuration file.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is not UTF-8. Expected a TOML configuration file.") from None


def parse(text: str, schema: Schema, name: str = "run.toml") -> Read:
    """What a TOML text says; `name` is the file's name in messages.

    >>> from riverrun.errors import UsageError
    >>> import dataclasses
    >>> Model = dataclasses.make_dataclass("Model", [("hidden", int, 512)])
    >>> parse("[model]\\nhidden = 8", {"model": Model}).values
    {'model': {'hidden': 8}}
    >>> parse("[model]\\nhiden = 8", {"model": Model})
    Traceback (most recent call last):
    riverrun.errors.UsageError: run.toml:2: hiden: no such key in [model]. Did you mean 'hidden'?
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        line = place.group(1) if place else str(text.count("\n") + 1)
        reason = re.sub(r"\s*\(at .*\)$", "", str(error))
        raise UsageError(f"{name}:{line}: not TOML: {reason}. Expected lines such as `hidden = 512`.") from None
    lines = _lines(text)

    def where(section: str, key: str = "") -> str:
        return f"{name}:{lines.get((section, key), 1)}"

    task, files = content.pop("task", None), content.pop("files", None)
    written = content.pop("format", FORMAT)
    if not isinstance(written, int) or written > FORMAT:
        raise UsageError(
            f"{where('', 'format')}: format {written!r} is newer than this riverrun reads ({FORMAT}). Update it."
        )
    if task is not None and not isinstance(task, str):
        raise UsageError(f"{where('', 'task')}: task: expected text in quotes, got {task!r}.")
    if files is not None and not (isinstance(files, list) and all(isinstance(file, str) for file in files)):
        raise UsageError(f'{where("", "files")}: files: expected a list such as ["text.txt"], got {files!r}.')
    known = settings(schema)
    values: dict[str, dict[str, Any]] = {}
    for section, keys in content.items():
        if section not in schema:
            home = next((s.section for s in known if s.name == section), None)
            hint = f" It belongs under [{home}]." if home else nearest(section, [*schema, "task", "files", "format"])
            at = where(section) if isinstance(keys, dict) else where("", section)
            kind = "section" if isinstance(keys, dict) else "key"
            raise UsageError(f"{at}: {section}: no such {kind}.{hint}")
        if not isinstance(keys, dict):
            raise UsageError(f"{where('', section)}: {section}: expected a section [{section}], got {keys!r}.")
        here = {setting.name: setting for setting in known if setting.section == section}
        for key, value in keys.items():
            if key not in here:
                home = next((s.section for s in known if s.name == key), None)
                hint = f" It belongs under [{home}]." if home else nearest(key, here)
                raise UsageError(f"{where(section, key)}: {key}: no such key in [{section}].{hint}")
            values.setdefault(section, {})[key] = convert(here[key], value, f"{where(section, key)}: {key}")
        try:
            schema[section](**values.get(section, {}))
        except OptionError as error:  # a value out of its range: say where it stands
            raise UsageError(f"{where(section, error.name)}: {error}") from None
    places = {key: where(section, key) for section, keys in values.items() for key in keys}
    return Read(task, None if files is None else tuple(files), values, places)


def _lines(text: str) -> dict[tuple[str, str], int]:
    # tomllib keeps no positions: find `[section]` and `key =` again, which is all that a file of ours has.
    found: dict[tuple[str, str], int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\s*([^\]]+?)\s*\]", line):
            section = header.group(1).strip("\"'")
            found.setdefault((section, ""), number)
        elif name := re.match(r"\s*[\"']?([A-Za-z0-9_-]+)[\"']?\s*(?:=|\.)", line):
            found.setdefault((section, name.group(1)), number)
    return found


def render(configuration: Configuration) -> str:
    """The commented TOML of a configuration: every key, its value, what it means and its default where it differs."""
    import tomli_w

    def line(key: str, value: Any) -> str:
        return tomli_w.dumps({key: value}).strip()

    schema = {section: type(options) for section, options in configuration.sections.items()}
    out = [
        "# A riverrun run, resolved. `riverrun train -c run.toml` repeats it.",
        line("format", FORMAT),
        line("task", configuration.task),
        *([] if configuration.files else ["# No file means the text that every Python carries."]),
        "files = [" + ", ".join(line("f", file).removeprefix("f = ") for file in configuration.files) + "]",
    ]
    section = ""
    for setting in settings(schema):
        if setting.section != section:
            section = setting.section
            out += ["", f"[{section}]"]
        value = getattr(configuration.sections[section], setting.name)
        notes = [setting.help]
        if setting.choices and len(setting.choices) <= 8 and not any(c in setting.help for c in setting.choices if c):
            notes.append("one of " + " ".join(setting.choices))
        if value != setting.default:
            notes.append("default " + line("d", setting.default).removeprefix("d = "))
        note = "; ".join(note for note in notes if note)
        out.append(line(setting.name, value) + (f"  # {note}" if note else ""))
    return "\n".join(out) + "\n"


def flatten(sections: Iterable[Any]) -> dict[str, Any]:
    """Every key of the given options and its value, in one dictionary (for JSON)."""
    return {field.name: getattr(options, field.name) for options in sections for field in dataclasses.fields(options)}
