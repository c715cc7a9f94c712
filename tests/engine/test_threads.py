"""The native engine's threads: every part runs once, whoever calls, and nothing hangs."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest
import torch

from riverrun.engine.library import lend_threads, library

pytestmark = pytest.mark.skipif(library().handle is None, reason=library().reason)


@pytest.fixture(params=["ours", "torch's"], autouse=True)
def threads_of(request: pytest.FixtureRequest) -> Iterator[str]:
    """Whose threads help."""
    library().handle.rr_borrow(None)
    if request.param == "torch's" and not lend_threads(library().handle):
        pytest.skip("this torch has no runtime that can lend threads")
    yield request.param
    lend_threads(library().handle)


class Trial(NamedTuple):
    """Of each innermost part: how often it ran, on which thread, and half of 1.2e-38 as that thread computes it."""

    times: np.ndarray
    thread: np.ndarray
    halved: np.ndarray


def run(threads: int, parts: int, loops: int = 1, depth: int = 0) -> Trial:
    size = max(parts, 0) ** (depth + 1)
    trial = Trial(np.zeros(size, np.int32), np.zeros(size, np.uint64), np.full(size, np.nan, np.float32))
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in trial]
    library().handle.rr_trial(threads, parts, ctypes.c_int64(loops), depth, *pointers)
    return trial


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("parts", [0, 1, 2, 3, 8, 100])
@pytest.mark.parametrize("depth", [0, 1])
def test_every_part_runs_once(threads, parts, depth):
    for _ in range(20):
        assert (run(threads, parts, depth=depth).times == 1).all()


def test_more_threads_and_parts_than_the_pool_can_count_still_run():
    assert (run(1000, 1000).times == 1).all()
    assert (run(2, 70_000).times == 1).all()


def test_the_first_part_runs_on_the_caller_and_others_help_up_to_the_number_given(threads_of):
    helping = 3 if threads_of == "ours" else min(3, torch.get_num_threads())  # torch's team is as large as torch's own
    seen = set()
    until = time.monotonic() + 60
    while len(seen) < helping and time.monotonic() < until:
        thread = run(3, 64, loops=20_000).thread
        assert thread[0] == run(1, 1).thread[0]
        assert len(set(thread)) <= 3
        seen |= set(thread)
    assert len(seen) == helping  # the same ones in every call


def test_calls_from_many_python_threads_at_once():
    def many(seed):
        draw = np.random.default_rng(seed)
        return all(
            (run(int(draw.integers(1, 5)), int(draw.integers(1, 9)), int(draw.integers(1, 3000))).times == 1).all()
            for _ in range(300)
        )

    with ThreadPoolExecutor(8) as executor:
        assert all(executor.map(many, range(8)))


def test_calls_with_pauses_in_which_the_helpers_fall_asleep():
    for pause in (0.0, 1e-5, 2e-5, 3e-5, 1e-4, 1e-3):
        for _ in range(50):
            time.sleep(pause)
            assert (run(2, 2).times == 1).all()


def test_helpers_compute_in_the_callers_floating_point_mode():
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor does not flush denormals")
    try:
        for flush in (True, False, True, False):
            torch.set_flush_denormal(flush)
            for _ in range(20):
                assert ((run(4, 64, loops=2000).halved == 0) == flush).all()
    finally:
        torch.set_flush_denormal(False)


def in_a_child(work) -> int:
    """The exit status of a forked child that does `work`; it is killed after a minute."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if work() else 2
        finally:
            os._exit(status)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise AssertionError("the forked child hangs")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("pause", [0, 0.01])
def test_a_forked_child_has_threads_of_its_own(pause):
    for _ in range(10):
        run(4, 4)
        time.sleep(pause)
        assert in_a_child(lambda: all((run(3, 8, loops=1000).times == 1).all() for _ in range(100))) == 0
        assert (run(4, 4).times == 1).all()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_in_the_middle_of_another_threads_call():
    with ThreadPoolExecutor(1) as executor:
        for _ in range(10):
            busy = executor.submit(run, 4, 64, 30_000)
            assert in_a_child(lambda: all((run(3, 8).times == 1).all() for _ in range(100))) == 0
            assert (busy.result().times == 1).all()


FORK = "child = os.fork(); trial(4, 8, 1000); child and os.waitpid(child, 0)"
EXITS = {
    "after use": "trial(4, 8)",
    "asleep": "trial(4, 8); time.sleep(0.1)",
    "in a daemon thread's call": "start(trial, 4, 64, 10**7)",
    "in a daemon thread's endless calls": "start(forever)",
    "with an exception": "trial(4, 8); raise SystemExit(0)",
    "forked": "trial(4, 8); " + FORK,
    "forked before the first use": "import torch; x = torch.randn(512, 512); x @ x; " + FORK,
}


@pytest.mark.parametrize(
    ("how", "threads_of"),
    [
        *((how, "ours") for how in EXITS),
        *((how, "torch's") for how in EXITS if "fork" in how or "endless" in how),
    ],
    indirect=["threads_of"],
)
def test_a_process_ends_without_hanging(how, threads_of):
    program = f"""
{"import torch" if threads_of == "torch's" else ""}
import ctypes, os, threading, time
import numpy as np
from riverrun.engine.library import lend_threads, library
def trial(threads, parts, loops=1):
    arrays = [np.zeros(parts, t) for t in (np.int32, np.uint64, np.float32)]
    pointers = [ctypes.c_void_p(a.ctypes.data) for a in arrays]
    library().handle.rr_trial(threads, parts, ctypes.c_int64(loops), 0, *pointers)
def forever():
    while True:
        trial(4, 8, 1000)
def start(*call):
    threading.Thread(target=call[0], args=call[1:], daemon=True).start()
    time.sleep(0.05)
{EXITS[how]}
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("threads_of", ["ours"], indirect=True)  # torch's look for work for a while
def test_an_idle_engine_uses_no_processor_time(threads_of):
    run(4, 8)
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.1
