"""State goes into bytes and comes back the same: tied weights, optimisers, nested states, generators."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
import torch
from training import toy

from riverrun.errors import ModelError
from riverrun.training import snapshot
from riverrun.training.optimisation import build
from riverrun.training.options import OPTIMISERS

CPU = torch.device("cpu")


def test_tied_weights_are_stored_once_and_come_back_under_both_names():
    model = toy.Toy()
    data = snapshot.model_bytes(model)
    again = snapshot.model_tensors(data)
    assert toy.same(again, model.state_dict())
    single = sum(p.numel() * 4 for p in model.parameters()) + 8  # the buffer is an int64
    assert single < len(data) < single + 2000


@pytest.mark.parametrize("name", OPTIMISERS)
def test_an_optimiser_goes_on_where_it_was(name):
    def step(model, optimiser, seed):
        torch.manual_seed(seed)
        for p in model.parameters():
            p.grad = torch.randn_like(p)
        optimiser.step()

    a = toy.Toy()
    first = build(a, toy.options(optimiser=name))
    step(a, first, 0)
    data, plain = snapshot.optimizer_bytes(first)
    b = toy.Toy(seed=9)
    b.load_state_dict(a.state_dict())
    second = build(b, toy.options(optimiser=name))
    snapshot.restore_optimizer(second, data, json.loads(json.dumps(plain)))
    for model, optimiser in ((a, first), (b, second)):
        step(model, optimiser, 1)
        step(model, optimiser, 2)
    assert toy.same(a.state_dict(), b.state_dict())


@pytest.mark.parametrize(
    "state",
    [
        None,
        torch.randn(3),
        (torch.randn(2, 3), None, (torch.randn(1), [torch.randn(2).bfloat16()])),
        {"h": torch.randn(2), "more": ({"c": torch.zeros(0, 3)},)},
        (),
    ],
)
def test_a_nested_state_comes_back_with_its_structure(state):
    tensors = {}
    structure = json.loads(json.dumps(snapshot.pack(state, tensors, "state")))
    again = snapshot.unpack(structure, tensors, CPU)
    copies = {}
    assert snapshot.pack(again, copies, "state") == structure
    assert toy.same(copies, tensors)
    assert str(again) == str(state)


def test_every_generator_goes_on_where_it_was():
    def draws():
        return torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random(), random.gauss(), np.random.randn()

    draws()  # Python and NumPy now hold a second gaussian each
    files = snapshot.rank_files(0, None, {"cursor": 3}, CPU)
    expected = draws()
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    state, cursor = snapshot.restore_rank(files, 0, CPU)
    assert (state, cursor) == (None, {"cursor": 3})
    assert draws() == expected


def test_weights_are_the_average_where_there_is_one_also_under_tied_names():
    from safetensors.torch import save

    model = toy.Toy()
    files = {"model.safetensors": snapshot.model_bytes(model)}
    assert toy.same(snapshot.weights(files), model.state_dict())
    averaged = {name: p.detach() + 1 for name, p in model.named_parameters()}
    again = snapshot.weights(files | {"average.safetensors": save(averaged)})
    assert torch.equal(again["embedding.weight"], model.embedding.weight + 1)
    assert torch.equal(again["output.weight"], model.embedding.weight + 1)
    assert torch.equal(again["seen"], model.seen)


def test_a_newer_format_is_refused():
    with pytest.raises(ModelError, match=r"here: written in checkpoint format 2"):
        snapshot.record({"training.json": b'{"version": 2}'}, "here")


def test_nothing_is_pickled():
    files = snapshot.rank_files(0, (torch.ones(2),), {}, CPU)
    assert not any(b"torch._utils" in data or data.startswith((b"\x80", b"PK")) for data in files.values())
