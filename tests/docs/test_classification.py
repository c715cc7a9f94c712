"""The page on classification: its commands and its Python run, on names small enough for a test."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from riverrun import tasks
from riverrun.cli.main import main
from riverrun.configuration import settings

PAGE = (Path(__file__).parents[2] / "docs" / "classification.md").read_text(encoding="utf-8")
NAMES = {"Japanese": ["Sato", "Abe", "Aoki", "Endo"], "Greek": ["Adamou", "Kouros", "Zenos", "Pavlos"]}


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "names").mkdir()
    for language, found in NAMES.items():
        items = [f"{name}{end}" for name in found for end in ("", "a", "i", "ki", "mo", "ra", "s", "tu", "yo", "ne")]
        (tmp_path / "names" / f"{language}.txt").write_text("\n".join(items))
    monkeypatch.chdir(tmp_path)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_commands_run(names: None, capsys: pytest.CaptureFixture[str]) -> None:
    (commands,) = blocks("")
    for line in commands.strip().splitlines():
        verb = shlex.split(line)[1:]
        small = ["--epochs", "1", "--hidden", "8", "--threads", "1"] if verb[0] == "train" else []
        assert main([*verb, *small]) == 0, line
    out = capsys.readouterr().out
    assert re.search(r"^label1\tprobability1\t.*text$", out, flags=re.MULTILINE)


def test_the_python_runs(names: None, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("python")
    exec(code.replace('preset="names"', 'preset="names", epochs=1, hidden=8, threads=1, verbose=False'), {})
    assert re.search(r"'(Greek|Japanese)'", capsys.readouterr().out)


def test_every_option_of_its_own_is_told_of() -> None:
    known = {setting.flag for setting in settings(tasks.find("classify").sections)}
    told = set(re.findall(r"--[a-z][a-z-]+", PAGE)) - {"--preset", "--json", "--no-bidirectional"}
    assert told <= known
