"""The figures of a step event are means over tokens since the one before."""

from __future__ import annotations

import json
import math

from riverrun.training.tally import PAUSE, Tally, plain


def test_nats_are_weighted_by_tokens_and_begin_anew_after_each_event():
    tally = Tally(tokens=100, seconds=10.0)
    tally.add(30.0, 10)
    tally.add(2.0, 2)
    assert tally.flush(112, 14.0) == {"tokens": 112, "nats": 32 / 12, "tokens_per_second": 3.0}
    tally.add(8.0, 4)
    assert tally.flush(116, 15.0) == {"tokens": 116, "nats": 2.0, "tokens_per_second": 4.0}
    assert tally.last == 2.0


def test_a_loss_that_is_not_finite_does_not_spoil_the_mean():
    tally = Tally(tokens=0, seconds=0.0)
    tally.add(math.nan, 10)
    assert tally.flush(10, 1.0)["nats"] is None
    tally.add(math.nan, 10)
    tally.add(5.0, 5)
    assert tally.flush(25, 2.0)["nats"] == 1.0


def test_events_are_rare_and_rarer_in_a_long_run():
    tally = Tally(tokens=0, seconds=0.0)
    assert not tally.due(PAUSE * 0.9)
    assert tally.due(PAUSE)
    tally.flush(0, 4000.0)
    assert not tally.due(4001.9)
    assert tally.due(4002.1)


def test_values_for_json_are_finite_or_null():
    assert json.dumps([plain(1.5), plain(math.nan), plain(-math.inf)], allow_nan=False) == "[1.5, null, null]"
