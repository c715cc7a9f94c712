"""The verdict says who is ahead, by how much, and whether it may be chance; in every direction a figure can have."""

from __future__ import annotations

import pytest
from inspection.made_up import baseline, figure

from riverrun.inspection.verdict import verdict


def said(mine: float, other: float, *, unit: str = "share", better: str = "higher", wide: float = 0.01):
    figures = [figure("accuracy", value, unit=unit, better=better, wide=wide) for value in (mine, other)]
    metrics = {"figures": figures[:1], "baselines": [baseline("rule", figures[1])]}
    return [(finding.tone, finding.text) for finding in verdict(metrics)]


def test_a_clear_win_is_good_news_with_the_mistakes_it_saves():
    text = "The model beats the best baseline, rule: accuracy 84.0 % against 80.0 %, 20 % fewer mistakes."
    assert said(0.84, 0.8) == [("good", text)]
    tone, text = said(0.3, 0.4, better="lower")[0]
    assert (tone, "25 % fewer mistakes" in text) == ("good", True)
    assert "3.100 nats against 4.000 nats, 22 % less" in said(3.1, 4.0, unit="nats", better="lower")[0][1]
    assert said(31.2, 25.0, unit="", wide=1.0)[0][1].endswith("31.2 against 25.0.")


def test_a_win_within_the_intervals_is_no_good_news():
    tone, text = said(0.81, 0.8)[0]
    assert tone == "plain"
    assert "intervals overlap" in text


def test_a_loss_is_a_warning_and_says_whether_it_may_be_chance():
    tone, text = said(0.7, 0.8)[0]
    assert (tone, "does not beat the best baseline, rule" in text, "chance" in text) == ("warn", True, False)
    assert said(0.5, 0.4, better="lower")[0][0] == "warn"
    tone, text = said(0.79, 0.8)[0]
    assert (tone, "chance" in text) == ("warn", True)


def test_a_draw_is_no_win():
    assert said(0.8, 0.8)[0][0] == "warn"
    assert "no better than" in said(0.8, 0.8)[0][1]


def test_a_perfect_model_makes_no_mistakes_at_all():
    assert "100 % fewer mistakes" in said(1.0, 0.8, wide=0.0)[0][1]


def test_a_baseline_that_is_ahead_in_another_figure_is_named_beside_a_win():
    metrics = {
        "figures": [figure("accuracy", 0.84), figure("macro-F1", 0.5, unit="")],
        "baselines": [
            baseline("rule", figure("accuracy", 0.8), figure("macro-F1", 0.4, unit="")),
            baseline("bayes", figure("accuracy", 0.7), figure("macro-F1", 0.6, unit="")),
        ],
    }
    first, second = verdict(metrics)
    assert first.tone == "good"
    assert second == ("warn", "A baseline is ahead in macro-F1 (bayes 0.600, this model 0.500).")


@pytest.mark.parametrize("baselines", [[], None, [baseline("silent")]])
def test_without_a_rival_nothing_is_claimed(baselines):
    metrics = {"figures": [figure("accuracy", 0.84)], "baselines": baselines}
    assert [finding.tone for finding in verdict(metrics)] in (["plain"], [])


def test_nothing_is_said_without_figures():
    assert verdict({}) == []
    assert verdict({"baselines": [baseline("rule", figure("accuracy", 0.5))]}) == []
