"""Findings say what the figures say: good news only where it is, and a warning where there is reason for one."""

from __future__ import annotations

import json
import math

import pytest
from inspection import folder

from riverrun.inspection.findings import baselines, findings, own_result
from riverrun.inspection.record import read_run


def found(tmp_path, **changed):
    return [(f.tone, f.text) for f in findings(read_run(folder.write(tmp_path, folder.files() | {
        name.replace("__", "/") + ".json": json.dumps(content) for name, content in changed.items()
    })))]  # fmt: skip


def metrics(**changed):
    return folder.metrics() | changed


def test_baselines_come_best_first_and_those_without_a_finite_figure_are_left_out():
    assert [(b.name, b.nats) for b in baselines(folder.metrics())] == [("Kneser-Ney", 1.5), ("unigram", 3.0)]
    only_bits = {"baselines": [{"name": "xz", "bits_per_character": 2.0, "nats_per_character": float("nan")}]}
    assert baselines(only_bits)[0].nats == pytest.approx(2 * math.log(2))


def test_the_result_of_a_word_model_is_told_per_character():
    part = {"nats": 4.0, "low": 3.9, "high": 4.2, "bits_per_character": 1.0 / math.log(2), "perplexity": math.exp(4)}
    result = own_result({"unit": "word", "carried": part})
    assert (result.nats, result.low, result.high) == pytest.approx((1.0, 0.975, 1.05))
    assert own_result({"unit": "word", "carried": {"nats": 4.0}}) is None


def test_beating_the_best_baseline_clearly_is_good_news(tmp_path):
    assert (
        "good",
        "The model beats the best baseline, Kneser-Ney: 1.250 nats per character against 1.500, 17 % fewer.",
    ) in (found(tmp_path))


def test_overlapping_intervals_are_no_good_news(tmp_path):
    own = folder.metrics()["carried"] | {"nats": 1.49, "bits_per_character": 1.49 / math.log(2), "high": 1.5}
    tone, text = found(tmp_path, eval__metrics=metrics(carried=own))[0]
    assert tone == "plain"
    assert "overlap" in text


def test_losing_to_a_baseline_is_a_warning(tmp_path):
    own = folder.metrics()["carried"] | {"nats": 1.6, "bits_per_character": 1.6 / math.log(2)}
    tone, text = found(tmp_path, eval__metrics=metrics(carried=own))[0]
    assert tone == "warn"
    assert "does not beat" in text


def test_a_large_gap_between_training_and_held_out_text_is_a_warning(tmp_path):
    own = folder.metrics()["carried"] | {"nats": 2.0, "bits_per_character": 2.0 / math.log(2)}
    assert ("warn", True) in [
        (tone, "much better than new text" in text)
        for tone, text in found(tmp_path, eval__metrics=metrics(carried=own))
    ]


def test_a_state_that_harms_is_a_warning_and_the_evaluations_own_warning_is_passed_on(tmp_path):
    worse = folder.metrics()["reset"] | {"nats": 1.0, "bits_per_character": 1.0 / math.log(2)}
    assert any(tone == "warn" and "harms" in text for tone, text in found(tmp_path, eval__metrics=metrics(reset=worse)))
    assert ("warn", "They differ") in found(tmp_path, eval__metrics=metrics(warning="they differ"))


@pytest.mark.parametrize(("share", "tone"), [(0.002, "plain"), (0.05, "warn")])
def test_what_unknown_tokens_count_is_said_as_the_evaluation_put_it(tmp_path, share, tone):
    said = "5.00% of the predicted words are unknown to the vocabulary: each counts as one."
    assert (tone, said) in found(tmp_path, eval__metrics=metrics(unknown_share=share, unknown=said))
    for odd in ({"unknown_share": 0.0, "unknown": said}, {"unknown_share": share, "unknown": None}, {"unknown": said}):
        assert said not in [text for _, text in found(tmp_path / str(len(odd)), eval__metrics=metrics(**odd))]


@pytest.mark.parametrize(("length", "tone"), [(8, "good"), (12, "good"), (13, "warn")])
def test_copying_more_than_twice_what_real_text_shares_is_a_warning(tmp_path, length, tone):
    record = folder.novelty()
    record["sample"]["longest"]["length"] = length
    assert tone in [t for t, text in found(tmp_path, eval__novelty=record) if "longest span" in text]


def test_skipped_steps_are_counted(tmp_path):
    contents = folder.files()
    contents["log.jsonl"] += '{"event": "skipped", "step": 5}\n' * 3
    said = findings(read_run(folder.write(tmp_path, contents)))
    assert "3 steps were skipped" in said[-1].text


def test_a_loss_that_rises_at_the_end_is_a_warning(tmp_path):
    events = [{"event": "step", "step": i, "nats": 1.0 + max(0, i - 80) * 0.05} for i in range(100)]
    said = findings(read_run(folder.write(tmp_path, {"log.jsonl": "\n".join(map(json.dumps, events))})))
    assert [(f.tone, "rising" in f.text) for f in said] == [("warn", True)]


def test_nothing_is_said_of_an_empty_folder(tmp_path):
    assert findings(read_run(tmp_path)) == []
