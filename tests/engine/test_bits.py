"""The native engine's bits depend on nothing that a row does not consist of: see bits.py."""

from __future__ import annotations

from random import Random

import pytest
from engine import bits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from riverrun.engine.library import library

pytestmark = pytest.mark.skipif(library().handle is None, reason=library().reason)


@pytest.mark.parametrize("check", bits.CHECKS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_the_bits_are_the_same_for(check, engine, seed):
    random = Random(seed)
    assert bits.CHECKS[check](bits.random_call(random), random)
