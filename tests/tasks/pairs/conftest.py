"""A model that has learnt to spell: `abc` becomes `A B C`."""

from __future__ import annotations

import pytest
from tasks.pairs.material import Taught, taught


@pytest.fixture(scope="session")
def spelling() -> Taught:
    """A small model with attention, taught for a second or two, with everything it was made of."""
    return taught(attention="general", beam=3)


@pytest.fixture(scope="session")
def thought() -> Taught:
    """The same without attention, hardly taught."""
    return taught(attention="none", steps=5)
