"""A run that is killed and resumed ends in the same bits as one that never was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save
from training import toy

from riverrun.errors import ModelError, UsageError
from riverrun.models.language_model import LanguageModel
from riverrun.models.options import LanguageModelOptions
from riverrun.training import checkpoints
from riverrun.training.loop import fit

TOY = Path(toy.__file__)
SETTINGS = [
    {"optimiser": "adamw"},
    {"optimiser": "adam", "average": 0.9},
    {"optimiser": "sgd", "accumulate": 2},
    {"optimiser": "momentum", "schedule": "linear"},
    {"optimiser": "adagrad", "random_window": True},
    {"optimiser": "rmsprop", "precision": "bfloat16"},
    {"optimiser": "asgd", "evaluate_every": 1, "lr": 0.5},
    {"optimiser": "adamw", "schedule": "plateau", "evaluate_every": 2},
    {"optimiser": "adamw", "precision": "float64"},
]


META = {"model.safetensors": {"tied": '{"output.weight": "embedding.weight"}'}}


def final(folder):
    """Every tensor of the last checkpoint: weights, average, optimiser, carried state, generators."""
    files = checkpoints.load(folder, warn=print).files
    return {name: data for name, data in files.items() if name not in ("training.json", "manifest.json")}


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: "-".join(str(v) for v in s.values()))
@pytest.mark.parametrize(("every", "at"), [(4, 11), (1, 6)])
def test_a_resumed_run_ends_in_the_same_bits(tmp_path, setting, every, at):
    undisturbed = toy.run(tmp_path / "a", toy.Toy(), checkpoint_every=every, **setting)
    with pytest.raises(InterruptedError):
        toy.run(tmp_path / "b", toy.Killed(at, "raise"), checkpoint_every=every, **setting)
    assert 0 < checkpoints.pointer(tmp_path / "b", "last") < 12
    torch.manual_seed(99)  # the resumed process starts with other generators
    resumed = toy.run(tmp_path / "b", toy.Toy(seed=5), resumed=True, checkpoint_every=every, **setting)
    assert final(tmp_path / "a") == final(tmp_path / "b")
    assert toy.same(undisturbed.weights, resumed.weights)
    assert undisturbed.tokens == resumed.tokens
    assert (undisturbed.steps, undisturbed.best, undisturbed.best_step) == (
        resumed.steps,
        resumed.best,
        resumed.best_step,
    )


def test_kill_minus_nine_within_a_step_and_resume_ends_in_the_same_bits(tmp_path):
    setting = {"average": 0.9, "precision": "bfloat16", "checkpoint_every": 3}
    toy.run(tmp_path / "a", toy.Toy(), **setting)
    arguments = [f"{name}={value}" for name, value in setting.items()]
    environment = os.environ | {"PYTHONPATH": str(TOY.parents[1])}
    process = subprocess.run([sys.executable, TOY, tmp_path / "b", "8", *arguments], env=environment, check=False)
    assert process.returncode == -9
    assert checkpoints.pointer(tmp_path / "b", "last") == 6
    toy.run(tmp_path / "b", toy.Toy(seed=5), resumed=True, **setting)
    assert final(tmp_path / "a") == final(tmp_path / "b")


@pytest.mark.parametrize("setting", [{"schedule": "plateau"}, {"optimiser": "asgd", "lr": 0.5}, {"patience": 7}])
def test_what_the_evaluations_have_shown_is_not_forgotten(tmp_path, setting):
    # Best at step 2, never as good again: the rate is halved, the average begins at step 8, patience ends at step 9.
    losses = [3.0, 1.0, 2.0, 1.9, 1.8, 1.7, 1.6, 1.5, 1.5, 1.5, 1.5, 1.5]
    chosen = toy.options(evaluate_every=1, checkpoint_every=1, **setting)

    def run(folder, model, resume=None):
        told = []
        result = fit(
            model,
            toy.streams(),
            chosen,
            folder=folder,
            evaluate=lambda: losses[int(model.seen) - 1],
            events=told.append,
            resume=resume,
        )
        return result, [event["step"] for event in told if event["event"] == "averaging"]

    undisturbed, begun = run(tmp_path / "a", toy.Toy())
    with pytest.raises(InterruptedError):
        run(tmp_path / "b", toy.Killed(6, "raise"))
    resumed, again = run(tmp_path / "b", toy.Toy(), checkpoints.load(tmp_path / "b", warn=print))
    assert final(tmp_path / "a") == final(tmp_path / "b")
    assert (begun, again) == (([8], [8]) if "optimiser" in setting else ([], []))
    assert undisturbed.steps == resumed.steps == (9 if "patience" in setting else 12)
    assert (undisturbed.best, undisturbed.best_step) == (resumed.best, resumed.best_step) == (1.0, 2)
    assert toy.same(undisturbed.weights, resumed.weights)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_language_model_with_every_kind_of_dropout_resumes_in_the_same_bits(tmp_path, precision):
    chosen = toy.options(steps=6, checkpoint_every=2, precision=precision)
    masks = {"dropout": 0.2, "embedding_dropout": 0.2, "variational": 0.2, "recurrent_dropout": 0.2}
    rest = {"weight_dropout": 0.2, "zoneout": 0.1, "hidden": 8, "layers": 2, "learned_initial": True}

    def made():
        torch.manual_seed(2)
        return LanguageModel(LanguageModelOptions(**masks, **rest), toy.VOCABULARY)

    undisturbed = fit(made(), toy.streams(), chosen, folder=tmp_path / "a")
    model = made()
    dealt = toy.streams()
    real = dealt.next

    def stops():
        if dealt.state_dict()["cursor"] == 4 * 7:
            raise InterruptedError
        return real()

    dealt.next = stops
    with pytest.raises(InterruptedError):
        fit(model, dealt, chosen, folder=tmp_path / "b")
    resume = checkpoints.load(tmp_path / "b", warn=print)
    assert resume.step == 4
    resumed = fit(made(), toy.streams(), chosen, folder=tmp_path / "b", resume=resume)
    assert toy.same(undisturbed.weights, resumed.weights)
    assert final(tmp_path / "a") == final(tmp_path / "b")


def test_the_oracle_has_teeth_each_part_of_a_checkpoint_matters(tmp_path):
    chosen = toy.options(checkpoint_every=5, average=0.9)
    expected = fit(toy.Toy(), toy.streams(), chosen).weights
    with pytest.raises(InterruptedError):
        fit(toy.Killed(8, "raise"), toy.streams(), chosen, folder=tmp_path)
    good = checkpoints.load(tmp_path, warn=print)

    def ends_as_expected(files):
        resumed = fit(toy.Toy(), toy.streams(), chosen, resume=good._replace(files=files))
        return toy.same(resumed.weights, expected)

    assert ends_as_expected(good.files)
    for file in [name for name in good.files if name.endswith(".safetensors")]:
        for name, tensor in load(good.files[file]).items():
            if not name.startswith(("generator.numpy", "seen")):  # this model draws nothing from NumPy
                changed = tensor + 1 if tensor.dtype != torch.uint8 else torch.Generator().manual_seed(7).get_state()
                files = {**good.files, file: save({**load(good.files[file]), name: changed}, metadata=META.get(file))}
                assert not ends_as_expected(files), (file, name)


def test_resuming_a_finished_run_does_nothing(tmp_path):
    first = toy.run(tmp_path, toy.Toy())
    again = toy.run(tmp_path, toy.Toy(seed=3), resumed=True)
    assert again.steps == first.steps == 12
    assert toy.same(first.weights, again.weights)


def test_a_resumed_run_may_be_given_a_larger_budget(tmp_path):
    toy.run(tmp_path, toy.Toy(), steps=5)
    assert toy.run(tmp_path, toy.Toy(), steps=9, resumed=True).steps == 9


def test_a_resumed_run_goes_on_with_the_time_that_was_left(tmp_path, monkeypatch):
    clock = toy.Clock(monkeypatch)
    chosen = toy.options(steps=0, minutes=1.0, schedule="linear", warmup=0.0, checkpoint_every=10)

    class Stops(toy.Slow):
        def loss(self, batch, state):
            if int(self.seen) == 45:
                raise InterruptedError
            return super().loss(batch, state)

    with pytest.raises(InterruptedError):
        fit(Stops(clock, 1.0), toy.streams(), chosen, folder=tmp_path)
    clock.passes(5000.0)  # the time between does not count
    told = []
    resume = checkpoints.load(tmp_path, warn=print)
    assert resume.step == 40
    result = fit(toy.Slow(clock, 1.0), toy.streams(), chosen, resume=resume, events=told.append)
    assert (result.steps, result.seconds) == (60, pytest.approx(60.0))
    assert told[0]["resumed"]
    rates = [event["lr"] for event in told if event["event"] == "step"]
    assert rates == pytest.approx([0.003 * (60 - step - 0.5) / 60 for step in range(40, 60)], abs=0.003 / 100)


def test_another_model_or_another_text_is_an_error_that_says_so(tmp_path):
    toy.run(tmp_path, toy.Toy())
    checkpoint = checkpoints.load(tmp_path, warn=print)
    with pytest.raises(ModelError, match="not a checkpoint of this model"):
        fit(toy.Toy(hidden=9), toy.streams(), toy.options(), resume=checkpoint)
    with pytest.raises(UsageError, match="holds checkpoints of an earlier run"):
        fit(toy.Toy(), toy.streams(), toy.options(), folder=tmp_path)


def test_a_checkpoint_of_a_newer_version_is_refused(tmp_path):
    toy.run(tmp_path, toy.Toy())
    checkpoint = checkpoints.load(tmp_path, warn=print)
    record = json.loads(checkpoint.files["training.json"]) | {"version": 99}
    newer = checkpoint._replace(files={**checkpoint.files, "training.json": json.dumps(record).encode()})
    with pytest.raises(ModelError, match="checkpoint format 99"):
        fit(toy.Toy(), toy.streams(), toy.options(), resume=newer)
