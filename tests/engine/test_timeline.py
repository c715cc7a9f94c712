"""Time run backwards."""

from __future__ import annotations

import torch

from riverrun.engine.scanned import Override
from riverrun.engine.timeline import flipped, flipped_overrides

LENGTHS = torch.tensor([4, 2, 0])
DATA = torch.arange(12.0).reshape(4, 3)


def test_only_the_valid_steps_of_each_row_are_flipped():
    assert flipped(DATA, LENGTHS).T.tolist() == [[9, 6, 3, 0], [4, 1, 7, 10], [2, 5, 8, 11]]


def test_twice_flipped_is_not_flipped():
    torch.testing.assert_close(flipped(flipped(DATA, LENGTHS), LENGTHS), DATA)
    torch.testing.assert_close(flipped(flipped(DATA, None), None), DATA)


def test_a_border_before_step_t_lies_backwards_before_step_t_minus_1():
    mask = torch.zeros(4, 3, dtype=torch.bool)
    mask[1, 0] = mask[0, 1] = mask[1, 1] = True
    value = DATA[:, :, None]
    (turned,) = flipped_overrides([Override("h", mask, value)], LENGTHS, 4)
    assert torch.nonzero(turned.mask[:, 0]).flatten().tolist() == [3]  # backwards: 3 2 1 | 0
    assert turned.value[3, 0].item() == value[1, 0].item()
    assert torch.nonzero(turned.mask[:2, 1]).flatten().tolist() == [1]  # backwards: 1 | 0; the border at 0 is none
    assert turned.value[1, 1].item() == value[1, 1].item()
