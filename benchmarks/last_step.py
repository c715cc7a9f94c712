"""Gradients of a long sequence that come from its last step alone, as a classifier's do, beside torch.nn's.

    python benchmarks/last_step.py [--steps 2000] [--batch 16] [--input 32] [--hidden 128] [--rounds 5]

On their way back they shrink below the numbers of full precision, with which x86 processors are slow. First the check:
both give the same gradients, up to what is below. Then the backward passes are timed in turns, one thread, medians;
beside them the same with a gradient at every step.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import Tensor

import riverrun.nn

LAYERS = {
    "LSTM": (riverrun.nn.LSTM, torch.nn.LSTM),
    "GRU": (riverrun.nn.GRU, torch.nn.GRU),
    "RNN": (riverrun.nn.RNN, torch.nn.RNN),
}


def backward(layer: torch.nn.Module, x: Tensor, arriving: Tensor) -> tuple[float, list[Tensor]]:
    """Seconds of one backward pass, and the gradients of the input and the weights."""
    output, _ = layer(x)
    began = time.perf_counter()
    found = torch.autograd.grad(output, (x, *layer.parameters()), arriving)
    return time.perf_counter() - began, list(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {"steps": 2000, "batch": 16, "input": 32, "hidden": 128, "rounds": 5}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x = torch.randn(asked.steps, asked.batch, asked.input, requires_grad=True)
    every = torch.randn(asked.steps, asked.batch, asked.hidden)
    last = torch.zeros_like(every)
    last[-1] = every[-1]
    print(f"{'':6} {'gradient at':12} {'riverrun':>10} {'torch.nn':>10} {'ratio':>6}")
    for name, makers in LAYERS.items():
        ours, theirs = (maker(asked.input, asked.hidden) for maker in makers)
        ours.load_state_dict(theirs.state_dict())
        for where, arriving in {"last step": last, "every step": every}.items():
            pairs = zip(backward(ours, x, arriving)[1], backward(theirs, x, arriving)[1], strict=True)
            differences = [float((a - b).abs().max() / b.abs().max()) for a, b in pairs]
            if not all(difference <= 1e-4 for difference in differences):
                raise SystemExit(f"{name}, {where}: the gradients differ by {max(differences):.2g} of the largest")
            rounds = [(backward(ours, x, arriving)[0], backward(theirs, x, arriving)[0]) for _ in range(asked.rounds)]
            a, b = (statistics.median(times) * 1000 for times in zip(*rounds, strict=True))
            print(f"{name:6} {where:12} {a:7.1f} ms {b:7.1f} ms {b / a:6.2f}", flush=True)


if __name__ == "__main__":
    main()
