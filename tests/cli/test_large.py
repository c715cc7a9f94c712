"""Corpora larger than memory: tokenised once, mapped from disk ever after; reading them is shown."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli.material import SMALL, TEXT, Riverrun

from riverrun.cli import watch
from riverrun.data import tokens
from riverrun.tasks.text import prepare, writing


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Lets 1000 bytes be too many for memory; the list says of every array whether it was mapped."""
    monkeypatch.setattr(tokens, "IN_MEMORY", 1000)
    seen: list[bool] = []
    real = prepare.tokenise

    def spied(*arguments: object, **options: bool) -> tokens.Tokens:
        found = real(*arguments, **options)  # type: ignore[arg-type]
        seen.append(isinstance(found.ids, np.memmap))
        return found

    monkeypatch.setattr(prepare, "tokenise", spied)
    return seen


def test_a_large_corpus_is_stored_beside_the_run_and_mapped_by_every_verb(
    riverrun: Riverrun, text: Path, tmp_path: Path, mapped: list[bool]
) -> None:
    train = ["train", "text.txt", "--steps", "3", *SMALL, "--no-baselines"]
    done = riverrun(*train, "-o", "runs/a")
    assert done.code == 0, done.err
    home, *more = (tmp_path / "runs" / "token-arrays").iterdir()
    assert not more
    assert f"mapped from {home.resolve()}" in done.out
    written = (home / "ids.bin").stat().st_mtime_ns
    for verb in (["sample", "runs/a", "-n", "5"], ["eval", "runs/a", "--no-baselines"], [*train, "-o", "runs/b"]):
        assert riverrun(*verb).code == 0
    toml = tmp_path / "runs" / "a" / "run.toml"
    toml.write_text(toml.read_text().replace("steps = 3", "steps = 5"))
    assert riverrun("resume", "runs/a", "--no-baselines").code == 0
    assert mapped == [True] * 5
    assert (home / "ids.bin").stat().st_mtime_ns == written, "tokenised once"


def test_what_is_mapped_trains_to_the_weights_of_what_lies_in_memory(
    riverrun: Riverrun, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = ["train", "text.txt", "--steps", "3", "--patience", "5", *SMALL, "--no-baselines"]
    assert riverrun(*train, "-o", "whole").code == 0
    monkeypatch.setattr(tokens, "IN_MEMORY", 1000)
    assert riverrun(*train, "-o", "runs/mapped").code == 0
    whole, other = (tmp_path / name / "model" / "model.safetensors" for name in ("whole", "runs/mapped"))
    assert whole.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    "verb",
    [
        ["train", "text.txt", "--steps", "3", *SMALL, "--dry-run", "-o", "runs/a"],
        ["data", "peek", "text.txt"],
        ["eval", "run/model", "text.txt"],
    ],
)
def test_what_only_looks_maps_from_a_folder_that_it_takes_away_again(
    verb: list[str], riverrun: Riverrun, text: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "IN_MEMORY", 1000)
    aside = tmp_path / "aside"
    aside.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(aside))
    seen: list[Path] = []
    real = tokens._load

    def spied(home: Path, *arguments: Any) -> tokens.Tokens | None:
        found = real(home, *arguments)
        seen.extend([home] if found is not None else [])
        return found

    monkeypatch.setattr(tokens, "_load", spied)
    assert riverrun(*verb).code == 0
    [home] = seen
    assert home.is_relative_to(aside)
    assert list(aside.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aside", "run", "text.txt"]


def test_a_text_too_long_to_compare_with_is_not_read_for_it(
    riverrun: Riverrun, run: Path, mapped: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "MOST_COMPARED", 100)
    done = riverrun("sample", "run", "-n", "5")
    assert "not compared with the training text, which has more than" in done.err
    assert mapped == []


class Terminal(io.StringIO):
    """A stream that is one."""

    def isatty(self) -> bool:
        return True


def test_reading_is_a_bar_in_a_terminal_and_lines_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LARGE", 1000)
    monkeypatch.setenv("TERM", "xterm")
    lines: list[str] = []
    plain, screen = watch.Reading(io.StringIO(), lines.append), Terminal()
    shown = watch.Reading(screen, lines.append)
    for _ in range(2):  # the vocabulary, the tokens
        for done in range(0, 2001, 10):
            plain(done, 2000)
            shown(done, 2000)
    shown.close()
    assert [line.split()[1] for line in lines[:3]] == ["10%", "20%", "30%"]
    assert 18 <= len(lines) <= 22
    assert "reading" in screen.getvalue()
    assert "2.0/2.0 kB" in screen.getvalue()
    plain(1, 999)
    assert len(lines) <= 22, "what is small is not told"


def test_training_shows_how_far_reading_is(riverrun: Riverrun, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LARGE", 1000)
    done = riverrun("train", "text.txt", "--steps", "1", *SMALL, "--no-baselines", "-o", "run")
    assert done.code == 0, done.err
    assert f"reading    100% of {len(TEXT) / 1e6:,.0f} MB" in done.out
