"""A stack step by step with gradient: what one call over all steps gives, and masks that last a sequence."""

from __future__ import annotations

import pytest
import torch

from riverrun.cells import names
from riverrun.errors import UsageError
from riverrun.layers.options import Depth, Dropouts
from riverrun.layers.recurrent import Recurrent
from riverrun.layers.stepper import Stepper

STACKS = {
    "one layer": {},
    "no bias": {"bias": False},
    "residual": {"num_layers": 3, "skip": "residual"},
    "dense": {"num_layers": 3, "skip": "dense"},
    "projected inside": {"projection": 2, "num_layers": 2},
    "projected outside": {"cell": "gru", "projection": 2, "num_layers": 2},
    "norm": {"norm": True},
    "zoneout": {"dropouts": Dropouts(zoneout=0.3)},
    "deep": {"depth": Depth(input=2, hidden=2, output=2)},
    "learned": {"learned_initial": True},
}


def recurrent(**given) -> Recurrent:
    torch.manual_seed(0)
    return Recurrent(given.pop("cell", "lstm"), 3, 4, **given).double()


def stepped(layer: Recurrent, x: torch.Tensor, training: bool = False) -> tuple[torch.Tensor, tuple]:
    stepper = Stepper(layer.stack, layer.weights(), rows=x.shape[1], training=training)
    state, found = layer.initial_state(x.shape[1]), []
    for step in x:
        output, state = stepper.step(step, state)
        found.append(output)
    return torch.stack(found), state


def equal(layer: Recurrent) -> None:
    x = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    parameters = [x, *layer.parameters()]
    found = []
    for output, state in (layer.eval()(x)[:2], stepped(layer, x)):
        total = output.sin().sum() + sum(one.cos().sum() for part in state for one in part)
        found.append([output, *(one for part in state for one in part), *torch.autograd.grad(total, parameters)])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", STACKS)
def test_steps_in_a_row_equal_a_call_over_all_of_them_with_their_gradients(name):
    equal(recurrent(**STACKS[name]))


@pytest.mark.parametrize("cell", names())
def test_every_cell_steps(cell):
    equal(recurrent(cell=cell))


def test_variational_masks_last_the_whole_sequence_and_differ_from_one_stepper_to_the_next():
    layer = recurrent(cell="elman", dropouts=Dropouts(variational=0.5))
    for name, weight in layer.weights().items():  # h = 0.4 tanh-ish of the kept inputs alone, so that masks show
        weight.data.zero_()
        if ".W." in name:
            weight.data.fill_(0.1)
    x = torch.eye(3, dtype=torch.float64).repeat(4, 1, 1)  # row b reads input b alone: seen, or dropped
    draws = set()
    for seed in range(6):
        torch.manual_seed(seed)
        output, _ = stepped(layer, x, training=True)
        seen = output[:, :, 0] != 0  # [T, B]
        assert bool((seen == seen[0]).all())
        draws.add(tuple(seen[0].tolist()))
    assert len(draws) > 1


def test_the_state_s_mask_is_one_a_sequence_and_one_a_layer():
    layer = recurrent(cell="elman", num_layers=2, dropouts=Dropouts(variational=0.5))
    torch.manual_seed(1)
    stepper = Stepper(layer.stack, layer.weights(), rows=50, training=True)
    first, second = (next(iter(kept.values())) for kept in stepper._kept)
    assert set(first.unique().tolist()) == {0.0, 2.0}
    assert not torch.equal(first, second)


def test_what_the_state_s_mask_drops_stays_dropped_and_what_it_keeps_stays():
    layer = recurrent(cell="elman", dropouts=Dropouts(variational=0.5))
    with torch.no_grad():
        for name, weight in layer.weights().items():
            weight.copy_(torch.eye(4) if ".U." in name else torch.zeros_like(weight))
    torch.manual_seed(1)
    stepper = Stepper(layer.stack, layer.weights(), rows=50, training=True)
    x, state, alive = torch.zeros(50, 3, dtype=torch.float64), ((torch.full((50, 4), 0.5, dtype=torch.float64),),), []
    for _ in range(5):
        output, state = stepper.step(x, state)  # h = tanh(mask * h)
        alive.append(output != 0)
    assert 50 < int(alive[0].sum()) < 150
    assert all(torch.equal(alive[0], later) for later in alive)


@pytest.mark.parametrize("option", ["between", "recurrent", "weight"])
def test_dropouts_act_in_training_and_only_there(option):
    layer = recurrent(num_layers=2, dropouts=Dropouts(**{option: 0.5}))
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    plain, _ = stepped(layer, x)
    torch.testing.assert_close(plain, recurrent(num_layers=2)(x)[0], rtol=1e-9, atol=1e-11)
    one, other = (stepped(layer, x, training=True)[0] for _ in range(2))
    assert not torch.allclose(one, plain)
    assert not torch.allclose(one, other)


def test_dropped_connections_are_the_same_at_every_step():
    layer = recurrent(cell="elman", dropouts=Dropouts(weight=0.5))
    stepper = Stepper(layer.stack, layer.weights(), rows=1, training=True)
    x, state = torch.zeros(1, 3, dtype=torch.float64), ((torch.rand(1, 4, dtype=torch.float64),),)
    outputs = [stepper.step(x, state)[0] for _ in range(3)]
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])


def test_a_stack_that_reads_from_the_end_has_no_steps():
    layer = recurrent(direction="both")
    with pytest.raises(UsageError, match="needs the whole sequence"):
        Stepper(layer.stack, layer.weights(), rows=2, training=False)
