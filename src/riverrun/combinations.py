"""Combinations: which options do nothing beside the others, and how to say so to the one who set them.

An option's field says under `acts` where it acts: `{"optimiser": ("adam", "adamw")}`, with a function in place of the
values where they cannot be listed, and several names before one function that takes them all. All of these must hold.

A value that does nothing is refused where it is set beside what makes it so. A value that a later layer makes idle (a
preset's `layers` under `--model window`) gives way, as a budget does: it falls back to its default.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from riverrun.configuration import Schema, Setting, Values, merge, settings
from riverrun.errors import OptionError, UsageError


class Notation(NamedTuple):
    """How options are written down: `--hidden 8`, `hidden = 8`, `hidden=8`."""

    name: Callable[[str], str]
    between: str
    value: Callable[[Any], str]
    negated: str = ""  # before the key of what is false, where booleans have no value written

    def typed(self, key: str, value: Any) -> str:
        """The key as one writes it to give it that value: `--no-bias`."""
        return self.name(self.negated + key if value is False else key)

    def pair(self, key: str, *values: Any) -> str:
        """A key with its value; of several, the last comes after `or`."""
        if self.negated and isinstance(values[0], bool):
            return self.typed(key, values[0])
        *most, last = [self.value(value) for value in values]
        return f"{self.name(key)}{self.between}{', '.join(most)}{' or ' if most else ''}{last}"


FLAGS = Notation(lambda key: "--" + key.replace("_", "-"), " ", str, "no_")
KEYS = Notation(str, " = ", json.dumps)
ARGUMENTS = Notation(str, "=", lambda value: value.__name__ if isinstance(value, type) else repr(value))


class Layer(NamedTuple):
    """Values, how they were written, and where each stands (`run.toml:3`, nothing on a command line)."""

    values: Values
    notation: Notation = ARGUMENTS
    places: Mapping[str, str] = {}

    def name(self, key: str, value: Any = None) -> str:
        """The key as it was typed, with its place."""
        place = self.places.get(key)
        return (f"{place}: " if place else "") + self.notation.typed(key, value)

    @property
    def keys(self) -> set[str]:
        """The keys that it names."""
        return {key for values in self.values.values() for key in values}


def settled(schema: Schema, layers: Sequence[Layer]) -> dict[str, dict[str, Any]]:
    """The values of all layers, the last to name a key winning, without those that do nothing.

    Raises UsageError, naming the option as it was typed, for a value that did nothing already where it was set.
    """
    whole = merge(schema, *(layer.values for layer in layers))
    for setting, names in idle(schema, whole):
        last = max(place for place, layer in enumerate(layers) if setting.name in layer.keys)
        then = merge(schema, *(layer.values for layer in layers[: last + 1]))
        if any(setting == other for other, _ in idle(schema, then)):
            raise UsageError(_refusal(schema, whole, layers[last], setting, names))
    return acting(schema, whole)


def acting(schema: Schema, values: Values) -> dict[str, dict[str, Any]]:
    """The values without those that do nothing."""
    out = {setting.name for setting, _ in idle(schema, values)}
    return {section: {k: v for k, v in keys.items() if k not in out} for section, keys in values.items()}


def idle(schema: Schema, values: Values) -> list[tuple[Setting, tuple[str, ...]]]:
    """The options that are not at their defaults and do nothing, each with the options that make it so."""
    flat = _flat(schema, values)
    found = []
    for setting in settings(schema):
        if flat[setting.name] != setting.default:
            names = next((names for names, holds in _conditions(setting, flat) if not holds(flat)), None)
            found += [] if names is None else [(setting, names)]
    return found


def typed(error: OptionError, layers: Sequence[Layer]) -> UsageError:
    """The error with its option as it was typed by the last who named it."""
    named = [layer for layer in layers if error.name in layer.keys]
    return UsageError(f"{(named or layers)[-1].name(error.name)}: {error.problem}")


Holds = Callable[[Mapping[str, Any]], bool]


def _conditions(setting: Setting, known: Mapping[str, Any]) -> list[tuple[tuple[str, ...], Holds]]:
    """The names that each condition is about, and whether it holds; without those of sections that are not here."""
    found: list[tuple[tuple[str, ...], Holds]] = []
    for about, wanted in setting.acts.items():
        names = (about,) if isinstance(about, str) else about
        if all(name in known for name in names):
            found.append((names, _holds(names, wanted)))
    return found


def _holds(names: tuple[str, ...], wanted: Any) -> Holds:
    if callable(wanted):
        return lambda flat: bool(wanted(*(flat[name] for name in names)))
    return lambda flat: flat[names[0]] in wanted


def _flat(schema: Schema, values: Values) -> dict[str, Any]:
    """Every key of every section, defaults where nothing is said."""
    return {s.name: values.get(s.section, {}).get(s.name, s.default) for s in settings(schema)}


def _refusal(schema: Schema, values: Values, layer: Layer, setting: Setting, names: tuple[str, ...]) -> str:
    flat, write = _flat(schema, values), layer.notation
    beside = ", ".join(write.pair(name, flat[name]) for name in names)
    first = next(other for other in settings(schema) if other.name == names[0])
    holds = next(holds for about, holds in _conditions(setting, flat) if about == names)
    fitting = [choice for choice in first.choices if holds({**flat, first.name: choice})]
    if len(names) > 1:
        what = "Leave it out, or change one of these."
    elif fitting:
        what = f"Leave it out, or use {write.pair(first.name, *fitting)}."
    else:
        what = "Leave one of the two out."
    return f"{layer.name(setting.name, flat[setting.name])}: does nothing with {beside}. {what}"
