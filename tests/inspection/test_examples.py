"""The examples in the docstrings of the inspection hold."""

from __future__ import annotations

import doctest
import pkgutil
from importlib import import_module

import pytest

from riverrun import inspection

MODULES = [module.name for module in pkgutil.walk_packages(inspection.__path__, "riverrun.inspection.")]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_docstring_are_true(name):
    assert doctest.testmod(import_module(name)).failed == 0
