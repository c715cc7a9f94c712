"""The learning rate at every share of the budget, what counts as the budget, and when something is due."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from riverrun.training.options import SCHEDULES, StreamTraining
from riverrun.training.schedules import Budget, Selection, due, rate


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        ("cosine", [1.0, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2, 0.0]),
        ("linear", [1.0, 0.75, 0.5, 0.25, 0.0]),
        ("constant", [1.0] * 5),
        ("plateau", [1.0] * 5),
    ],
)
def test_the_shapes_of_the_schedules(schedule, values):
    assert [rate(schedule, f) for f in (0, 0.25, 0.5, 0.75, 1)] == pytest.approx(values)


def test_warm_up_rises_from_nothing_and_multiplies_the_shape():
    assert [rate("constant", f, warmup=0.2) for f in (0, 0.05, 0.1, 0.2, 0.9)] == pytest.approx([0, 0.25, 0.5, 1, 1])
    assert rate("linear", 0.1, warmup=0.2) == pytest.approx(0.9 * 0.5)


def test_the_end_is_the_final_share_and_stays_so():
    for schedule in ("cosine", "linear"):
        assert rate(schedule, 1.0, final=0.1) == pytest.approx(0.1)
        assert rate(schedule, 7.0, final=0.1) == pytest.approx(0.1)


@given(st.sampled_from(SCHEDULES), st.floats(0, 2), st.floats(0, 1), st.floats(0, 1))
def test_the_rate_is_always_a_share(schedule, fraction, warmup, final):
    assert 0 <= rate(schedule, fraction, warmup=warmup, final=final) <= 1 + 1e-12


def test_the_budget_that_is_used_most_counts():
    budget = Budget(steps=100, epochs=2.0, seconds=60.0)
    assert budget.fraction(10, 1.0, 6.0) == pytest.approx(0.5)
    assert budget.fraction(10, 0.1, 54.0) == pytest.approx(0.9)
    assert budget.fraction(100, 0.1, 6.0) == 1.0
    assert Budget().fraction(10, 1, 1) == 0.0


def test_a_reserve_shortens_the_time_but_never_below_half():
    assert Budget(seconds=60.0).fraction(0, 0, 30, reserve=20) == pytest.approx(0.75)
    assert Budget(seconds=60.0).fraction(0, 0, 30, reserve=1000) == pytest.approx(1.0)
    assert Budget(steps=10).fraction(5, 0, 30, reserve=1000) == pytest.approx(0.5)


def test_minutes_are_seconds():
    assert Budget.of(StreamTraining(minutes=2.0, steps=7)) == Budget(seconds=120.0, steps=7)


def test_something_is_due_every_so_many_steps():
    assert [step for step in range(1, 13) if due(5, step, 0, 0)] == [5, 10]


@pytest.mark.parametrize("steps", [10, 37, 1000])
def test_without_a_number_of_steps_something_is_due_ten_times(steps):
    times = [step for step in range(1, steps + 1) if due(0, step, (step - 1) / steps, step / steps)]
    assert len(times) == 10
    assert times[-1] == steps


def test_a_step_that_jumps_over_several_tenths_is_due_once():
    assert due(0, 1, 0.0, 0.55)
    assert not due(0, 2, 0.55, 0.58)


def test_the_best_is_kept_and_nan_never_is():
    selection = Selection()
    seen = [selection.update(step, value) for step, value in enumerate([math.nan, 2.0, 1.0, 1.0, 1.5, math.nan, 0.5])]
    assert seen == [False, True, True, False, False, False, True]
    assert (selection.best, selection.best_step, selection.since) == (0.5, 6, 0)


def test_a_plateau_halves_the_rate_at_each_evaluation_without_improvement():
    selection = Selection()
    for step, value in enumerate([2.0, 3.0, 1.0, 1.5]):
        selection.update(step, value)
    assert selection.factor_of("plateau") == 0.25
    assert selection.factor_of("cosine") == 1.0
