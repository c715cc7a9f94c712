"""The native engine's elementary functions over the whole range of numbers, against exact ones.

They are called as a cell's step calls them: h' = f(h), one step of a state of many columns.
"""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch

from riverrun.engine.library import library
from riverrun.engine.scan import scan
from riverrun.engine.trace import (
    exp,
    log,
    maximum,
    minimum,
    relu,
    sigmoid,
    softplus,
    sqrt,
    square,
    tanh,
    trace,
)

pytestmark = pytest.mark.skipif(library().handle is None, reason=library().reason)

ULPS = 3.0  # units in the last place; measured over all floats: tanh 2.5, the others less
INFINITY = float("inf")
BITS = {torch.float32: torch.int32, torch.float64: torch.int64}
ELEMENTARY = {
    "exp": (exp, torch.exp, mpmath.exp),
    "log": (log, torch.log, mpmath.log),
    "tanh": (tanh, torch.tanh, mpmath.tanh),
    "sigmoid": (sigmoid, torch.sigmoid, lambda v: 1 / (1 + mpmath.exp(-v))),
    "softplus": (softplus, lambda v: torch.logaddexp(v, torch.zeros_like(v)), lambda v: mpmath.log1p(mpmath.exp(v))),
}
EXACT = {
    "sqrt": (sqrt, lambda v: torch.from_numpy(np.sqrt(v.numpy()))),
    "square": (square, torch.square),
    "relu": (relu, torch.relu),
    "abs": (abs, torch.abs),
    "neg": (lambda v: -v, torch.neg),
}


def applied(function, *states):
    """function(*states) of vectors [n], by the native engine; the length of a vector decides how it is cut up."""
    names = ("h", "k")[: len(states)]
    steps = {1: lambda x, h: function(h), 2: lambda x, h, k: (function(h, k), k)}
    program = trace(steps[len(states)], states=names)
    with torch.no_grad():
        found = scan(program, {}, states[0].new_zeros(1, 1, 1), [s[None] for s in states], path="native")
    return found.outputs[0, 0]


def numbers(dtype, count, seed=0):
    """Numbers of every size, both signs, denormal ones too, and all special ones."""
    generator = torch.Generator().manual_seed(seed)
    wide = torch.randint(-(2**63), 2**63 - 1, (count,), generator=generator, dtype=torch.int64)
    if dtype == torch.float32:
        wide = (wide >> 32).to(torch.int32)
    usual = torch.randn(count, generator=generator, dtype=torch.float64).to(dtype)
    tiny = torch.finfo(dtype).smallest_normal
    edges = [0.0, 1.0, INFINITY, tiny, tiny / 4, float(torch.finfo(dtype).max), 0.5, 2.0**-30, 2.0**-60]
    edges += [17.9, 18.1, 39.9, 40.1, 86.9, 87.4, 88.7, 88.8, 103.9, 104.1, 708.3, 709.7, 709.9, 745.1, 745.2, 746.1]
    special = torch.tensor([*edges, *(-e for e in edges), float("nan")], dtype=torch.float64).to(dtype)
    return torch.cat([wide.view(dtype), usual, usual * 30, usual * 300, special])


def errors(ours, exact):
    """Of float32 in units of the last place of the exact results, which are float64; both without NaN."""
    ours, exact = ours.double().numpy(), exact.numpy()
    unit = np.ldexp(1.0, np.maximum(np.frexp(exact)[1] - 24, -149))
    with np.errstate(invalid="ignore", over="ignore"):
        found = np.where(ours == exact, 0.0, np.abs(ours - exact) / unit)
    # what is past the largest number is as right there as at infinity
    largest = float(np.finfo(np.float32).max)
    past = np.abs(exact) > largest
    return np.where(past, np.where(np.abs(ours) >= largest, 0.0, INFINITY), found)


def same_nan(ours, expected):
    return torch.equal(ours.isnan(), expected.isnan())


@pytest.mark.parametrize("name", ELEMENTARY)
def test_single_precision_is_right_to_the_last_places_over_the_whole_range(name, engine):
    function, of_torch, _ = ELEMENTARY[name]
    v = numbers(torch.float32, 50_000)
    ours, exact = applied(function, v), of_torch(v.double())
    assert same_nan(ours, exact)
    there = ~exact.isnan()
    assert errors(ours[there], exact[there]).max() < ULPS


@pytest.mark.parametrize("name", ELEMENTARY)
def test_double_precision_is_right_to_the_last_places_over_the_whole_range(name, engine):
    function, of_torch, exactly = ELEMENTARY[name]
    v = numbers(torch.float64, 400)
    ours = applied(function, v)
    assert same_nan(ours, of_torch(v))
    with mpmath.workprec(200):
        for value, found in zip(v.tolist(), ours.tolist(), strict=True):
            if found != found or abs(value) == INFINITY or (name == "log" and value == 0):
                continue
            right = exactly(mpmath.mpf(value)) if value < 1e4 or name == "log" else large(name, value)
            if right > torch.finfo(torch.float64).max:
                assert found == INFINITY
                continue
            unit = mpmath.mpf(2) ** max(mpmath.frexp(right)[1] - 53, -1074) if right else mpmath.mpf(2) ** -1074
            assert abs(mpmath.mpf(found) - right) / unit < ULPS, (value, found)
    ends = torch.tensor([INFINITY, -INFINITY, *((0.0, -0.0) if name == "log" else ())], dtype=torch.float64)
    assert torch.equal(applied(function, ends).nan_to_num(nan=7.0), of_torch(ends).nan_to_num(nan=7.0))


def large(name, value):
    """Of a huge number; exp would take all memory."""
    return {"exp": mpmath.inf, "tanh": mpmath.mpf(1), "sigmoid": mpmath.mpf(1), "softplus": mpmath.mpf(value)}[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", ELEMENTARY)
def test_every_sixty_first_float_is_right_to_the_last_places(name, engine):
    function, of_torch, _ = ELEMENTARY[name]
    for begin in range(-(2**31), 2**31, 2**28):
        v = torch.arange(begin, begin + 2**28, 61, dtype=torch.int64).to(torch.int32).view(torch.float32)
        ours, exact = applied(function, v), of_torch(v.double())
        assert same_nan(ours, exact)
        there = ~exact.isnan()
        assert not there.any() or errors(ours[there], exact[there]).max() < ULPS


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_bounded_stays_within_its_bounds_and_what_rises_keeps_its_sign(dtype, engine):
    v = torch.cat([numbers(dtype, 20_000), torch.linspace(-50, 50, 100_001, dtype=dtype)])
    v = v[~v.isnan()]
    assert applied(tanh, v).abs().max() == 1
    assert torch.equal(applied(tanh, v).signbit(), v.signbit())
    assert torch.equal(applied(tanh, -v), -applied(tanh, v))
    assert applied(sigmoid, v).max() == 1
    assert not applied(sigmoid, v).signbit().any()
    assert (applied(softplus, v) >= applied(relu, v)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", EXACT)
def test_what_has_one_right_result_has_it(name, dtype, engine):
    function, of_torch = EXACT[name]
    v = numbers(dtype, 20_000)
    with np.errstate(invalid="ignore"):
        ours, exact = applied(function, v), of_torch(v)
    assert same_nan(ours, exact)
    assert torch.equal(ours.nan_to_num(nan=7.0), exact.nan_to_num(nan=7.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("function", "of_torch"),
    [
        (lambda a, b: a + b, torch.add),
        (lambda a, b: a - b, torch.sub),
        (lambda a, b: a * b, torch.mul),
        (lambda a, b: a / b, torch.div),
        (maximum, torch.maximum),
        (minimum, torch.minimum),
    ],
    ids=["add", "sub", "mul", "div", "maximum", "minimum"],
)
def test_operations_of_two_numbers_are_torchs(function, of_torch, dtype, engine):
    a = numbers(dtype, 10_000)
    b = torch.cat([a[-8_000:].flip(0), a[:-8_000]])
    few = numbers(dtype, 0)
    pairs = torch.cartesian_prod(few, few)
    a, b = torch.cat([a, pairs[:, 0]]), torch.cat([b, pairs[:, 1]])
    ours, exact = applied(function, a, b), of_torch(a, b)
    assert same_nan(ours, exact)
    assert torch.equal(ours.nan_to_num(nan=7.0), exact.nan_to_num(nan=7.0))


@pytest.mark.parametrize("function", [exp, log, tanh, sigmoid, softplus, sqrt])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_place_of_a_number_in_a_row_does_not_show_in_its_bits(function, dtype, engine):
    v = numbers(dtype, 100)[:300]
    whole = applied(function, v).view(BITS[dtype])
    for first in (0, 1, 5, 64, 131):
        for count in (1, 2, 7, 8, 15, 16, 17, 63, 64, 65):
            part = applied(function, v[first : first + count].clone())
            assert torch.equal(part.view(BITS[dtype]), whole[first : first + count])


@pytest.mark.parametrize(
    ("function", "of_torch"),
    [
        (relu, torch.relu),
        (abs, torch.abs),
        (lambda v: maximum(v, 0.5), lambda v: torch.maximum(v, torch.full_like(v, 0.5))),
        (square, torch.square),
        (sqrt, torch.sqrt),
        (exp, torch.exp),
        (log, torch.log),
        (tanh, torch.tanh),
        (sigmoid, torch.sigmoid),
        (softplus, torch.nn.functional.softplus),
    ],
    ids=["relu", "abs", "maximum", "square", "sqrt", "exp", "log", "tanh", "sigmoid", "softplus"],
)
def test_gradients_of_functions_are_torchs_also_at_corners_and_far_out(function, of_torch, engine):
    v = torch.tensor([-1000.0, -30.0, -1.5, -0.0, 0.0, 0.25, 0.5, 3.0, 30.0, 1000.0], dtype=torch.float64)
    slopes = []
    for path in ("native", "torch"):
        leaf = v.clone().requires_grad_()
        if path == "native":
            program = trace(lambda x, h: function(h), states=("h",))
            outputs = scan(program, {}, v.new_zeros(1, 1, 1), [leaf[None]], path="native").outputs
        else:
            outputs = of_torch(leaf)
        outputs.backward(torch.ones_like(outputs))
        slopes.append(leaf.grad)
    torch.testing.assert_close(slopes[0], slopes[1], rtol=1e-12, atol=4e-16, equal_nan=True)
