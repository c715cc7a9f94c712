"""This machine: its name, its cores, and what it can do at best, measured: multiply-adds a second, bytes a second.

A small C function is compiled here where there is a compiler; else torch.mm stands for the peak, and there is no
bandwidth.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

BURST = 0.01  # seconds of one measurement
BURSTS = 25  # the best of so many counts, since what disturbs can only slow down; beside it their median

SOURCE = r"""
#if defined(__AVX512F__)
enum { BYTES = 64, CHAINS = 16 };
#elif defined(__AVX__)
enum { BYTES = 32, CHAINS = 12 };
#else
enum { BYTES = 16, CHAINS = 16 };
#endif
typedef float Vector __attribute__((vector_size(BYTES)));

long flops_a_round(void) { return 2L * CHAINS * (BYTES / sizeof(float)); }

/* independent chains of v = v * a + b, enough to hide the latency; from unequal starts, or the compiler keeps one */
float multiply_add(long rounds, float a, float b) {
    Vector v[CHAINS], va = a - (Vector){}, vb = b - (Vector){}, sum = {};
    for (int k = 0; k < CHAINS; k++) v[k] = (float)k - (Vector){};
    for (long r = 0; r < rounds; r++) {
#pragma GCC unroll 16
        for (int k = 0; k < CHAINS; k++) v[k] = v[k] * va + vb;
    }
    for (int k = 0; k < CHAINS; k++) sum += v[k];
    return sum[0];
}

/* reads n floats, a multiple of 8 vectors, `rounds` times */
float sweep(long rounds, const float* p, long n) {
    Vector v[8] = {}, sum = {};
    for (long r = 0; r < rounds; r++) {
        const Vector* q = (const Vector*)p;
        for (long i = 0; i < n / (long)(BYTES / sizeof(float)); i += 8) {
#pragma GCC unroll 8
            for (int k = 0; k < 8; k++) v[k] += q[i + k];
        }
        __asm__ volatile("" ::: "memory");
    }
    for (int k = 0; k < 8; k++) sum += v[k];
    return sum[0];
}
"""


def cpu_name() -> str:
    """As the system calls it."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if platform.system() == "Darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    return platform.processor() or platform.machine()


def cores(count: int) -> list[int]:
    """So many processors that are cores of their own; fewer where the machine, or this process, has no more.

    Empty where a process cannot be tied to processors.
    """
    if not hasattr(os, "sched_getaffinity"):
        return []
    found, seen = [], set()
    for cpu in sorted(os.sched_getaffinity(0)):
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        core = siblings.read_text().strip() if siblings.exists() else str(cpu)
        if core not in seen:
            seen.add(core)
            found.append(cpu)
    return found[:count]


def caches() -> dict[str, int]:
    """Bytes of the caches that the first core sees: {"L2": ..., "L3": ...}; empty where the system does not say."""
    found = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind = (index / "level").read_text().strip(), (index / "type").read_text().strip()
        if kind != "Instruction":
            found[f"L{level}"] = int((index / "size").read_text().strip().removesuffix("K")) * 1024
    return found


def versions(names: tuple[str, ...]) -> dict[str, str]:
    """What is installed of these."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


class Machine:
    """What was measured here, and the way to measure more.

    urgent: under real-time priority, for a machine that others use, too
    """

    def __init__(self, urgent: bool = False) -> None:
        self._library, self._urgent = _compiled(), urgent
        self._bandwidths: dict[tuple[int, int], float | None] = {}
        self._peaks: dict[int, list[float]] = {}

    @functools.cached_property
    def compiled(self) -> bool:
        """Whether there was a compiler."""
        return self._library is not None

    def peak(self, threads: int) -> float:
        """Single-precision operations a second at best; a multiply-add is two."""
        return max(self._rates(threads))

    def usual(self, threads: int) -> float:
        """The same in the median of the bursts: clocks change and neighbours come, so the best lasts for moments."""
        return statistics.median(self._rates(threads))

    def _rates(self, threads: int) -> list[float]:
        if self._library is None:
            return [_torch_peak(threads)]
        if threads not in self._peaks:
            library = self._library
            rates = self._bursts(threads, lambda _, rounds: library.multiply_add(rounds, 0.999, 0.001), 10_000)
            self._peaks[threads] = [float(library.flops_a_round()) * rate for rate in rates]
        return self._peaks[threads]

    def bandwidth(self, size: int, threads: int) -> float | None:
        """Bytes a second when that many bytes in all are read again and again, each thread its share."""
        key = (size, threads)
        if key not in self._bandwidths:
            self._bandwidths[key] = self._bandwidth(size, threads)
        return self._bandwidths[key]

    def _bandwidth(self, size: int, threads: int) -> float | None:
        if self._library is None:
            return None
        library, block = self._library, 512  # bytes of 8 vectors
        share = max(1, size // threads // block) * block
        memory = [(ctypes.c_char * (share + 64))() for _ in range(threads)]
        starts = [ctypes.addressof(m) + -ctypes.addressof(m) % 64 for m in memory]
        rounds = max(1, (1 << 22) // share)
        return share * max(self._bursts(threads, lambda k, n: library.sweep(n, starts[k], share // 4), rounds))

    def _bursts(self, threads: int, work: Callable[[int, int], None], rounds: int) -> list[float]:
        """Rounds a second of all threads together, burst by burst; work(k, rounds) is the part of thread k."""

        def burst(threads: int, rounds: int) -> float:
            return _together(threads, lambda k: work(k, rounds), self._urgent)

        while (seconds := burst(1, rounds)) < BURST:
            rounds = int(rounds * max(2.0, BURST / seconds))
        return [rounds * threads / burst(threads, rounds) for _ in range(BURSTS)]


def _compiled() -> _Library | None:
    """The C functions above, or None without a compiler."""
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "peak.c", Path(folder) / "peak.so"
        source.write_text(SOURCE)
        for tune in ("-march=native", "-mcpu=native"):
            options = [tune, "-O3", "-ffp-contract=fast", "-mprefer-vector-width=512"]
            for flags in (options, options[:-1]):
                command = [compiler, *flags, "-shared", "-fPIC", "-o", str(target), str(source)]
                if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                    return _Library(ctypes.CDLL(str(target)))
    return None


class _Library:
    """The C functions with their types, callable by keyword."""

    def __init__(self, library: ctypes.CDLL) -> None:
        library.flops_a_round.restype = ctypes.c_long
        library.multiply_add.argtypes = [ctypes.c_long, ctypes.c_float, ctypes.c_float]
        library.multiply_add.restype = ctypes.c_float
        library.sweep.argtypes = [ctypes.c_long, ctypes.c_void_p, ctypes.c_long]
        library.sweep.restype = ctypes.c_float
        self._library = library

    def flops_a_round(self) -> int:
        return int(self._library.flops_a_round())

    def multiply_add(self, rounds: int, a: float, b: float) -> None:
        self._library.multiply_add(rounds, a, b)

    def sweep(self, rounds: int, start: int, count: int) -> None:
        self._library.sweep(rounds, start, count)


def _together(threads: int, work: Callable[[int], None], urgent: bool) -> float:
    """Seconds from the first thread's start to the last one's end, each on a core of its own.

    ctypes lets go of Python's lock, so they do run at the same time.
    """
    places = cores(threads)
    ready = threading.Barrier(threads)
    spans: list[tuple[float, float]] = []

    def run(k: int) -> None:
        if places:
            os.sched_setaffinity(0, {places[k % len(places)]})  # of this thread alone
        if urgent:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        ready.wait()
        began = time.perf_counter()
        work(k)
        spans.append((began, time.perf_counter()))

    running = [threading.Thread(target=run, args=(k,)) for k in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return max(end for _, end in spans) - min(began for began, _ in spans)


def _torch_peak(threads: int) -> float:
    """The best of torch.mm, where nothing can be compiled: below the true peak on some processors."""
    import torch

    torch.set_num_threads(threads)
    n = 512
    a, b = torch.randn(n, n), torch.randn(n, n)
    out, best = torch.empty(n, n), 0.0
    for _ in range(200):
        began = time.perf_counter()
        torch.mm(a, b, out=out)
        best = max(best, 2.0 * n**3 / (time.perf_counter() - began))
    return best
