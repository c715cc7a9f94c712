"""Device and precision are chosen for a reason that is told, and what is not there is refused."""

from __future__ import annotations

import platform

import pytest
import torch

from riverrun.engine.library import library
from riverrun.errors import UsageError
from riverrun.training import hardware
from riverrun.training.hardware import choose_device, choose_precision

CPU = torch.device("cpu")


def test_auto_is_a_gpu_only_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == "cuda"


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "mps", "meta", ""])
def test_a_device_that_is_not_there_is_refused(name):
    with pytest.raises(UsageError, match=r"^device: "):
        choose_device(name)


@pytest.mark.parametrize(("has", "products"), [(True, torch.bfloat16), (False, None)])
def test_auto_is_bfloat16_exactly_where_the_cpu_multiplies_it(monkeypatch, has, products):
    monkeypatch.setattr(hardware, "_cpu_multiplies_bfloat16", lambda: has)
    precision = choose_precision("auto", CPU)
    assert precision.products is products
    assert precision.weights is torch.float32
    assert "amx_bf16" in precision.reason


def test_auto_is_float32_for_a_handful_of_lanes(monkeypatch):
    monkeypatch.setattr(hardware, "_cpu_multiplies_bfloat16", lambda: True)
    assert choose_precision("auto", CPU, rows=1).products is None
    assert choose_precision("auto", CPU, rows=8).products is torch.bfloat16
    assert choose_precision("auto", CPU, rows=8, ragged=True).products is None
    assert choose_precision("bfloat16", CPU, rows=8, ragged=True).products is torch.bfloat16


def test_a_torch_without_the_list_of_capabilities_is_asked_for_amx(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    for answer in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda answer=answer: answer, raising=False)
        assert hardware._cpu_multiplies_bfloat16() is answer


def test_weights_stay_in_float32_unless_float64_is_asked_for():
    assert choose_precision("bfloat16", CPU).weights is torch.float32
    assert choose_precision("float64", CPU)[:2] == (torch.float64, None)
    assert [choose_precision(name, CPU).name for name in ("float32", "bfloat16", "float64")] == [
        "float32",
        "bfloat16",
        "float64",
    ]


def test_float16_is_refused_on_the_cpu_with_what_to_do():
    with pytest.raises(UsageError, match="Use bfloat16"):
        choose_precision("float16", CPU)


def test_products_are_made_in_the_chosen_format_within_the_context_only():
    a = torch.ones(2, 2)
    with choose_precision("bfloat16", CPU).autocast(CPU):
        assert (a @ a).dtype is torch.bfloat16
    with choose_precision("float32", CPU).autocast(CPU):
        assert (a @ a).dtype is torch.float32
    assert (a @ a).dtype is torch.float32


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def nonzero(numbers):
    """How many are still there after a product with 1."""
    return int(numbers.mul(1).view(torch.int32).count_nonzero())


def test_subnormal_numbers_are_zero_for_all_of_torchs_threads_and_only_in_the_context(two_threads):
    numbers = torch.full((1 << 20,), 2.0**-130)  # so many are shared among the threads
    assert nonzero(numbers) == len(numbers)  # and these threads are there before the mode is
    with hardware.subnormals_are_zero():
        left = nonzero(numbers)
        with hardware.subnormals_are_zero():
            pass
        assert nonzero(numbers) == left
    assert nonzero(numbers) == len(numbers)
    if library().handle is not None and platform.machine() in ("x86_64", "AMD64"):
        assert left == 0
    else:
        assert left < len(numbers) or not torch.set_flush_denormal(False)


def test_a_mode_that_was_there_before_stays(two_threads):
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor does not flush denormals")
    try:
        with hardware.subnormals_are_zero():
            pass
        assert nonzero(torch.full((1,), 2.0**-130)) == 0
    finally:
        torch.set_flush_denormal(False)
