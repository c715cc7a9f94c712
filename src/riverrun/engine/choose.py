"""Which path runs a scan, and the sentence why. Nothing falls back silently: the reason is part of the choice.

native     the C++ engine: any program on the CPU, in single and double precision
torch      torch's own kernel, where the program equals it exactly
parallel   a scan of log depth over time, where the states enter only linearly
fused      one autograd.Function for any program: buffers forward, the adjoint program backward
eager      the autograd loop: the definition of correct; also what functorch, forward mode and create_graph need
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from riverrun.engine import kernels, native, parallel
from riverrun.engine.program import Program
from riverrun.errors import UsageError, nearest

PATHS = ("native", "torch", "parallel", "fused", "eager")
KERNEL_NAMES = {"lstm": "LSTM", "gru": "GRU", "rnn_tanh": "tanh RNN", "rnn_relu": "ReLU RNN"}


@dataclass(frozen=True, slots=True)
class Choice:
    """The path, and why it and not one that stands before it in the list."""

    path: str
    reason: str


NATIVE = Choice("native", "The native engine, which serves every program on the CPU.")


def choose(
    program: Program,
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    steps: int = 0,
    record: tuple[str, ...] = (),
    cuts: int = 0,
    masked: bool = False,
    learned_masks: bool = False,
    learning: bool = True,
    transformed: str = "",
    path: str | None = None,
) -> Choice:
    """The path of a scan.

    Args:
        program: what is to run.
        device: "cpu", "cuda", ...: the type of the device.
        dtype: what it is computed in.
        steps: T, or 0 where it is not known.
        record: the names that are to be recorded.
        cuts: at how many steps an override acts.
        masked: whether masks are given.
        learned_masks: whether a gradient of a mask is wanted.
        learning: whether a gradient is wanted.
        transformed: what else wants to see through the operations, such as "vmap"; "" where nothing does.
        path: one of the paths, to force it.

    Raises UsageError where `path` is unknown, or cannot serve; the message says why.
    """
    seen = transformed or ("a gradient of a mask is wanted" if learned_masks else "")
    unserved = seen or native.refusal(device, dtype)
    if path is None and not unserved:
        return NATIVE
    refusals = {
        "native": unserved,
        "torch": seen or _kernel_refusal(program, record, masked),
        "parallel": seen or _parallel_refusal(program),
        "fused": seen,
        "eager": "",
    }
    if path is not None:
        if path not in refusals:
            raise UsageError(f"path: expected one of {', '.join(PATHS)}; came {path!r}.{nearest(path, PATHS)}")
        if refusals[path]:
            raise UsageError(
                f"path: {path!r} cannot serve here: {refusals[path]}. Leave `path` out to let it be chosen."
            )
        return Choice(path, f"The {path} path, which was asked for.")
    slower = _slower(program, device, dtype, steps, cuts, learning)
    aside = "" if seen else f" ({_capital(refusals['native'])}.)"
    if not refusals["torch"] and not slower:
        match = kernels.match(program)
        assert match is not None
        return Choice(
            "torch", f"torch's {KERNEL_NAMES[match.kernel]} kernel, which this program equals exactly.{aside}"
        )
    if not refusals["parallel"]:
        return Choice("parallel", f"A parallel scan over time, since the new states are linear in the old ones.{aside}")
    if not refusals["fused"]:
        why = slower or refusals["torch"]
        return Choice("fused", f"The fused loop, since {why}.{aside}")
    return Choice("eager", f"The autograd loop, since {refusals['fused']}.")


def _capital(clause: str) -> str:
    return clause[:1].upper() + clause[1:]


def _kernel_refusal(program: Program, record: tuple[str, ...], masked: bool) -> str:
    if kernels.match(program) is None:
        return "torch has no kernel that equals this program"
    inner = [name for name in record if name != program.states[0]]
    if inner:
        return f"torch's kernel does not show {', '.join(inner)}, which is to be recorded"
    return "torch's kernel knows no masks" if masked else ""


def _parallel_refusal(program: Program) -> str:
    return "" if parallel.match(program) is not None else "the new states are not linear in the old ones"


def _slower(program: Program, device: str, dtype: torch.dtype, steps: int, cuts: int, learning: bool) -> str:
    """Why torch's kernel, though it could, would be slower than the fused loop.

    On the CPU only torch's LSTM is a kernel of its own (oneDNN); its GRU and RNN are loops with autograd inside. On one
    AVX-512 core (T 100, B 64, I 128, H 512, float32) forward and backward took 413 ms for torch's GRU and 358 ms for
    the fused loop, 118 and 108 ms for the tanh RNN; at T 25, B 1, H 100, 2.5 and 2.1 ms, 0.87 and 0.73 ms. Without
    gradient torch's are faster on small batches (0.36 and 0.61 ms for that GRU).
    """
    match = kernels.match(program)
    if match is None:
        return ""
    if steps and cuts * 8 > steps:
        return f"torch's kernel would be cut at {cuts} of {steps} steps, where states are overridden"
    if device == "cpu" and match.kernel != "lstm" and learning:
        return (
            f"torch's {KERNEL_NAMES[match.kernel]} on the CPU is a loop itself, and slower where a gradient is wanted"
        )
    if device == "cpu" and match.projection is not None:
        return "oneDNN has no LSTM with projections"
    if device == "cpu" and match.kernel == "lstm" and dtype == torch.float64:
        return "torch's LSTM on the CPU is fast in single precision only"
    return ""
