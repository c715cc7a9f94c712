"""A frozen generator writes what the model itself would write."""

import pytest
import torch

from riverrun import cells
from riverrun.models.fixed_window import FixedWindow
from riverrun.models.language_model import LanguageModel
from riverrun.models.options import LanguageModelOptions

V = 11
OPTIONS = [
    {},
    {"one_hot": True},
    {"tied": True},
    {"projection": 4},
    {"zoneout": 0.3, "norm": True, "learned_initial": True},
    {"skip": "dense", "input_depth": 2, "output_depth": 2, "hidden_depth": 2},
]


def made(**given: object) -> LanguageModel:
    torch.manual_seed(3)
    model = LanguageModel(LanguageModelOptions(**{"hidden": 7, "layers": 2, **given}), V).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.9, 0.9)
    return model.eval()


def compare(model: LanguageModel) -> None:
    inputs = torch.randint(V, (6, 3), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, after = model(inputs)
    generator = model.generator()
    logits, state = generator(inputs[:2])
    found = list(logits)
    for token in inputs[2:]:
        logits, state = generator.step(state, token)
        found.append(logits)
    torch.testing.assert_close(torch.stack(found), expected, rtol=1e-10, atol=1e-10)
    for ours, theirs in zip(state, after, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "default")
def test_token_after_token_equals_the_window_with_every_option_that_acts_in_evaluation(options) -> None:
    compare(made(**options))


@pytest.mark.parametrize("cell", cells.names())
def test_it_does_so_for_every_cell(cell: str) -> None:
    compare(made(cell=cell))


def test_later_training_does_not_reach_it_and_the_models_mode_does_not_matter() -> None:
    model = made(dropout=0.5)
    token = torch.tensor([4])
    expected, _ = model.generator().step(model.initial_state(1), token)
    generator = model.train().generator()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    torch.testing.assert_close(generator.step(generator.initial_state(1), token)[0], expected)


def test_a_fixed_window_network_is_its_own_generator() -> None:
    model = FixedWindow(LanguageModelOptions(model="window", hidden=5), V)
    assert model.generator() is model
