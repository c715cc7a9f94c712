"""Averages follow their definitions, are lent to the model and taken back without a trace."""

from __future__ import annotations

import torch
from torch import nn

from riverrun.training.averages import Average, triggers


def walk(model, average, steps=6):
    """Move the weights by random steps; returns every value of them, the first included."""
    torch.manual_seed(0)
    values = [model.weight.detach().clone()]
    for _ in range(steps):
        with torch.no_grad():
            model.weight += torch.randn_like(model.weight)
        average.update()
        values.append(model.weight.detach().clone())
    return values


def test_without_decay_it_is_the_mean_of_all_weights_since_the_start():
    model = nn.Linear(3, 2).double()
    average = Average(model, 0.0)
    values = walk(model, average)
    torch.testing.assert_close(average.tensors()["weight"], torch.stack(values).mean(0))
    assert average.count == len(values)


def test_with_decay_it_is_the_moving_average_with_a_short_start():
    model = nn.Linear(3, 2).double()
    average = Average(model, 0.3)
    values = walk(model, average)
    expected = values[0]
    for n, value in enumerate(values[1:], start=1):
        keep = min(0.3, (n + 1) / (n + 10))
        expected = keep * expected + (1 - keep) * value
    torch.testing.assert_close(average.tensors()["weight"], expected)


def test_it_is_lent_to_the_model_and_taken_back_bit_for_bit():
    model = nn.Linear(3, 2)
    average = Average(model, 0.9)
    values = walk(model, average)
    pointer = model.weight.data_ptr()
    with average.applied():
        assert torch.equal(model.weight, average.tensors()["weight"])
        assert not torch.equal(model.weight, values[-1])
    assert torch.equal(model.weight, values[-1])
    assert model.weight.data_ptr() == pointer  # optimiser and packed views still see the same memory


def test_it_is_taken_back_after_an_error_too():
    model = nn.Linear(3, 2)
    average = Average(model, 0.9)
    values = walk(model, average)
    try:
        with average.applied():
            raise ValueError
    except ValueError:
        pass
    assert torch.equal(model.weight, values[-1])


def test_averaged_sgd_begins_when_nothing_was_better_for_an_interval():
    losses = [3.0, 2.5, 2.0, 2.1, 2.05, 2.2, 2.1, 2.01, 2.02]
    begun = [n for n in range(1, len(losses) + 1) if triggers(losses[:n], interval=5)]
    assert begun == [9]  # 2.02 > 2.0, which is more than 5 evaluations old
    assert not triggers([1.0], interval=5)
    assert not triggers([1.0, 2.0, 2.0, 2.0, 2.0, 2.0], interval=5)
    assert triggers([1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 1.5], interval=5)
