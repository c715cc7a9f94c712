"""The suite has teeth: bugs planted in a copy of the source are killed (mutate.py lists and plants them)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import mutate
import pytest

QUICK = ("swap-i-f", "reset-after", "kernel-drops-b-hh", "forget-bias-plus-1", "mix-up-states")


def run(*names: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: the children of this one would have imported riverrun already."""
    command = [sys.executable, str(Path(mutate.__file__)), *names]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=1500)


def test_every_plant_has_its_place_in_the_source(tmp_path):
    for name, plant in mutate.PLANTS.items():
        text = (mutate.SOURCE / "riverrun" / plant.file).read_text(encoding="utf-8")
        assert text.count(plant.old) == 1, f"{name}: {plant.file} has changed; plant the bug anew in mutate.py"
        for test in plant.tests:
            assert (mutate.TESTS / test).exists(), name


def test_the_plants_of_the_promise_are_all_there():
    bugs = " | ".join(f"{name} {plant.bug}" for name, plant in mutate.PLANTS.items())
    for promised in (
        "swap-i-f", "swap-r-z", "z for 1 - z", "reset after for before", "reset before for after", "drop-b-hh",
        "forget bias + 1", "no-tanh-on-c", "layers and directions mixed up", "reverse is not reversed",
        "dropout between layers is ignored in training", "dropout between layers is active in evaluation",
        "off-by-one",
    ):  # fmt: skip
        assert promised in bugs


@pytest.mark.timeout(240)
def test_a_handful_of_planted_bugs_is_killed():
    done = run(*QUICK)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("killed") == len(QUICK)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_planted_bug_is_killed():
    done = run()
    assert done.returncode == 0, done.stdout + done.stderr
