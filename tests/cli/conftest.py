"""A trained run, and `riverrun` as a function that gives back what a shell would see."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cli.material import SMALL, TEXT, Done, Killed, Riverrun

from riverrun.cli.main import main


@pytest.fixture
def riverrun(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Riverrun:
    """The command line in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Done:
        capfd.readouterr()
        code = main([str(a) for a in arguments])
        out, err = capfd.readouterr()
        return Done(code, out, err)

    return call


@pytest.fixture
def shell(tmp_path: Path) -> Riverrun:
    """The command line in a process of its own, as a user's shell starts it."""

    def call(*arguments: str, stdin: bytes = b"") -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "riverrun", *arguments],
            input=stdin,
            capture_output=True,
            cwd=tmp_path,
            timeout=120,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    return call


@pytest.fixture
def killed(tmp_path: Path) -> Killed:
    """The command line in a process of its own that is killed with signal 9 after that update."""
    program = """
import os, signal, sys
from riverrun.training.update import Updater

real, last = Updater.update, int(sys.argv.pop(1))

def update(self, *args, step, **kwargs):
    made = real(self, *args, step=step, **kwargs)
    if step == last:
        os.kill(os.getpid(), signal.SIGKILL)
    return made

Updater.update = update
from riverrun.cli.main import main
sys.exit(main())
"""

    def call(step: int, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-c", program, str(step), *arguments],
            capture_output=True,
            cwd=tmp_path,
            timeout=200,
            check=False,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()

    return call


@pytest.fixture(scope="session")
def _trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "text.txt").write_text(TEXT)
    arguments = ["train", str(folder / "text.txt"), "-o", str(folder / "run"), "--steps", "6", "--no-baselines", *SMALL]
    assert main(arguments) == 0
    return folder


@pytest.fixture
def run(_trained: Path, tmp_path: Path) -> Path:
    """A copy of a run of 6 steps on TEXT, whose data lie where they lay."""
    shutil.copytree(_trained / "run", tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """TEXT as a file."""
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return path
