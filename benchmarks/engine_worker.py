"""A peer in a process of its own, stopped by a signal while another one runs.

Two OpenMP runtimes in one process, or threads that spin while they wait, slow each other by up to a thousand times. So
every peer has a process, all on the same processors; the one whose turn it is runs, and the others are stopped
(SIGSTOP), spinning threads included. Requests and answers are lines of JSON.

`Worker` is the end that asks; run as a script, this is the end that answers.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from engine_peers import Absent

PACKAGES = {  # what a peer must be able to import, where that is not torch
    "JAX scan": ("jax",),
    "ONNX Runtime": ("onnx", "onnxruntime"),
    "OpenVINO": ("onnx", "openvino"),
}
PATIENCE = 600.0  # seconds for one answer; then the peer is given up
WARM = 0.05  # a call that takes longer than this is not run once more at the begin of its turn
TOLERANCE = 1e-4  # single precision: largest difference, as a share of the largest element


class Worker:
    """The end that asks.

    name: the peer. threads, cpus: how many threads it may use, and on which processors.
    urgent: whether it is timed under real-time priority, for a machine that others use, too (Linux, with the right to)
    """

    def __init__(self, name: str, threads: int, cpus: list[int], urgent: bool = False) -> None:
        self.name, self._urgent = name, urgent
        libraries = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        self._process = subprocess.Popen(
            [sys.executable, __file__, name, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            # The time that torch.compile takes is to be that of the first time.
            env=os.environ | dict.fromkeys(libraries, str(threads)) | {"TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"},
            # Before any import: JAX takes as many threads as the process has processors.
            preexec_fn=(lambda: os.sched_setaffinity(0, cpus)) if cpus else None,
        )
        self.alive = True

    def ask(self, **request: Any) -> dict[str, Any]:
        """One answer; {"error": why} where there is none. The peer runs during this call only."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if not self.alive:
            return {"error": "its process has ended"}
        urgent = self._urgent and request["op"] == "time"
        try:
            if urgent:
                self._hurry(True)
            self._process.send_signal(signal.SIGCONT)
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            heard, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
            line = self._process.stdout.readline() if heard else b""
        except BrokenPipeError:
            line = b""
        if not line:
            self.close()
            return {"error": f"its process ended, or gave no answer for {PATIENCE:.0f} s"}
        self._process.send_signal(signal.SIGSTOP)
        if urgent:
            self._hurry(False)
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _hurry(self, urgent: bool) -> None:
        policy, priority = (os.SCHED_RR, 1) if urgent else (os.SCHED_OTHER, 0)
        for thread in os.listdir(f"/proc/{self._process.pid}/task"):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setscheduler(int(thread), policy, os.sched_param(priority))

    def close(self) -> None:
        """End the process."""
        self.alive = False
        self._process.kill()  # reaches a stopped one, too
        self._process.wait()


def serve(name: str, threads: int) -> None:
    """The end that answers: "make", "time" and "about", one JSON line each, until the pipe closes."""
    _die_with_parent()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not stand between the answers
    desk = _Desk(name, threads)
    for line in sys.stdin:
        request = json.loads(line)
        operation = request.pop("op")
        try:
            answer = getattr(desk, operation)(**request)
        except Absent as absent:
            answer = {"absent": str(absent)}
        except Exception as error:  # one peer's failure is a line in the table
            where = traceback.extract_tb(error.__traceback__)[-1]
            answer = {"error": f"{type(error).__name__}: {error} ({Path(where.filename).name}, line {where.lineno})"}
        answers.write(json.dumps(answer) + "\n")


class _Desk:
    """What a peer's process holds between requests: the case that is ready."""

    def __init__(self, name: str, threads: int) -> None:
        self._name, self._threads = name, threads
        self._ready: Any = None
        self._last: dict[str, float] = {}

    def about(self) -> dict[str, Any]:
        """Whether the peer can be imported, and what it says of itself."""
        for package in PACKAGES.get(self._name, ("torch",)):
            try:
                importlib.import_module(package)
            except ImportError as error:
                return {"absent": str(error)}
        found: dict[str, Any] = {}
        if self._name == "riverrun":
            import torch

            from riverrun.engine.library import library

            engine = library()
            found = {"torch_capability": torch.backends.cpu.get_cpu_capability(), "engine": engine.isa or engine.reason}
        return found

    def make(self, section: str, write: str = "", compare: str = "", **case: Any) -> dict[str, Any]:
        """Make a case ready, and compare its arrays with those in the file `compare`, or write them to `write`."""
        self._ready, self._last = None, {}
        gc.collect()
        module = importlib.import_module(f"engine_{section}")
        self._ready = ready = module.make(self._name, threads=self._threads, **case)
        arrays = ready.arrays()
        answer: dict[str, Any] = {"calls": list(ready.calls), "notes": ready.notes, "units": ready.units}
        if write:
            np.savez(write, **arrays)
        if compare:
            with np.load(compare) as expected:
                answer["differences"] = {name: _difference(value, expected[name]) for name, value in arrays.items()}
        gc.collect()
        return answer

    def time(self, call: str, seconds: float, most: int = 1_000_000) -> dict[str, Any]:
        """The seconds of each call, for about so many seconds, one call at least. The first is not counted if short."""
        run, found = self._ready.calls[call], []
        gc.disable()
        try:
            if self._last.get(call, 0.0) < WARM:
                self._last[call] = _timed(run)
            began = time.perf_counter()
            while True:
                found.append(_timed(run))
                if time.perf_counter() - began + found[-1] / 2 > seconds or len(found) >= most:
                    break
        finally:
            gc.enable()
        self._last[call] = found[-1]
        return {"seconds": found}


def _timed(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    said = call()
    ended = time.perf_counter()
    return said if isinstance(said, float) else ended - began


def _difference(value: Any, expected: Any) -> float:
    if value.shape != expected.shape or not np.isfinite(value).all():
        return float("inf")
    largest = float(np.abs(expected).max(initial=0.0))
    return float(np.abs(value - expected).max(initial=0.0)) / (largest or 1.0)


def _die_with_parent() -> None:
    """A stopped process would outlive a parent that was killed."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder for the arrays to compare: in memory where the system has such a place."""
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(dir=memory if memory.is_dir() and os.access(memory, os.W_OK) else None)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
