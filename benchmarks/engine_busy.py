"""What the machine's other work does to a pass, and what a pass does to torch's own operations after it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import engine_peers
import numpy as np
from engine_peers import Ready

SIZE = 512  # of the product that is timed after a pass


def make(peer: str, *, threads: int, **case: Any) -> Ready:
    """The calls of engine_peers.py, and three that time a torch.mm alone:

    mm after mm      right after itself
    mm after a pause right after work of Python's own, as long as a pass, that touched as much memory
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
    touched = np.zeros(T * B * (I + 6 * H), np.float32)

    def product() -> float:
        began = time.perf_counter()
        torch.mm(a, b, out=out)
        return time.perf_counter() - began

    def pause() -> None:
        end = time.perf_counter() + length
        touched.sum()
        while time.perf_counter() < end:
            pass

    def after(work: Callable[[], Any]) -> float:
        work()
        return product()

    calls = {
        "mm after mm": lambda: after(product),
        "mm after a pause": lambda: after(pause),
        "mm after a pass": lambda: after(forward),
    }
    return replace(ready, calls={**ready.calls, **calls})
