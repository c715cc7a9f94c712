"""Rows of a memory and of a state."""

from __future__ import annotations

from typing import NamedTuple

import torch

from riverrun.decoding.sequence_protocol import select


class Held(NamedTuple):
    keys: torch.Tensor
    states: tuple
    nothing: None = None


def test_rows_are_repeated_reordered_and_dropped_in_every_tensor_alike():
    held = Held(torch.arange(24.0).view(3, 4, 2), ((torch.arange(3), torch.arange(3.0)[:, None]),))
    found = select(held, torch.tensor([2, 0, 2]))
    assert isinstance(found, Held)
    assert found.nothing is None
    assert torch.equal(found.keys, torch.stack([held.keys[2], held.keys[0], held.keys[2]]))
    assert found.states[0][0].tolist() == [2, 0, 2]
    assert found.states[0][1].tolist() == [[2.0], [0.0], [2.0]]
