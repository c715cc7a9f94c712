"""A streamer is the stack in evaluation, step by step, on the weights of the moment in which it was made."""

import pytest
import torch
from tolerances import TOLERANCE

from riverrun.cells import names
from riverrun.errors import UsageError
from riverrun.layers import Depth, Dropouts, Recurrent

INVARIANCE = TOLERANCE[torch.float64, "invariance"]


def made(cell: str, **options) -> Recurrent:
    torch.manual_seed(5)
    layer = Recurrent(cell, 3, 4, num_layers=2, **options).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-0.9, 0.9)
    return layer


def compare(layer: Recurrent) -> None:
    layer.eval()
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    whole, end, _ = layer(x)
    streamer = layer.streamer()
    state = streamer.initial_state(2)
    for t in range(6):
        out, state = streamer.step(x[t], state)
        torch.testing.assert_close(out, whole[t], **INVARIANCE)
        assert not out.requires_grad
    torch.testing.assert_close(state, end, **INVARIANCE)


@pytest.mark.parametrize("cell", names())
def test_steps_are_the_whole_for_every_cell(cell):
    compare(made(cell))


@pytest.mark.parametrize(
    "options",
    [
        {"skip": "residual", "norm": True},
        {"skip": "dense", "learned_initial": True},
        {"projection": 2, "depth": Depth(input=2, hidden=3, output=2)},
        {"dropouts": Dropouts(between=0.5, variational=0.5, recurrent=0.5, weight=0.5, zoneout=0.3)},
        {"bias": False},
    ],
)
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_steps_are_the_whole_with_every_option(cell, options):
    compare(made(cell, **options))


def test_later_training_does_not_reach_a_streamer():
    layer = made("gru", depth=Depth(input=2, output=2), projection=2, learned_initial=True)
    streamer = layer.streamer()
    x, state = torch.randn(2, 3, dtype=torch.float64), streamer.initial_state(2)
    before, begin = streamer.step(x, state)[0], [s.clone() for part in state for s in part]
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(2)
    state = streamer.initial_state(2)
    assert all(torch.equal(s, b) for s, b in zip((s for part in state for s in part), begin, strict=True))
    assert torch.equal(streamer.step(x, state)[0], before)
    assert not torch.equal(layer.streamer().step(x, state)[0], before)


def test_the_batch_may_change_from_step_to_step():
    streamer = made("gru").streamer()
    x = torch.randn(5, 3, dtype=torch.float64)
    many, _ = streamer.step(x, streamer.initial_state(5))
    one, _ = streamer.step(x[3:4], streamer.initial_state(1))
    torch.testing.assert_close(one[0], many[3], **INVARIANCE)


@pytest.mark.parametrize("direction", ["reverse", "both"])
def test_a_direction_that_needs_the_end_is_refused(direction):
    with pytest.raises(UsageError, match=f"direction={direction!r} needs the whole sequence"):
        Recurrent("gru", 3, 4, direction=direction).streamer()
