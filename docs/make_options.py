"""Write docs/options.md: every verb, every option, every key of run.toml and every preset, from their declarations.

python docs/make_options.py      a test says when the page is stale
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from riverrun import configuration, presets, tasks
from riverrun.cli.main import VERBS, verb_parser
from riverrun.combinations import KEYS

PAGE = Path(__file__).parent / "options.md"
HEAD = """# Options

Made by `python docs/make_options.py` from the option dataclasses and the verbs; `riverrun VERB --help` says the same.

Each key below is `--key-name` on the command line, a keyword of the task's class (`riverrun.LanguageModel` ...), and a
key of its section in `run.toml`. The last to name a key wins: default, preset, `-c FILE`, flag. An unknown one is an
error with the nearest, and so is a value that would do nothing beside the others; what a preset sets gives way instead.

Exit codes: 0 done, 1 out of memory, 2 a wrong command or option, 3 data or a model that cannot be used, 4 training
diverged, 130 interrupted (saved first).
"""

# Verbs that also take what the tables below list.
DECLARED = {
    "train": "every key below, as a flag",
    "eval": "the keys of [data] of the model's task that say how DATA is read",
    "predict": "the flags of the model's task, below",
    "data": "every key of [data] of the task",
}


def keys() -> list[str]:
    """A table for each section of each task."""
    lines = []
    for task in tasks.all_tasks():
        found = configuration.settings(task.sections)
        for section in task.sections:
            lines += [f"## [{section}] of {task.name}", "", "| key | default | meaning |", "|---|---|---|"]
            for key in found:
                if key.section == section:
                    choices = f" One of {', '.join(key.choices)}." if key.choices else ""
                    default = '""' if key.default == "" else str(key.default).lower()
                    lines.append(f"| `{key.name}` | {default} | {key.help}.{choices}{beside(key)} |".replace("..", "."))
            lines.append("")
    return lines


def beside(key: configuration.Setting) -> str:
    """Beside which other keys it does anything."""
    parts, judged = [], []
    for about, wanted in key.acts.items():
        if callable(wanted):
            judged += [about] if isinstance(about, str) else list(about)
        else:
            parts.append(f"`{about}` {' or '.join(KEYS.value(value) for value in wanted)}")
    words = [f"Only with {', '.join(parts)}"] if parts else []
    words += [f"{'d' if parts else 'D'}epends on {', '.join(f'`{name}`' for name in judged)}"] if judged else []
    return f" {'; '.join(words)}." if words else ""


def verbs() -> list[str]:
    """What each verb takes beside those keys."""
    lines = ["## Verbs", ""]
    for verb, home in VERBS.items():
        module = import_module(home)
        lines += [
            f"### riverrun {verb}",
            "",
            f"{module.SUMMARY[0].upper()}{module.SUMMARY[1:]}.".replace("..", "."),
            "",
        ]
        parser = verb_parser(verb, module)
        for action in parser._actions:
            names = action.option_strings or [action.metavar if isinstance(action.metavar, str) else action.dest]
            if not parser.declared & set(names) and action.help:
                lines.append(f"- `{', '.join(names)}`: {action.help}")
        lines += ["- and " + DECLARED[verb]] if verb in DECLARED else []
        lines.append("")
    return lines


def predictions() -> list[str]:
    """What `riverrun predict` can be told, by task."""
    lines = []
    for task in tasks.all_tasks():
        lines += [f"## `predict` with {task.name}", "", "| flag | default | meaning |", "|---|---|---|"]
        for key in configuration.settings({"prediction": task.prediction}):
            choices = f" One of {', '.join(key.choices)}." if key.choices else ""
            default = '""' if key.default == "" else str(key.default).lower()
            lines.append(f"| `{key.flag}` | {default} | {key.help}.{choices} |".replace("..", "."))
        lines.append("")
    return lines


def starts() -> list[str]:
    """The presets."""
    lines = ["## Presets", "", "| task | name | what it is | what to expect |", "|---|---|---|---|"]
    rows = [(preset, f"| {preset.task} | `{preset.name}`") for preset in presets.all_presets()]
    return lines + [f"{begin} | {preset.summary} | {preset.expected} |" for preset, begin in rows]


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *verbs(), *keys(), *predictions(), *starts()]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.exit(0)
