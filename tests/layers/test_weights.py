"""Weights keep parameters under dotted names, which are their state_dict keys, and functional_call can swap them."""

import copy

import pytest
import torch

from riverrun.errors import UsageError
from riverrun.layers import Recurrent
from riverrun.layers.weights import Weights

NAMES = ["0.forward.W.i", "0.forward.p.ln_x.i", "0.reverse.W.i", "1.forward.b.i"]


def made() -> Weights:
    return Weights({name: torch.full((2,), float(place)) for place, name in enumerate(NAMES)})


def test_names_are_keys_in_order_and_lead_to_their_tensors():
    weights = made()
    assert list(weights.state_dict()) == NAMES
    assert [weights.flat()[name][0].item() for name in NAMES] == [0, 1, 2, 3]
    assert weights.get_parameter("0.forward.p.ln_x.i") is weights.flat()["0.forward.p.ln_x.i"]


def test_copies_are_deep_and_casts_reach_every_leaf():
    weights = made()
    other = copy.deepcopy(weights).double()
    other.flat()["0.forward.W.i"].data.fill_(9)
    assert weights.flat()["0.forward.W.i"][0].item() == 0
    assert all(tensor.dtype == torch.float64 for tensor in other.flat().values())


def test_a_branch_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="forward"):
        _ = Weights({"W.i": torch.zeros(2)}).forward


def test_a_gate_that_hides_a_method_of_torch_modules_is_refused():
    from riverrun.cells import Cell, tanh

    class Halved(Cell):
        states = ("h",)

        def step(x, U, h):
            return tanh(x.half + U.half @ h)

    with pytest.raises(UsageError, match="cannot be called 'half'"):
        Recurrent(Halved, 3, 4)
