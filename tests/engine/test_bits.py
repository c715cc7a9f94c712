"""The native engine's bits depend on nothing that a row does not consist of: see bits.py."""

from __future__ import annotations

import shutil
from random import Random

import pytest
from engine import bits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from riverrun.engine import frame, native
from riverrun.engine.library import FILE, find, library

pytestmark = pytest.mark.skipif(library().handle is None, reason=library().reason)


def instruction_sets():
    """Those that are compiled and that this processor has, the widest first."""
    there, names = library(), []
    while there.handle is not None and (name := there.handle.rr_compiled(len(names))):
        names.append(name.decode())
    return names


@pytest.fixture(params=instruction_sets(), scope="module")
def engine(request, tmp_path_factory):
    """The engine with this instruction set, and as many threads as torch has however small the work is."""
    name = request.param
    copy = shutil.copy(library().path, tmp_path_factory.mktemp(name) / FILE)
    there = find({"RIVERRUN_LIBRARY": str(copy), "RIVERRUN_ISA": name})
    if there.handle is None:
        pytest.skip(there.reason)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "library", lambda: there)
        patch.setattr(frame, "GRAIN", 1)
        for cached in (native._entry, frame.forward_frame, frame.backward_frame):
            cached.cache_clear()
        yield name
    for cached in (native._entry, frame.forward_frame, frame.backward_frame):
        cached.cache_clear()


@pytest.mark.parametrize("check", bits.CHECKS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_the_bits_are_the_same_for(check, engine, seed):
    random = Random(seed)
    assert bits.CHECKS[check](bits.random_call(random), random)
