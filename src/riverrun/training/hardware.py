"""The device, and the number format of its products: each chosen with the sentence why."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NamedTuple

import torch

from riverrun.engine.library import library
from riverrun.errors import OptionError


class Precision(NamedTuple):
    """What the weights are kept in, what the products are made in, and why.

    weights: the dtype of parameters and optimiser: float32, or float64 where that was asked for.
    products: the dtype of autocast, or None where products are made in the weights' own dtype.
    """

    weights: torch.dtype
    products: torch.dtype | None
    reason: str

    @property
    def name(self) -> str:
        """`bfloat16`, as on the command line."""
        return str(self.products or self.weights).removeprefix("torch.")

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """The context in which a loss is computed; weights and optimiser stay in `weights`."""
        if self.products is None:
            return nullcontext()
        # cache_enabled would keep bfloat16 copies of the weights beyond the update that changes them.
        return torch.autocast(device.type, dtype=self.products)


def use_threads(count: int) -> None:
    """Let torch and the native engine use that many threads on the CPU; 0 leaves the choice to torch.

    Raises OptionError for more than four times the processors: they would only wait for each other.
    """
    most = 4 * (os.cpu_count() or 1)
    if count > most:
        raise OptionError("threads", f"expected at most {most} (four for each processor of this machine), got {count}.")
    if count:
        torch.set_num_threads(count)


@contextmanager
def no_subnormal_results() -> Iterator[None]:
    """Inside, results too small for full precision (float32: below 1.2e-38) are zero, in this thread and in torch's.

    x86 processors compute with such numbers some hundred times slower, and training makes them: Adam's mean of a
    gradient that stays zero, as that of a rare word's vector does, shrinks by a tenth a step and is stuck at 5e-45
    after 1,000. An update of 20,000 such vectors of 256 took 48 ms instead of 3.5.

    Nothing changes on other processors, without the native engine, and where torch's threads cannot be reached: a
    result must not depend on the thread that computes it.
    """
    handle = library().handle
    if handle is None or handle.rr_flushes_subnormals() != 0:
        yield
        return
    handle.rr_flush_subnormals(1)
    try:
        yield
    finally:
        handle.rr_flush_subnormals(0)


def choose_device(name: str) -> torch.device:
    """`auto` is the first GPU where there is one, else the CPU. Raises OptionError for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise OptionError("device", f"expected auto, cpu, cuda or cuda:N; got {name!r}.") from None
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            raise OptionError("device", f"got {name!r}, and this machine shows torch {count} GPUs. Use cpu or auto.")
    elif device.type != "cpu":
        raise OptionError("device", f"expected auto, cpu, cuda or cuda:N; got {name!r}.")
    return device


def _cpu_multiplies_bfloat16() -> bool:
    # AMX is the unit that makes bfloat16 products pay; avx512_bf16 alone gains nothing over float32 once the casts are
    # paid for. `get_capabilities` is torch >= 2.11; the private name is older.
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    if capabilities is not None:
        return bool(capabilities().get("amx_bf16", False))
    older = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(older and older())


FEW_ROWS = (
    8  # an LSTM of 512 on one AMX core: bfloat16 took 1.3 times float32's time for 1 row, 0.85 for 8, 0.34 for 64
)


def choose_precision(name: str, device: torch.device, *, rows: int = 64, ragged: bool = False) -> Precision:
    """The precision of that name; `auto` is bfloat16 where the device multiplies it natively, else float32.

    rows: lanes of a batch; on the CPU, casting the weights costs more than a product with few rows gains.
    ragged: sequences of different lengths, which on the CPU the native engine runs in float32, 1.05 to 4 times as fast.
    """
    if name == "float64":
        return Precision(torch.float64, None, "asked for")
    if name == "float32":
        return Precision(torch.float32, None, "asked for")
    if name == "float16" and device.type == "cpu":
        raise OptionError("precision", "CPUs have no float16 recurrent layers. Use bfloat16, or a GPU.")
    if name in ("bfloat16", "float16"):
        return Precision(torch.float32, getattr(torch, name), "asked for; weights and optimiser stay in float32")
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return Precision(torch.float32, torch.bfloat16, "the GPU multiplies bfloat16 natively")
        return Precision(torch.float32, None, "the GPU does not multiply bfloat16 natively")
    if _cpu_multiplies_bfloat16():
        if ragged:
            return Precision(torch.float32, None, "sequences of different lengths run in the native engine")
        if rows < FEW_ROWS:
            return Precision(torch.float32, None, f"with fewer than {FEW_ROWS} lanes bfloat16 is not faster")
        return Precision(torch.float32, torch.bfloat16, "the CPU multiplies bfloat16 natively (amx_bf16)")
    return Precision(torch.float32, None, "the CPU has no amx_bf16, so bfloat16 would not be faster")
