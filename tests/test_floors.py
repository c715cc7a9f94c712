"""Imports only go down the floors, no folders import each other in a circle, and torch waits until it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "riverrun"

FLOOR = {
    **dict.fromkeys(("errors", "fields", "sequences", "files"), 0),
    **dict.fromkeys(("engine", "data"), 1),
    "cells": 2,
    **dict.fromkeys(("layers", "attention", "nn"), 3),
    "models": 4,
    **dict.fromkeys(("training", "decoding"), 5),
    **dict.fromkeys(("tasks", "configuration", "combinations", "presets", "run"), 6),
    **dict.fromkeys(("inspection", "export"), 7),
    "pipeline": 8,
    **dict.fromkeys(("cli", "server", "estimators"), 9),
    "__main__": 10,
}
# The lazy front door (PEP 562) names modules of every floor and imports none of them at import time.
FRONT_DOOR = "__init__"


def imports(path: Path, package: str) -> set[str]:
    """The `riverrun.X` that a file imports anywhere, also inside functions and under TYPE_CHECKING."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "riverrun" else [module]
        found |= {name.split(".")[1] for name in names if name.startswith("riverrun.")}
    return found - {"__version__"}


def graph() -> dict[str, set[str]]:
    """Which unit (folder or file right below riverrun) imports which."""
    edges: dict[str, set[str]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        if parts == (FRONT_DOOR,):
            continue
        package = ".".join(("riverrun", *parts[:-1]))
        edges.setdefault(parts[0], set()).update(imports(path, package) - {parts[0]})
    return edges


def test_every_file_and_folder_has_a_floor() -> None:
    assert set(graph()) <= set(FLOOR)


def test_imports_only_go_down() -> None:
    # Floor 6 is a shelf of files that may lean on each other (presets on configuration); the circle test guards them.
    shelf = {"configuration", "combinations", "presets", "run", "tasks"}
    upward = [
        f"{unit} (floor {FLOOR[unit]}) imports {other} (floor {FLOOR[other]})"
        for unit, others in graph().items()
        for other in others
        if FLOOR[other] >= FLOOR[unit]
        and not (unit in shelf and other in shelf)
        and (unit, other) not in {("nn", "layers"), ("files", "errors"), ("fields", "errors")}
    ]
    assert upward == []


def test_folders_import_each_other_in_no_circle() -> None:
    try:
        TopologicalSorter(graph()).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {error.args[1]}")


def test_the_test_sees_an_import_that_goes_up(tmp_path: Path) -> None:
    file = tmp_path / "planted.py"
    file.write_text(
        "def f():\n    from riverrun.cli import main\n    from .. import tasks\n    import riverrun.models.x\n"
    )
    assert imports(file, "riverrun.engine") == {"cli", "tasks", "models"}


HEAVY = ("torch", "numpy", "safetensors", "tokenizers", "matplotlib", "rich")


@pytest.mark.parametrize(
    "program",
    [
        "import riverrun",
        "from riverrun.cli.main import main; assert main(['--help']) == 0",
        "from riverrun.cli.main import main; assert main(['--version']) == 0",
        "from riverrun.cli.main import main; assert main(['train', '--help']) == 0",
        "from riverrun.cli.main import main; assert main(['sample', '--help']) == 0",
        "from riverrun.cli.main import main; assert main(['presets']) == 0",
        "from riverrun.cli.main import main; assert main(['train', '--hiden', '3']) == 2",
    ],
)
def test_help_and_import_wait_for_no_heavy_library(program: str) -> None:
    check = f"{program}\nimport sys\nloaded = [n for n in {HEAVY!r} if n in sys.modules]\nassert not loaded, loaded"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_every_public_name_can_be_had_from_the_front_door() -> None:
    import riverrun

    assert set(riverrun.__all__) <= set(dir(riverrun))
    for name in riverrun.__all__:
        assert getattr(riverrun, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'LangageModel'"):
        riverrun.LangageModel  # noqa: B018
