"""From the encoder's last states to the decoder's first."""

from __future__ import annotations

import pytest
import torch

from riverrun.layers.recurrent import Recurrent
from riverrun.models.bridge import Bridge


def sides(below: int, above: int, direction: str = "both", **given) -> tuple[Recurrent, Recurrent, tuple]:
    torch.manual_seed(0)
    encoder = Recurrent("lstm", 3, 4, num_layers=below, direction=direction)
    decoder = Recurrent("lstm", 3, 4, num_layers=above, **given)
    return encoder, decoder, encoder(torch.randn(5, 2, 3)).state


@pytest.mark.parametrize(
    ("below", "above", "taken"), [(2, 2, [0, 1]), (3, 2, [1, 2]), (1, 2, [0, 0]), (2, 3, [0, 0, 1])]
)
def test_layers_are_taken_from_the_top_and_both_directions_count(below, above, taken):
    encoder, decoder, state = sides(below, above)
    copied = Bridge("copy", encoder, decoder)(state, decoder)
    for layer, source in zip(copied, taken, strict=True):
        for number in range(2):
            torch.testing.assert_close(layer[number], (state[2 * source][number] + state[2 * source + 1][number]) / 2)
    bridge = Bridge("tanh", encoder, decoder)
    learned = bridge(state, decoder)
    for place, (layer, source) in enumerate(zip(learned, taken, strict=True)):
        for number in range(2):
            both = torch.cat([state[2 * source][number], state[2 * source + 1][number]], -1)
            assert len(bridge.layers[place]) == 2
            torch.testing.assert_close(layer[number], bridge.layers[place][number](both).tanh())


def test_of_one_direction_a_copy_is_the_very_state():
    encoder, decoder, state = sides(2, 2, "forward")
    copied = Bridge("copy", encoder, decoder)(state, decoder)
    assert all(a is b for one, two in zip(copied, state, strict=True) for a, b in zip(one, two, strict=True))


def test_zero_is_the_decoder_s_own_initial_state():
    encoder, decoder, state = sides(1, 1, learned_initial=True)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.fill_(0.7)
    bridge = Bridge("zero", encoder, decoder)
    assert bool((bridge(state, decoder)[0][1] == 0.7).all())
    assert not list(bridge.parameters())
