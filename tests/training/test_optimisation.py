"""Every update rule follows its equation, decay touches matrices only, and clipping bounds what it says."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from riverrun.training.optimisation import Adagrad, build, clip, gradients, groups, total_norm
from riverrun.training.options import OPTIMISERS, StreamTraining

LR, DECAY, BETA2 = 0.1, 0.05, 0.9


def oracle(name, w, draws, decay):
    """The rules as their papers write them, on plain floats; returns the weight after each gradient."""
    m = v = s = 0.0
    path = []
    for t, g in enumerate(draws, start=1):
        if name == "adamw":
            w -= LR * decay * w
        else:
            g += decay * w
        if name in ("adam", "adamw"):
            m = 0.9 * m + 0.1 * g
            v = BETA2 * v + (1 - BETA2) * g * g
            w -= LR * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - BETA2**t)) + 1e-8)
        elif name in ("sgd", "asgd"):
            w -= LR * g
        elif name == "momentum":
            m = 0.7 * m + g
            w -= LR * m
        elif name == "adagrad":
            s += g * g
            w -= LR * g / math.sqrt(s + 1e-8 / 625)
        elif name == "rmsprop":
            v = BETA2 * v + (1 - BETA2) * g * g
            w -= LR * g / (math.sqrt(v) + 1e-8)
        path.append(w)
    return path


@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_optimiser_follows_its_equation(name):
    torch.manual_seed(0)
    model = nn.Linear(3, 2).double()
    options = StreamTraining(optimiser=name, lr=LR, weight_decay=DECAY, beta2=BETA2, momentum=0.7)
    optimiser = build(model, options)
    start = {key: p.detach().clone() for key, p in model.named_parameters()}
    draws = {key: torch.randn(4, *p.shape, dtype=torch.float64) for key, p in model.named_parameters()}
    for t in range(4):
        for key, p in model.named_parameters():
            p.grad = draws[key][t].clone()
        optimiser.step()
    for key, decay in (("weight", DECAY), ("bias", 0.0)):
        p = dict(model.named_parameters())[key].detach().reshape(-1)
        for place in range(p.numel()):
            path = oracle(
                name, start[key].reshape(-1)[place].item(), draws[key].reshape(4, -1)[:, place].tolist(), decay
            )
            assert p[place].item() == pytest.approx(path[-1], rel=1e-6), (key, place)


def test_matrices_decay_and_vectors_do_not_and_frozen_parameters_are_left_out():
    model = nn.Sequential(nn.Embedding(3, 2), nn.Linear(2, 2), nn.LayerNorm(2))
    model[1].weight.requires_grad_(False)
    made = groups(model, 0.1)
    assert [[p.dim() for p in group["params"]] for group in made] == [[2], [1, 1, 1]]
    assert [group["weight_decay"] for group in made] == [0.1, 0.0]


def test_a_gradient_that_is_too_long_keeps_its_direction():
    vectors = [torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])]
    clip(vectors, 5.0, 1.0, 0.0)
    torch.testing.assert_close(vectors[0], torch.tensor([0.6, 0.0]))
    torch.testing.assert_close(vectors[1], torch.tensor([[0.8]]))


def test_a_gradient_that_is_short_enough_is_untouched():
    vectors = [torch.tensor([3.0, 4.0])]
    clip(vectors, 5.0, 5.0, 0.0)
    assert vectors[0].tolist() == [3.0, 4.0]
    clip(vectors, 5.0, 0.0, 0.0)
    assert vectors[0].tolist() == [3.0, 4.0]


def test_clipping_by_value_bounds_both_signs():
    vectors = [torch.tensor([3.0, -4.0, 0.5])]
    clip(vectors, 5.0, 0.0, 1.0)
    assert vectors[0].tolist() == [1.0, -1.0, 0.5]


def test_only_the_gradients_that_there_are_are_taken():
    model = nn.Linear(2, 1)
    model.bias.grad = torch.ones(1)
    assert [g.tolist() for g in gradients(model.parameters())] == [[1.0]]


@pytest.mark.parametrize("decay", [0.0, 0.05])
def test_adagrad_has_the_bits_and_the_state_of_torchs(decay):
    def trained(kind):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2))
        optimiser = kind(groups(model, decay), lr=LR, initial_accumulator_value=1e-8, eps=1e-20, fused=True)
        for step in range(4):
            for p in model.parameters():
                p.grad = torch.randn_like(p)
            if step == 2:
                model[0].bias.grad = None
            optimiser.step()
        return model, optimiser

    (ours, with_ours), (theirs, with_theirs) = trained(Adagrad), trained(torch.optim.Adagrad)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)
    a, b = with_ours.state_dict(), with_theirs.state_dict()
    assert a["param_groups"] == b["param_groups"]
    for place, state in b["state"].items():
        assert {key: value.tolist() for key, value in state.items()} == {
            key: value.tolist() for key, value in a["state"][place].items()
        }
    again = Adagrad(groups(ours, decay), fused=True)
    again.load_state_dict(b)
    assert again.step(lambda: 2.5) == 2.5


def test_the_norm_of_all_gradients_is_torchs():
    torch.manual_seed(0)
    found = [torch.randn(3, 4), torch.randn(5), torch.randn(2, 2, 2)]
    assert torch.equal(total_norm(found), nn.utils.get_total_norm(found))
    mixed = [*found, torch.randn(3, dtype=torch.float64)]
    torch.testing.assert_close(total_norm(mixed), nn.utils.get_total_norm(mixed))
    assert total_norm([]) == 0
