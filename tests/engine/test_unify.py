"""Is one program another one, up to names and order?"""

from __future__ import annotations

import pytest

from riverrun.engine.trace import maximum, sigmoid, tanh, trace
from riverrun.engine.unify import unify


def elman(step, state="h"):
    return trace(step, states=(state,))


PATTERN = elman(lambda x, U, h: tanh(x.a + U.a @ h) * 2 + sigmoid(x.b))


def test_names_and_order_do_not_matter():
    names = unify(PATTERN, elman(lambda x, U, s: sigmoid(x.q) + 2 * tanh(U.z @ s + x.z), state="s"))
    assert names == {("state", "h"): "s", ("x", "a"): "z", ("matmul", "a"): "z", ("x", "b"): "q"}


def test_the_order_of_three_terms_does_not_matter():
    pattern = elman(lambda x, U, h: tanh(x.a + (U.a @ h + x.b)))
    assert unify(pattern, elman(lambda x, U, h: tanh(x.b + x.a + U.a @ h)))


@pytest.mark.parametrize(
    "other",
    [
        lambda x, U, h: tanh(x.a + U.a @ h) * 3 + sigmoid(x.b),
        lambda x, U, h: tanh(x.a + U.a @ h) * 2 + tanh(x.b),
        lambda x, U, h: tanh(x.a + U.a @ h) * 2 - sigmoid(x.b),
        lambda x, U, h: tanh(x.a + U.a @ h) * 2 + sigmoid(x.a),
        lambda x, U, h: tanh(x.a + U.a @ (U.b @ h)) * 2 + sigmoid(x.b),
        lambda x, U, h: tanh(x.a + U.a @ h) * 2 + sigmoid(x.b) + h,
        lambda x, U, b, h: tanh(x.a + U.a @ h) * 2 + sigmoid(x.b) + b.c,
        lambda x, U, h: maximum(tanh(x.a + U.a @ h) * 2 + sigmoid(x.b), 0.0),
    ],
)
def test_another_recurrence_is_another(other):
    assert unify(PATTERN, elman(other)) is None


def test_one_key_of_the_program_cannot_stand_for_two_of_the_pattern():
    two = elman(lambda x, U, h: tanh(x.a + U.a @ h) + sigmoid(x.b + U.b @ h))
    assert unify(two, elman(lambda x, U, h: tanh(x.a + U.a @ h) + sigmoid(x.a + U.a @ h))) is None


def test_the_order_of_a_difference_matters():
    pattern = elman(lambda x, U, h: x.a - U.a @ h)
    assert unify(pattern, elman(lambda x, U, h: U.a @ h - x.a)) is None
    swapped = trace(lambda U, x, h, c: (U.a @ h + c, x.a + c), states=("h", "c"))
    assert unify(swapped, trace(lambda U, x, h, c: (x.a + c, U.a @ h + c), states=("h", "c"))) is None
