"""Device and precision are chosen for a reason that is told, and what is not there is refused."""

from __future__ import annotations

import platform

import pytest
import torch

from riverrun.engine.library import lend_threads, library
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


def there(numbers):
    """How many are left after a product with 1."""
    return int(numbers.mul(1).view(torch.int32).count_nonzero())


def test_no_result_is_subnormal_in_any_of_torchs_threads_inside_the_context_only(two_threads):
    numbers = torch.full((1 << 20,), 2.0**-126)  # so many are shared among the threads
    half, all_of_them = numbers / 2, len(numbers)
    handle = library().handle
    modes = handle is not None and handle.rr_flushes_subnormals() == 0
    assert there(half) == all_of_them  # and the threads are there before the mode is
    for _ in range(2):
        with hardware.no_subnormal_results():
            with hardware.no_subnormal_results():
                pass
            assert there(numbers / 2) == (0 if modes else all_of_them)
            assert (0 / half == 0).all()  # what is read still counts
        assert there(numbers / 2) == all_of_them
    with pytest.raises(ZeroDivisionError), hardware.no_subnormal_results():
        raise ZeroDivisionError
    assert there(numbers / 2) == all_of_them


def test_x86_with_the_engine_on_torchs_threads_has_the_mode():
    if library().handle is None or platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("no mode is worth it here")
    if not lend_threads(library().handle):
        pytest.skip("this torch has no runtime that can lend threads")
    assert library().handle.rr_flushes_subnormals() == 0


def test_a_mode_that_was_there_before_stays_as_it_was(two_threads):
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor does not flush denormals")
    numbers = torch.full((1 << 20,), 2.0**-126)
    before = there(numbers / 2)  # this thread's are zero, another one's may be
    with hardware.no_subnormal_results():
        assert there(numbers / 2) == before
    assert there(numbers / 2) == before
    torch.set_flush_denormal(False)
    assert there(numbers / 2) == len(numbers)
