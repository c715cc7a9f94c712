"""fit: budgets, what is told, what is looked at and when, how a run stops, and what it survives."""

from __future__ import annotations

import errno
import json
import math
import os
import signal

import pytest
import torch
from training import toy

from riverrun import files
from riverrun.errors import Diverged, UsageError
from riverrun.training import checkpoints, snapshot
from riverrun.training.guard import LIMIT
from riverrun.training.loop import fit
from riverrun.training.update import Updater


def trained(model=None, streams=None, folder=None, **rest):
    """Train the toy; returns the result and what was told. Whatever `options` knows goes there."""
    given = {name: rest.pop(name) for name in ("evaluate", "sample", "resume", "static") if name in rest}
    told = []
    result = fit(
        model or toy.Toy(),
        streams or toy.streams(),
        toy.options(**rest),
        folder=folder,
        events=lambda event: told.append(json.loads(json.dumps(event, allow_nan=False))),
        **given,
    )
    return result, told


def named(told, event):
    return [one for one in told if one["event"] == event]


def test_a_model_learns(monkeypatch):
    clock = toy.Clock(monkeypatch)
    result, told = trained(toy.Slow(clock, 0.02), steps=150, lr=0.03)
    nats = [event["nats"] for event in named(told, "step")]
    assert len(nats) == 6  # one in half a second
    assert nats[-1] == result.nats < 1.7 < nats[0]  # the text's own entropy is log 3 = 1.099
    first, _ = trained(steps=1)
    assert first.nats == pytest.approx(math.log(toy.VOCABULARY), rel=0.15)


def test_a_budget_in_steps_is_kept_exactly():
    result, _ = trained(steps=5)
    assert (result.steps, result.tokens, result.stopped) == (5, 5 * 28, "budget")


def test_a_budget_in_epochs_ends_with_the_epoch():
    dealt = toy.streams()
    per_epoch = math.ceil(dealt.length / dealt.window)
    result, _ = trained(streams=dealt, steps=0, epochs=0.5)
    assert abs(result.steps - per_epoch / 2) <= 1


def test_a_budget_in_minutes_is_overshot_by_a_step_at_most_with_evaluation_and_sampling_in_it(monkeypatch):
    clock = toy.Clock(monkeypatch)
    result, told = trained(
        toy.Slow(clock, 0.25),
        steps=0,
        minutes=1.0,
        warmup=0.0,
        schedule="linear",
        evaluate=lambda: clock.passes(2.0, 1.0),
        sample=lambda: clock.passes(1.0, "x"),
    )
    assert result.stopped == "budget"
    assert 60 <= result.seconds <= 60.25  # the last evaluation and sample had been left their time
    assert clock.now - 1000 == pytest.approx(result.seconds)
    assert 9 <= len(named(told, "evaluation")) == len(named(told, "sample")) <= 11
    assert named(told, "step")[-1]["lr"] < 0.003 * 0.01  # annealed
    assert result.steps == pytest.approx((60 - 3 * len(named(told, "sample"))) / 0.25, abs=1)


def test_a_budget_in_minutes_without_callbacks_is_overshot_by_less_than_a_step(monkeypatch):
    clock = toy.Clock(monkeypatch)
    result, _ = trained(toy.Slow(clock, 0.7), steps=0, minutes=0.1)
    assert result.steps == 9  # 9 x 0.7 = 6.3 seconds of 6
    assert result.seconds == pytest.approx(6.3)


def test_without_a_number_of_steps_a_checkpoint_is_written_every_minute(monkeypatch, tmp_path):
    clock = toy.Clock(monkeypatch)
    _, told = trained(toy.Slow(clock, 25.0), folder=tmp_path, steps=10)
    assert [event["step"] for event in named(told, "checkpoint")] == [0, 3, 6, 9, 10]


def test_without_a_budget_training_is_refused():
    with pytest.raises(UsageError, match="minutes, steps or epochs"):
        trained(steps=0)


@pytest.mark.parametrize("changed", [{"patience": 1}, {"schedule": "plateau"}, {"optimiser": "asgd"}])
def test_what_selects_is_refused_without_validation(changed):
    with pytest.raises(UsageError, match="validation part"):
        trained(**changed)


def test_the_learning_rate_follows_the_schedule_and_the_scale_of_the_batch(monkeypatch):
    rates = []
    dealt = toy.streams(random_window=True, window=20, seed=3)
    scales = [dealt.next().scale for _ in range(6)]
    assert len(set(scales)) > 2
    real = Updater.update

    def update(self, batches, state, lr, **rest):
        rates.append(lr)
        return real(self, batches, state, lr, **rest)

    monkeypatch.setattr(Updater, "update", update)
    dealt = toy.streams(random_window=True, window=20, seed=3)
    trained(streams=dealt, steps=6, schedule="linear", warmup=0.5, final_lr=0.1, lr=2.0)
    middles = [(step + 0.5) / 6 for step in range(6)]
    expected = [2.0 * min(1, f / 0.5) * (0.1 + 0.9 * (1 - f)) * s for f, s in zip(middles, scales, strict=True)]
    assert rates == pytest.approx(expected)


def test_a_plateau_halves_the_learning_rate(monkeypatch):
    rates, real = [], Updater.update

    def update(self, batches, state, lr, **rest):
        rates.append(lr)
        return real(self, batches, state, lr, **rest)

    monkeypatch.setattr(Updater, "update", update)
    values = iter([3.0, 2.0, 2.5, 1.0, 1.5, 1.5])
    plateau = {"schedule": "plateau", "evaluate_every": 1, "warmup": 0.0, "lr": 0.8}
    trained(steps=6, evaluate=lambda: next(values), **plateau)
    assert rates == [0.8, 0.8, 0.8, 0.4, 0.4, 0.2]


def test_the_state_is_carried_from_batch_to_batch_without_its_history():
    states = []

    class Watched(toy.Toy):
        def loss(self, batch, state):
            states.append(state)
            loss = super().loss(batch, state)
            states.append(loss.state)
            return loss

    trained(Watched(), steps=3)
    assert states[0] is None
    for before, after in ((1, 2), (3, 4)):
        for gave, took in zip(states[before], states[after], strict=True):
            assert torch.equal(gave, took)
            assert gave.requires_grad
            assert not took.requires_grad


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    a, b, c = (trained(seed=seed)[0].weights for seed in (3, 3, 4))
    assert toy.same(a, b)
    assert not toy.same(a, c)


def test_watching_changes_nothing():
    model = toy.Toy()

    def look():
        assert not model.training
        torch.rand(100)
        return 1.0

    trained(model, evaluate=look, sample=lambda: str(look()), evaluate_every=2, sample_every=3)
    alone, _ = trained(toy.Toy())
    assert model.training
    assert toy.same(model.state_dict(), alone.weights)


def test_evaluations_and_samples_come_when_they_are_due_and_at_the_end():
    _, told = trained(evaluate=lambda: 1.0, sample=lambda: "text", evaluate_every=5, sample_every=8)
    assert [event["step"] for event in named(told, "evaluation")] == [5, 10, 12]
    assert [event["step"] for event in named(told, "sample")] == [8, 12]


def test_the_best_validated_weights_are_the_result_and_the_last_ones_stay_in_the_model(tmp_path):
    model, values, seen = toy.Toy(), iter([3.0, 1.0, 2.0]), []

    def evaluate():
        seen.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return next(values)

    result, _ = trained(model, folder=tmp_path, evaluate=evaluate, evaluate_every=4)
    assert (result.best, result.best_step) == (1.0, 8)
    assert toy.same(result.weights, seen[1])
    assert toy.same(model.state_dict(), seen[2])
    assert checkpoints.pointer(tmp_path, "best") == 8


def test_the_average_is_what_is_evaluated_sampled_and_returned():
    model, seen = toy.Toy(), []

    def sample():
        seen.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return ""

    result, _ = trained(model, sample=sample, average=0.9)
    assert toy.same(result.weights, seen[-1])
    assert not toy.same(result.weights, model.state_dict())


def test_averaged_sgd_begins_to_average_once_validation_stalls():
    losses = iter([3, 2, 2.1, 2.2, 2.3, 2.4, 2.5, 2.6, 2.6, 2.6, 2.6, 1.0])
    model = toy.Toy()
    result, told = trained(model, optimiser="asgd", lr=1.0, evaluate=lambda: next(losses), evaluate_every=1)
    assert [event["step"] for event in named(told, "averaging")] == [8]  # 2.6 > 2, five evaluations and more ago
    assert result.best_step == 12
    assert not toy.same(result.weights, model.state_dict())


def test_patience_ends_a_run():
    values = iter([3.0, 2.0, 2.5, 2.1, 1.0])
    result, _ = trained(evaluate=lambda: next(values), evaluate_every=1, patience=2)
    assert (result.stopped, result.steps, result.best_step) == ("patience", 4, 2)


class Signalled(toy.Toy):
    """Sends its own process a signal in the forward pass of the third batch."""

    number = signal.SIGTERM

    def loss(self, batch, state):
        loss = super().loss(batch, state)
        if int(self.seen) == 3:
            os.kill(os.getpid(), self.number)
        return loss


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_after_the_step_at_hand_and_it_is_saved(tmp_path, number):
    model = Signalled()
    model.number = number
    result, told = trained(model, folder=tmp_path)
    assert (result.stopped, result.number, result.steps) == ("signal", number, 3)
    assert checkpoints.pointer(tmp_path, "last") == 3
    assert told[-1]["event"] == "end"
    resumed, _ = trained(toy.Toy(seed=8), folder=tmp_path, resume=checkpoints.load(tmp_path, warn=print))
    assert toy.same(resumed.weights, trained(toy.Toy())[0].weights)


class Poisoned(toy.Toy):
    """Its loss is NaN from one batch to another."""

    def __init__(self, first, last):
        super().__init__()
        self.bad = range(first, last + 1)

    def loss(self, batch, state):
        loss = super().loss(batch, state)
        return loss._replace(total=loss.total * math.nan) if int(self.seen) in self.bad else loss


def test_bad_batches_are_skipped_and_told():
    result, told = trained(Poisoned(4, 5))
    assert result.skipped == 2
    assert [event["step"] for event in named(told, "skipped")] == [4, 5]
    assert named(told, "skipped")[0]["position"] == 21  # the fourth window of seven
    assert all(bool(tensor.isfinite().all()) for tensor in result.weights.values())


def test_a_run_that_diverges_ends_with_the_batch_named_and_good_checkpoints(tmp_path):
    with pytest.raises(Diverged, match=f"at position {7 * (3 + LIMIT - 1)} of the stream"):
        trained(Poisoned(4, 100), folder=tmp_path, checkpoint_every=1, steps=50)
    loaded = checkpoints.load(tmp_path, warn=print)
    assert b"NaN" not in loaded.files["training.json"]


def test_a_full_disk_is_told_and_survived(tmp_path, monkeypatch):
    real = files.os.fsync
    state = {"full": False}

    def sync(handle):
        if state["full"]:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(files.os, "fsync", sync)

    def evaluate():
        state["full"] = not state["full"]
        return 1.0

    result, told = trained(folder=tmp_path, checkpoint_every=2, evaluate=evaluate, evaluate_every=6)
    assert result.steps == 12
    assert [event["step"] for event in named(told, "warning")] == [6, 8, 10]
    assert "No space left" in named(told, "warning")[0]["text"]
    assert checkpoints.load(tmp_path, warn=print).step == 12
    saved = snapshot.weights(checkpoints.load(tmp_path, warn=print).files)
    assert toy.same(trained()[0].weights, saved)


def test_step_zero_is_saved_before_training_and_files_given_go_into_every_checkpoint(tmp_path):
    class Stops(toy.Toy):
        def loss(self, batch, state):
            raise InterruptedError

    with pytest.raises(InterruptedError):
        trained(Stops(), folder=tmp_path, static={"tokenizer.json": b"{}"})
    saved = checkpoints.load(tmp_path, warn=print)
    assert saved.step == 0
    assert saved.files["tokenizer.json"] == b"{}"


def test_what_is_told_at_the_start_names_device_precision_and_budget():
    _, told = trained(precision="bfloat16")
    start = told[0]
    assert (start["event"], start["device"], start["precision"]) == ("start", "cpu", "bfloat16")
    assert start["budget"] == "12 steps"
    assert start["parameters"] == sum(p.numel() for p in toy.Toy().parameters())


def test_every_number_format_trains():
    for precision, dtype in (("float32", torch.float32), ("bfloat16", torch.float32), ("float64", torch.float64)):
        result, _ = trained(precision=precision, steps=2)
        assert result.weights["embedding.weight"].dtype is dtype


def test_accumulated_batches_use_up_the_stream_faster():
    result, _ = trained(steps=3, accumulate=4)
    assert result.tokens == 3 * 4 * 28
