"""One update: the gradient is that of the mean over tokens, however they are cut; bad batches change nothing."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from training import toy

from riverrun.data.batch import Batch
from riverrun.models.protocol import Loss
from riverrun.training.distributed import Ranks
from riverrun.training.hardware import Precision, choose_precision
from riverrun.training.update import Updater

CPU = torch.device("cpu")
ALONE = Ranks(0, 1, 0)


def updater(model, precision=None, **changes):
    options = toy.options(**({"optimiser": "sgd", "weight_decay": 0.0, "clip_norm": 0.0} | changes))
    return Updater(model, options, CPU, precision or choose_precision(options.precision, CPU), ALONE)


def update(made, batches, state=None, lr=1.0):
    return made.update(batches, state, lr, step=1, share=list)


def batch(steps, lanes=3, ignored=0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randint(toy.VOCABULARY, (steps, lanes), generator=generator)
    targets = torch.randint(toy.VOCABULARY, (steps, lanes), generator=generator)
    targets.reshape(-1)[:ignored] = -1
    return Batch(inputs, targets, None, steps * lanes - ignored, 70)


def quiet():
    return toy.Toy(dropout=0.0).double()


def moved(model, before):
    return {name: p.detach() - before[name] for name, p in model.named_parameters()}


def weights(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def test_the_step_is_the_gradient_of_the_mean_over_tokens():
    model = quiet()
    before, data = weights(model), batch(5, ignored=4)
    reference = copy.deepcopy(model)
    total = reference.loss(data, None).total / data.tokens
    total.backward()
    update(updater(model, precision=choose_precision("float64", CPU)), [data], lr=0.5)
    for name, step in moved(model, before).items():
        gradient = dict(reference.named_parameters())[name].grad
        torch.testing.assert_close(step, -0.5 * (torch.zeros_like(step) if gradient is None else gradient))


def test_ragged_micro_batches_add_up_to_the_mean_over_all_tokens_with_the_state_carried():
    model, whole = quiet(), batch(9, ignored=7)
    reference = copy.deepcopy(model)
    parts = [
        Batch(whole.inputs[a:b], whole.targets[a:b], None, int((whole.targets[a:b] >= 0).sum()), a)
        for a, b in ((0, 4), (4, 5), (5, 9))
    ]
    assert len({part.tokens for part in parts}) > 1
    # The state is detached between windows, so the reference cuts its gradient there too.
    state, total = None, 0.0
    for part in parts:
        loss = reference.loss(part, state)
        total, state = total + loss.total, tuple(s.detach() for s in loss.state)
    (total / whole.tokens).backward()
    before = weights(model)
    came = update(updater(model, precision=choose_precision("float64", CPU)), parts)
    assert came.tokens == whole.tokens
    assert came.nats == pytest.approx(total.item(), rel=1e-12)
    torch.testing.assert_close(came.state, state)
    for name, step in moved(model, before).items():
        gradient = dict(reference.named_parameters())[name].grad
        if gradient is not None:
            torch.testing.assert_close(step, -gradient, rtol=1e-12, atol=1e-14)


def test_a_model_that_counts_other_tokens_than_the_batch_is_weighted_by_its_own_count():
    class Half(toy.Toy):
        def loss(self, data, state):
            loss = super().loss(data, state)
            return loss._replace(tokens=loss.tokens // 2)

    a, b = toy.Toy(dropout=0.0).double(), Half(dropout=0.0).double()
    before = weights(a)
    update(updater(a, precision=choose_precision("float64", CPU)), [batch(4)], lr=1.0)
    update(updater(b, precision=choose_precision("float64", CPU)), [batch(4)], lr=0.5)
    for name, step in moved(a, before).items():
        torch.testing.assert_close(step, moved(b, before)[name])


def test_the_norm_is_that_before_clipping_and_the_step_that_after():
    model = quiet()
    before = weights(model)
    came = update(updater(model, precision=choose_precision("float64", CPU), clip_norm=0.01), [batch(4)])
    length = math.sqrt(sum(float(step.square().sum()) for step in moved(model, before).values()))
    assert came.norm > 0.02
    assert length == pytest.approx(0.01, rel=1e-9)


class Bad(toy.Toy):
    """Its loss or its gradient is not finite."""

    def __init__(self, what):
        super().__init__()
        self.what = what

    def loss(self, data, state):
        loss = super().loss(data, state)
        if self.what == "loss":
            return Loss(loss.total * math.nan, loss.tokens, loss.nats * math.nan, loss.state)
        return loss._replace(total=(loss.total * 0).sqrt() + loss.total)  # the slope of a root at 0 is infinite


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_bad_batch_changes_neither_weights_nor_optimiser_nor_average_and_resets_the_state(what):
    model = Bad(what)
    made = updater(model, optimiser="adamw", average=0.9, clip_value=1.0)
    before, averaged = weights(model), {k: v.clone() for k, v in made.average.tensors().items()}
    came = update(made, [batch(4)])
    assert not came.made
    assert came.state is None
    assert toy.same(weights(model), before)
    assert toy.same(made.average.tensors(), averaged)
    assert made.optimizer.state_dict()["state"] == {}
    assert all(p.grad is None for p in model.parameters())
    model.what = "nothing"
    model.loss = super(Bad, model).loss
    assert update(made, [batch(4)]).made
    assert not toy.same(weights(model), before)


def test_a_batch_with_nothing_to_predict_moves_nothing():
    model = quiet()
    before = weights(model)
    came = update(updater(model, precision=choose_precision("float64", CPU)), [batch(4, ignored=12)])
    assert (came.tokens, came.nats, came.made) == (0, 0.0, True)
    assert toy.same(weights(model), before)


def test_float16_searches_for_a_loss_scale_without_counting_it_as_a_bad_batch():
    class Linear(toy.Toy):
        """No recurrent layer: float16 on the CPU has none."""

        def forward(self, inputs, state):
            return (self.embedding(inputs) @ self.output.weight.T).float(), state

    model = Linear(dropout=0.0)
    made = updater(model, precision=Precision(torch.float32, torch.float16, "for the test"))
    made.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    before = weights(model)
    made_at = []
    for attempt in range(40):
        if update(made, [batch(4)], lr=0.01).made:
            made_at.append(attempt)
    assert made_at
    assert made_at[0] > 0
    assert made.guard.skipped == 0
    assert not toy.same(weights(model), before)
    assert all(bool(p.isfinite().all()) for p in model.parameters())
