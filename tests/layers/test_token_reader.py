"""A frozen stack over tokens: what the layer gives for their vectors."""

from __future__ import annotations

import pytest
import torch

from riverrun.cells import names
from riverrun.layers.options import Depth, Dropouts
from riverrun.layers.recurrent import Recurrent
from riverrun.layers.token_reader import TokenReader
from riverrun.sequences import Sequences

STACKS = {
    "one layer": {},
    "both directions": {"direction": "both"},
    "deep in both": {"direction": "both", "num_layers": 3, "dropouts": Dropouts(between=0.5, variational=0.2)},
    "deep": {"num_layers": 2},
    "no bias": {"bias": False},
    "projected inside": {"projection": 2, "num_layers": 2},
    "norm, zoneout": {"norm": True, "num_layers": 2, "direction": "both", "dropouts": Dropouts(zoneout=0.3)},
    "deep steps": {"depth": Depth(hidden=2)},
    "learned": {"learned_initial": True},
}


def check(layer: Recurrent) -> None:
    layer = layer.double().eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    vectors, tokens = torch.randn(7, 3, dtype=torch.float64), torch.randint(0, 7, (5, 3))
    lengths = torch.tensor([5, 0, 2])
    expected, state, _ = layer(Sequences(vectors[tokens], lengths))
    reader = TokenReader(layer.stack, layer.weights(), vectors)
    if layer.stack.direction == "forward":
        stepped = [reader.initial_state(3)]
        for t in range(5):
            output, after = reader.step(tokens[t], stepped[-1])
            torch.testing.assert_close(output[0], expected[t, 0].detach(), rtol=1e-10, atol=1e-12)
            stepped.append(after)
    for parameter in layer.parameters():
        parameter.data.zero_()
    output, after, _ = reader.run(tokens, lengths)
    torch.testing.assert_close(output, expected.detach(), rtol=1e-10, atol=1e-12)
    for ours, theirs in zip(after, state, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b.detach(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", STACKS)
def test_it_gives_what_the_layer_gives_for_the_vectors(name):
    torch.manual_seed(0)
    check(Recurrent("lstm", 3, 4, **STACKS[name]))


@pytest.mark.parametrize("cell", names())
def test_every_cell_reads_tokens(cell):
    torch.manual_seed(0)
    check(Recurrent(cell, 3, 4))


def test_what_needs_the_vectors_elsewhere_is_not_served():
    for given in ({"skip": "dense", "num_layers": 2}, {"depth": Depth(input=2)}, {"depth": Depth(output=2)}):
        assert not TokenReader.serves(Recurrent("lstm", 3, 4, **given).stack)
    assert not TokenReader.serves(Recurrent("gru", 3, 4, projection=2).stack)
