"""Scoring: surprises are those of the tables, whatever the windows; suggestions are the likeliest."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from decoding.toy import Remembering, probabilities
from tolerances import TOLERANCE

from riverrun.decoding.scoring import WINDOW, annotation, next_tokens, score
from riverrun.errors import UsageError

CLOSE = TOLERANCE[torch.float64, "value"]


@pytest.mark.parametrize("length", [2, 5, WINDOW, WINDOW + 1, WINDOW + 2, 2 * WINDOW + 7])
def test_the_surprise_of_every_token_but_the_first_is_that_of_the_tables(length):
    model = Remembering(7)
    ids = np.random.default_rng(length).integers(0, 7, length).tolist()
    p = probabilities(model, ids)
    expected = [-math.log(p[i][ids[i + 1]]) for i in range(length - 1)]
    scores = score(model, ids, top=3)
    np.testing.assert_allclose(scores.nats, expected, **CLOSE)
    assert scores.perplexity == pytest.approx(math.exp(sum(expected) / len(expected)), rel=1e-10)
    for i in range(length - 1):
        assert scores.top_ids[i].tolist() == np.argsort(p[i])[::-1][:3].tolist()
        np.testing.assert_allclose(scores.top_probabilities[i], sorted(p[i], reverse=True)[:3], **CLOSE)


def test_a_carried_state_changes_the_first_prediction_only_as_the_text_before_would():
    model = Remembering(7)
    _, state = model(torch.tensor([[5]]), model.initial_state(1))
    whole, rest = score(model, [5, 1, 2, 6]), score(model, [1, 2, 6], state=state)
    np.testing.assert_allclose(rest.nats, whole.nats[1:], **CLOSE)
    assert not np.allclose(rest.nats, score(model, [1, 2, 6]).nats)


def test_one_token_has_no_surprise_and_no_perplexity():
    scores = score(Remembering(7), [3])
    assert scores.nats.shape == (0,)
    assert scores.top_ids.shape == (0, 5)
    assert math.isnan(scores.perplexity)


def test_more_alternatives_than_tokens_are_all_of_them_and_none_are_none():
    assert score(Remembering(4), [3, 1, 2], top=9).top_ids.shape == (2, 4)
    assert score(Remembering(4), [3, 1, 2], top=0).top_ids.shape == (2, 0)
    assert len(score(Remembering(4), [3, 1, 2], top=0).nats) == 2


def test_the_next_tokens_are_the_likeliest_after_the_whole_text():
    model = Remembering(7)
    ids = np.random.default_rng(1).integers(0, 7, WINDOW + 5).tolist()
    p = probabilities(model, ids)[-1]
    found = next_tokens(model, ids, k=4)
    assert [token for token, _ in found] == np.argsort(p)[::-1][:4].tolist()
    np.testing.assert_allclose([q for _, q in found], sorted(p, reverse=True)[:4], **CLOSE)


def test_scoring_neither_trains_nor_leaves_a_mode_behind():
    model = Remembering(4).train()
    score(model, [1, 2, 3])
    next_tokens(model, [1, 2])
    assert model.training
    assert model.modes == {(False, False)}


def test_an_annotation_has_three_lists_of_one_length_and_survives_json():
    record = json.loads(json.dumps(annotation(score(Remembering(4), [0, 1, 3], top=2), "abcd".__getitem__)))
    assert record["tokens"] == ["a", "b", "d"]
    assert record["nats"][0] is None
    assert record["top"][0] == []
    assert [len(record[key]) for key in ("tokens", "nats", "top")] == [3, 3, 3]
    assert record["top"][1][0][0] in "abcd"


@pytest.mark.parametrize("call", [lambda: score(Remembering(4), []), lambda: next_tokens(Remembering(4), [])])
def test_an_empty_text_is_refused(call):
    with pytest.raises(UsageError, match="ids"):
        call()


def test_a_negative_number_of_alternatives_is_refused():
    with pytest.raises(UsageError, match="top"):
        score(Remembering(4), [1, 2], top=-1)
