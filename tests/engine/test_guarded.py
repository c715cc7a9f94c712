"""Where torch's kernel has a first derivative only (cuDNN), through scan it has a second."""

import pytest
import torch
from engine.steps import case, gradients, weighed

from riverrun.engine import guarded
from riverrun.engine.scan import Override, scan

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(params=[False, True], autouse=True, ids=["as it is", "guarded"])
def _once(request, monkeypatch):
    monkeypatch.setattr(guarded, "only_once", lambda device: request.param)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_gradient_has_a_gradient_with_lengths_and_resets(reverse):
    c = case("lstm", dtype=torch.float32)
    mask = torch.zeros(5, 4, dtype=torch.bool)
    reset = torch.randn_like(c.initial[0]).requires_grad_()
    options = {"lengths": torch.tensor([5, 0, 2, 3]), "overrides": [Override("h", mask, reset)], "reverse": reverse}
    leaves = [*c.leaves(), reset]
    found = []
    for path in ("torch", "eager"):
        scanned = scan(c.program, c.weights, c.input, c.initial, path=path, **options)
        slopes = gradients(weighed(scanned.outputs.square(), *scanned.states), leaves, create_graph=True)
        found.append([*slopes, *gradients(weighed(*(s.square() for s in slopes)), leaves)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, **CLOSE)


def test_the_output_can_be_recorded_and_the_record_is_a_copy():
    c = case("lstm", dtype=torch.float32)
    found = scan(c.program, c.weights, c.input, c.initial, path="torch", record=("h",))
    found.records["h"].fill_(3)
    assert not (found.outputs == 3).any()
    assert not found.records["h"].requires_grad


def test_only_what_wants_a_gradient_gets_one_and_backward_can_be_repeated():
    c = case("lstm", dtype=torch.float32)
    for tensor in [c.input, *c.initial]:
        tensor.requires_grad_(False)
    loss = weighed(scan(c.program, c.weights, c.input, c.initial, path="torch").outputs)
    first = torch.autograd.grad(loss, list(c.weights.values()), retain_graph=True)
    for a, b in zip(first, torch.autograd.grad(loss, list(c.weights.values())), strict=True):
        assert torch.equal(a, b)
        assert a.abs().max() > 0


@pytest.mark.parametrize(("name", "kernel"), [("lstm", "lstm"), ("gru_after", "gru"), ("elman", "rnn_tanh")])
def test_the_kernel_runs_as_training_exactly_where_a_gradient_may_be_wanted(name, kernel, monkeypatch):
    real, modes = getattr(torch, kernel), []

    def spy(*given):
        modes.append(given[6 if isinstance(given[3], bool) else 7])  # a packed call names its batch sizes, too
        return real(*given)

    monkeypatch.setattr(torch, kernel, spy)
    c = case(name, dtype=torch.float32)
    for lengths in (None, torch.tensor([5, 1, 2, 3])):
        scan(c.program, c.weights, c.input, c.initial, lengths=lengths, path="torch")
        with torch.no_grad():
            scan(c.program, c.weights, c.input, c.initial, lengths=lengths, path="torch")
    assert modes == [True, False, True, False]  # cuDNN has no backward of what did not run as training
