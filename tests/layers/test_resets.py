"""Resets in a stack: every part starts from its own initial state."""

from __future__ import annotations

import pytest
import torch
from tolerances import TOLERANCE

from riverrun.layers.recurrent import Recurrent


@pytest.mark.parametrize("cell", ["lstm", "gru", "elman"])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_after_a_reset_each_layer_starts_from_its_own_learned_state(cell, direction):
    torch.manual_seed(0)
    layer = Recurrent(cell, 3, 4, num_layers=2, direction=direction, learned_initial=True).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(std=0.5)  # no two layers start alike
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    resets = torch.zeros(5, 2, dtype=torch.bool)
    resets[2] = True
    joined, state, _ = layer(x, resets=resets)
    pieces = [layer(x[:2]), layer(x[2:])]
    torch.testing.assert_close(
        joined, torch.cat([piece.output for piece in pieces]), **TOLERANCE[torch.float64, "invariance"]
    )
    last = pieces[0 if direction == "reverse" else 1].state
    torch.testing.assert_close(state, last, **TOLERANCE[torch.float64, "invariance"])
