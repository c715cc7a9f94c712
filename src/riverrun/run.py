"""The run folder: where everything about one run lies, never overwritten, readable without riverrun.

runs/NAME/  run.toml data.json env.json log.jsonl train.log checkpoints/ model/ eval/ samples/ report.html
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from riverrun.errors import DataError, ModelError
from riverrun.files import write_atomic


class RunFolder(NamedTuple):
    """The paths of a run."""

    path: Path

    @property
    def configuration(self) -> Path:
        """run.toml: resolved and commented."""
        return self.path / "run.toml"

    @property
    def model(self) -> Path:
        """model/: portable, enough to predict on another machine."""
        return self.path / "model"

    @property
    def checkpoints(self) -> Path:
        """checkpoints/: a folder a step, and the pointers `last` and `best`."""
        return self.path / "checkpoints"

    @property
    def evaluation(self) -> Path:
        """eval/: metrics with intervals, baselines, surprises."""
        return self.path / "eval"

    @property
    def samples(self) -> Path:
        """samples/: texts that the model wrote."""
        return self.path / "samples"

    @property
    def report(self) -> Path:
        """report.html: one file, opens offline."""
        return self.path / "report.html"

    @property
    def log(self) -> Path:
        """log.jsonl: one JSON an event."""
        return self.path / "log.jsonl"

    @property
    def tokens(self) -> Path:
        """token-arrays/, beside the run, for the runs of one folder together: corpora too large for memory."""
        return token_arrays(self.path)

    @property
    def transcript(self) -> Path:
        """train.log: what the terminal showed."""
        return self.path / "train.log"

    def write_json(self, name: str, content: Any) -> Path:
        """Write `name` (relative) as JSON, atomically."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, (json.dumps(content, indent=1, ensure_ascii=False, default=str) + "\n").encode())
        return path

    def read_json(self, name: str) -> Any:
        """Read `name` (relative) as JSON. Raises DataError where it is missing or not JSON."""
        path = self.path / name
        try:
            return json.loads(path.read_bytes())
        except OSError as error:
            raise DataError(
                f"{path}: cannot be read ({error.strerror}). Is {self.path} a complete run folder?"
            ) from None
        except ValueError as error:
            raise DataError(f"{path}: not JSON ({error}). Restore the file from a copy.") from None


def token_arrays(run: Path) -> Path:
    """Where the token arrays of a run lie that are mapped from disk; they are known before the run has its folder."""
    return run.parent / "token-arrays"


def create(wanted: Path) -> RunFolder:
    """Make a new run folder: `wanted`, or `wanted-2`, `wanted-3`, ... where that is taken. Never touches an old one."""
    if wanted.exists() and not wanted.is_dir():
        raise DataError(f"{wanted}: is a file, where a run folder was to be made. Choose another name with -o.")
    number = 1
    while True:
        path = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            path.mkdir(parents=True, exist_ok=False)
            return RunFolder(path)
        except FileExistsError:
            number += 1
        except NotADirectoryError:
            raise DataError(
                f"{path}: cannot be made, since a part of that path is a file. Choose another with -o."
            ) from None
        except OSError as error:
            raise DataError(f"{path}: cannot be made ({error.strerror}). Choose another folder with -o.") from None


def open_run(path: Path) -> RunFolder:
    """The run folder at `path`. Raises DataError where there is none."""
    if not path.exists():
        raise DataError(f"{path}: not found. Expected a run folder, as `riverrun train` makes it.")
    run = RunFolder(path)
    if not run.configuration.is_file():
        raise DataError(f"{path}: not a run folder: it has no run.toml. Expected a folder that `riverrun train` made.")
    return run


def model_folder(path: Path) -> Path | None:
    """The model folder of a run folder, or `path` itself where it is a model folder.

    None for a run that was killed before it had one: what it has learnt lies in its checkpoints. Raises ModelError
    where `path` is neither.
    """
    if not path.exists():
        raise ModelError(f"{path}: not found. Expected a run folder or a model folder.")
    if (path / "model").is_dir():
        return path / "model"
    if (path / "config.json").is_file() or (path / "manifest.json").is_file():
        return path
    if (path / "checkpoints").is_dir():
        return None
    raise ModelError(f"{path}: neither a run folder nor a model folder: no model/ and no config.json in it.")


def default_name(files: Sequence[str]) -> Path:
    """Where a run goes that was given no `-o`: runs/ and the name of the first file.

    >>> str(default_name(["texts/plays.txt.gz"]))
    'runs/plays'
    """
    if not files:
        return Path("runs/built-in")
    first = Path(files[0])
    stem = "stdin" if files[0] == "-" else (first.name or first.resolve().name)
    return Path("runs") / (stem.lstrip(".").split(".")[0] or "run")


def environment(command: Sequence[str], choices: Mapping[str, Any]) -> dict[str, Any]:
    """What env.json holds: versions, machine, command, and what was chosen (device, kernel, precision) and why."""
    from importlib import metadata

    versions = {}
    for name in ("riverrun", "torch", "numpy", "safetensors", "tokenizers"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "command": list(command),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor": processor(),
        "processors": available_processors(),
        "versions": versions,
        **choices,
    }


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def available_processors() -> int:
    """How many processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
