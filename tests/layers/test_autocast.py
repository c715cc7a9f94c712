"""Under autocast the plain LSTM runs in bfloat16 by torch's kernel, carries its state, and is as near as torch is."""

import pytest
import torch
from tolerances import TOLERANCE

from riverrun.layers import Dropouts, Recurrent

BFLOAT16 = TOLERANCE[torch.bfloat16, "value"]


@pytest.mark.parametrize("cell", ["lstm", "gru", "mingru"])
def test_values_and_gradients_are_near_those_in_float32_and_the_state_carries(cell):
    torch.manual_seed(0)
    layer = Recurrent(cell, 8, 16, num_layers=2, dropouts=Dropouts(between=0.0))
    x = torch.randn(12, 3, 8)
    resets = torch.zeros(12, 3, dtype=torch.bool)
    resets[5, 1] = True
    whole, end, _ = layer(x, resets=resets)
    gradients = torch.autograd.grad(whole.square().mean(), list(layer.parameters()))
    with torch.autocast("cpu", torch.bfloat16):
        first, state, _ = layer(x[:7], resets=resets[:7])
        second, low_end, _ = layer(x[7:], state)
    low = torch.cat([first, second]).float()
    torch.testing.assert_close(low, whole, **BFLOAT16)
    assert not torch.equal(low, whole) or cell != "lstm"  # it did run in another precision
    for ours, theirs in zip(low_end, end, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert one.dtype == torch.float32
            torch.testing.assert_close(one, other, **BFLOAT16)
    for one, other in zip(torch.autograd.grad(low.square().mean(), list(layer.parameters())), gradients, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other, rtol=5e-2, atol=5e-3)


def test_explain_names_the_kernel_under_autocast():
    layer = Recurrent("lstm", 8, 16, num_layers=2, dropouts=Dropouts(between=0.3))
    with torch.autocast("cpu", torch.bfloat16):
        assert all(why.startswith("torch: ") for why in layer.explain().values())
