"""docs/seq2seq.md: its example runs, and it names every format, score and option of writing."""

from __future__ import annotations

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from riverrun.cli.main import main
from riverrun.data.pair_options import FORMATS, KINDS
from riverrun.tasks.pairs.options import SCORES, Decoding, Prediction

PAGE = (Path(__file__).parents[2] / "docs" / "seq2seq.md").read_text(encoding="utf-8")


def test_the_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [f"{a}{b}{c} {a.upper()} {b.upper()} {c.upper()}\n" for a in "bdg" for b in "klm" for c in "npt"]
    (tmp_path / "cmudict.dict").write_text("".join(lines))
    (tmp_path / "words.txt").write_text("bkn\ndlp\n")
    [block] = re.findall(r"```\n(riverrun train.*?)```", PAGE, flags=re.DOTALL)
    commands = [shlex.split(line) for line in block.splitlines()]
    assert len(commands) == 4
    for _, *arguments in commands:
        small = ["--steps", "2", "--hidden", "8", "--threads", "1"] if arguments[0] == "train" else []
        assert main([*arguments, *small]) == 0, arguments
    assert (tmp_path / "words.html").read_text().count("<svg") == 2
    assert "nothing" not in capfd.readouterr().err


def test_the_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    [code] = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    small = code.replace("minutes=1", "hidden=8, steps=2, verbose=False")
    assert small != code
    scope: dict[str, object] = {}
    exec(small, scope)
    assert scope["words"][-1] == "ninety nine"  # type: ignore[index]
    assert scope["digits"][-1] == "9 9"  # type: ignore[index]
    assert len(scope["words"]) == len(scope["digits"]) == 89  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [*FORMATS[1:], *KINDS[1:], *SCORES[1:]])
def test_every_format_kind_and_score_is_named(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_every_option_of_writing_is_named() -> None:
    options = {field.name for made in (Decoding, Prediction) for field in fields(made)}
    assert {name for name in options if f"--{name.replace('_', '-')}" not in PAGE} <= {"generic_tokens", "top_k"}
