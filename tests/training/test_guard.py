"""Bad numbers never reach the weights, and many in a row end the run with the batch named."""

from __future__ import annotations

import math

import pytest

from riverrun.errors import Diverged
from riverrun.training.guard import LIMIT, Guard


@pytest.mark.parametrize(("nats", "norm"), [(math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan), (1.0, math.inf)])
def test_a_bad_batch_is_skipped_and_counted(nats, norm):
    guard = Guard()
    assert guard.passes(1.0, 1.0, step=1, batch="a")
    assert not guard.passes(nats, norm, step=2, batch="b")
    assert (guard.skipped, guard.in_a_row) == (1, 1)


def test_a_good_batch_in_between_starts_the_count_anew():
    guard = Guard()
    for step in range(3 * LIMIT):
        guard.passes(math.nan if step % LIMIT else 1.0, 1.0, step=step, batch="x")
    assert guard.skipped == 3 * (LIMIT - 1)


@pytest.mark.parametrize(("nats", "norm", "named"), [(math.nan, 1.0, "the loss"), (1.0, math.inf, "gradient's norm")])
def test_several_in_a_row_end_the_run_and_name_the_batch(nats, norm, named):
    guard = Guard()
    for step in range(LIMIT - 1):
        guard.passes(nats, norm, step=step, batch="x")
    with pytest.raises(Diverged, match=f"step 7: .*{named}.*at position 300.*Lower --lr"):
        guard.passes(nats, norm, step=7, batch="at position 300 of the stream")
    assert Diverged("").exit_code == 4
