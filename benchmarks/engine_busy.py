"""What the machine's other work does to a pass, and what a pass does to torch's own operations after it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import engine_peers
from engine_peers import Ready

SIZE = 512  # of the product that is timed after a pass


def make(peer: str, *, threads: int, **case: Any) -> Ready:
    """The calls of engine_peers.py, and four that time a torch.mm alone:

    mm after mm      right after itself, all in the caches
    mm after torch   right after elementwise operations of torch, as long as a pass and over as much memory
    mm after a pause right after as long a loop of Python's own, in which torch's threads have gone to sleep
    mm after a pass  right after a forward pass
    """
    ready = engine_peers.make(peer, threads=threads, **case)
    import torch

    a, b, out = torch.randn(SIZE, SIZE), torch.randn(SIZE, SIZE), torch.empty(SIZE, SIZE)
    forward = ready.calls["forward"]
    forward()
    began = time.perf_counter()
    forward()
    length = time.perf_counter() - began
    T, B, I, H = case["shape"]
    touched = torch.zeros(T, B, I + 5 * H)  # input, gates, output

    def product() -> float:
        began = time.perf_counter()
        torch.mm(a, b, out=out)
        return time.perf_counter() - began

    def work() -> None:
        end = time.perf_counter() + length
        while time.perf_counter() < end:
            for part in touched:
                part.tanh_()

    def pause() -> None:
        end = time.perf_counter() + length
        while time.perf_counter() < end:
            pass

    def after(before: Callable[[], Any]) -> float:
        before()
        return product()

    calls = {
        "mm after mm": lambda: after(product),
        "mm after torch": lambda: after(work),
        "mm after a pause": lambda: after(pause),
        "mm after a pass": lambda: after(forward),
    }
    return replace(ready, calls={**ready.calls, **calls})
