"""The loss against its equations, written out."""

from __future__ import annotations

import torch

from riverrun.models.loss import activity, cross_entropy, temporal_activity


def written_out(logits: torch.Tensor, targets: torch.Tensor, s: float) -> tuple[float, float]:
    total = nats = 0.0
    for row, y in zip(logits.flatten(0, -2).tolist(), targets.flatten().tolist(), strict=True):
        if y < 0:
            continue
        z = torch.tensor(row, dtype=torch.float64)
        log_p = z - z.exp().sum().log()
        nats -= float(log_p[y])
        total -= float((1 - s) * log_p[y] + s * log_p.mean())
    return total, nats


def test_cross_entropy_is_a_sum_over_the_targets_that_count_and_smoothing_spreads_it():
    torch.manual_seed(0)
    logits = torch.randn(4, 3, 5, dtype=torch.float64)
    targets = torch.randint(-1, 5, (4, 3))
    for s in (0.0, 0.1, 0.9):
        total, nats = cross_entropy(logits, targets, s)
        expected = written_out(logits, targets, s)
        assert abs(float(total) - expected[0]) < 1e-12
        assert abs(float(nats) - expected[1]) < 1e-12


def test_smoothing_equals_torch_s():
    torch.manual_seed(1)
    logits, targets = torch.randn(6, 5, requires_grad=True), torch.tensor([0, -1, 2, 4, 4, 1])
    total, nats = cross_entropy(logits, targets, 0.2)
    torch.testing.assert_close(
        total,
        torch.nn.functional.cross_entropy(logits, targets, ignore_index=-1, reduction="sum", label_smoothing=0.2),
    )
    assert not nats.requires_grad
    total.backward()
    assert float(logits.grad[1].abs().max()) == 0, "an ignored target has no gradient"
    assert float(logits.grad[0].abs().max()) > 0


def test_where_no_target_counts_the_loss_is_zero_with_a_zero_gradient():
    for s in (0.0, 0.3):
        logits = torch.randn(2, 3, requires_grad=True)
        total, _ = cross_entropy(logits, torch.full((2,), -1), s)
        total.backward()
        assert float(total.detach()) == 0
        assert not logits.grad.any()


def test_bfloat16_logits_are_judged_in_float32():
    logits = (torch.randn(50, 7) * 5).bfloat16()
    total, _ = cross_entropy(logits, torch.arange(50) % 7)
    assert total.dtype == torch.float32
    torch.testing.assert_close(
        total.double(), cross_entropy(logits.double(), torch.arange(50) % 7)[0], rtol=1e-6, atol=0
    )


def test_activity_is_the_mean_square():
    output = torch.tensor([[[1.0, 2.0]], [[3.0, 0.0]]])
    assert float(activity(output, 2.0)) == 2 * 14 / 4
    assert float(activity(output[:0], 2.0)) == 0


def test_temporal_activity_is_the_mean_square_change_and_leaves_out_what_a_reset_separates():
    output = torch.tensor([[[1.0, 2.0]], [[3.0, 0.0]], [[3.0, 7.0]]])
    assert float(temporal_activity(output, None, 1.0)) == (4 + 4 + 0 + 49) / 4
    resets = torch.tensor([[True], [False], [True]])
    assert float(temporal_activity(output, resets, 1.0)) == (4 + 4) / 2
    assert float(temporal_activity(output, torch.ones(3, 1, dtype=torch.bool), 1.0)) == 0
    assert float(temporal_activity(output[:1], None, 1.0)) == 0
