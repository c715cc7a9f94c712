"""The masks that dropouts multiply by."""

import pytest
import torch

from riverrun.layers.masks import dropout, inverted


@pytest.mark.parametrize("p", [0.0, 0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_mask_drops_the_share_it_was_asked_for_and_keeps_the_mean(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(3)
    mask = inverted((200, 1001), p, torch.zeros(1, dtype=dtype))
    assert mask.shape == (200, 1001)
    assert mask.dtype == dtype
    values = mask.unique()
    assert len(values) == (2 if p else 1)
    assert values[-1].item() == pytest.approx(1 / (1 - p), rel=1e-2 if dtype == torch.bfloat16 else 1e-4)
    share = (mask == 0).double().mean().item()
    assert share == pytest.approx(p, abs=5 * (p * (1 - p) / mask.numel()) ** 0.5 + 1e-12)


def test_entries_are_independent_of_their_neighbours() -> None:
    torch.manual_seed(4)
    kept = (inverted((400_000,), 0.5, torch.zeros(1)) > 0).double() - 0.5
    for distance in (1, 2, 3, 4, 5, 8):  # four entries come from one draw
        correlation = (kept[:-distance] * kept[distance:]).mean() / 0.25
        assert abs(correlation.item()) < 5 / 400_000**0.5


def test_dropping_all_gives_zeros_and_the_seed_gives_the_mask() -> None:
    v = torch.ones(7, 3)
    assert not dropout(v, 1.0, True).any()
    torch.manual_seed(5)
    first = dropout(v, 0.4, True)
    torch.manual_seed(5)
    assert torch.equal(first, dropout(v, 0.4, True))


def test_outside_training_nothing_is_dropped_and_the_gradient_is_the_mask() -> None:
    v = torch.randn(50, 20, requires_grad=True)
    assert dropout(v, 0.4, False) is v
    out = dropout(v, 0.4, True)
    (gradient,) = torch.autograd.grad(out.sum(), v)
    torch.testing.assert_close(gradient, out / v)
