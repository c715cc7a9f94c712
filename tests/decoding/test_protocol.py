"""What decoding asks of a model, and what it leaves as it was."""

from __future__ import annotations

import pytest
import torch
from decoding.toy import Remembering

from riverrun.decoding.protocol import device_of, evaluating


def test_modes_come_back_also_after_an_error():
    for training in (True, False):
        model = Remembering(3).train(training)
        seen = []

        def fail(model=model, seen=seen):
            with evaluating(model):
                seen.append((model.training, torch.is_grad_enabled()))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert seen == [(False, False)]
        assert model.training is training
        assert torch.is_grad_enabled()


def test_a_model_that_is_no_module_is_taken_as_it_is():
    with evaluating(object()):
        assert not torch.is_grad_enabled()


def test_the_device_is_that_of_the_first_tensor_of_a_nested_state():
    meta = torch.zeros(1, device="meta")
    assert device_of((None, ((), (meta, torch.zeros(1))))) == meta.device
    assert device_of(None) == torch.device("cpu")
    assert device_of(()) == torch.device("cpu")
