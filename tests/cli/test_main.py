"""The frame of the command line: help, version, verbs, exit codes for what is nobody's mistake."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from cli.material import Riverrun

import riverrun as package
from riverrun import tasks
from riverrun.cli import main as cli
from riverrun.configuration import settings
from riverrun.errors import DataError, Diverged


def test_help_lists_every_verb_with_what_it_does(riverrun: Riverrun) -> None:
    done = riverrun("--help")
    assert done.code == 0
    for verb, home in cli.VERBS.items():
        assert f"  {verb}" in done.out
        assert import_module(home).SUMMARY in done.out


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_help_with_json(riverrun: Riverrun, verb: str) -> None:
    done = riverrun(verb, "--help")
    assert done.code == 0
    assert "--json" in done.out
    assert f"usage: riverrun {verb}" in done.out


def test_every_key_of_every_section_is_an_option_of_train(riverrun: Riverrun) -> None:
    shown = riverrun("train", "--help").out
    for schema in tasks.schemas().values():
        for setting in settings(schema):
            assert setting.flag in shown
            assert setting.help, f"{setting.name} has no help"


def test_the_help_of_one_task_has_its_options_alone(riverrun: Riverrun) -> None:
    for given in (["--task", "tag", "--help"], ["--help", "--task=tag"]):
        shown = riverrun("train", *given).out
        assert "--crf" in shown
        assert "--lanes" not in shown
    whole = riverrun("train", "--help").out
    assert "--crf" in whole
    assert "--lanes" in whole
    assert riverrun("train", "--task", "tga", "--help").code == 2


def test_a_flag_of_another_task_is_refused_by_name(riverrun: Riverrun, text: Path) -> None:
    done = riverrun("train", "text.txt", "--crf", "--preset", "tiny")
    assert done.code == 2
    assert "--crf: not an option of task lm, only of tag" in done.err


def test_an_option_of_another_task_is_answered_with_the_like_of_this_one(riverrun: Riverrun, tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text("".join(f"w{i}\tv{i}\n" for i in range(9)))
    done = riverrun("train", "pairs.tsv", "--tokens", "words")
    assert done.code == 2
    assert "Task seq2seq has --source-tokens and --target-tokens." in done.err


def test_no_verb_is_a_usage_error_that_shows_the_verbs(riverrun: Riverrun) -> None:
    done = riverrun()
    assert done.code == 2
    assert "train" in done.out


def test_version(riverrun: Riverrun) -> None:
    assert riverrun("--version").out == f"riverrun {package.__version__}\n"


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), 1, "out of memory"),
        (OSError(28, "No space left on device", "runs/x"), 3, "runs/x: No space left on device"),
        (DataError("a sentence."), 3, "a sentence."),
        (Diverged("a sentence."), 4, "a sentence."),
    ],
)
def test_what_goes_wrong_has_a_sentence_and_a_code(
    riverrun: Riverrun, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, words: str
) -> None:
    def fail(arguments: object) -> int:
        raise error

    monkeypatch.setattr(import_module("riverrun.cli.presets"), "run", fail)
    done = riverrun("presets")
    assert done.code == code
    assert words in done.err
    assert "Traceback" not in done.err


def test_a_bug_shows_its_traceback(riverrun: Riverrun, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(arguments: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(import_module("riverrun.cli.presets"), "run", fail)
    with pytest.raises(ZeroDivisionError):
        riverrun("presets")


def test_a_reader_that_goes_away_ends_the_command_quietly(run: Path) -> None:
    command = [sys.executable, "-m", "riverrun", "sample", str(run), "-n", "200000", "--no-novelty"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(5)
        process.stdout.close()
        error = process.stderr.read().decode()
        process.wait(timeout=60)
    assert "Traceback" not in error
    assert process.returncode == 0


@pytest.mark.parametrize(("own", "told"), [({}, "10000 None"), ({"OMP_WAIT_POLICY": "passive"}, "None passive")])
def test_threads_do_not_spin_for_long_unless_the_user_says_how(own: dict[str, str], told: str) -> None:
    code = (
        "import os; from riverrun.cli.main import main; main(['--version']); "
        "print(os.environ.get('GOMP_SPINCOUNT'), os.environ.get('OMP_WAIT_POLICY'))"
    )
    unset = {key: value for key, value in os.environ.items() if key not in cli.WAITING}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=unset | own, check=True)
    assert done.stdout.splitlines()[-1] == told
