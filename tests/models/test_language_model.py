"""The recurrent language model: against torch's layers, cut anywhere, and every option acts."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from torch import nn

from riverrun.cells import Cell, names, tanh
from riverrun.data.batch import Batch
from riverrun.layers.masks import dropout
from riverrun.models.language_model import LanguageModel
from riverrun.models.loss import activity, temporal_activity
from riverrun.models.options import LanguageModelOptions

V = 6


def options(**given) -> LanguageModelOptions:
    return LanguageModelOptions(**{"hidden": 8, "layers": 2, "dropout": 0.0, **given})


def model(**given) -> LanguageModel:
    torch.manual_seed(0)
    return LanguageModel(options(**given), V).double()


def batch(steps: int = 7, lanes: int = 3, seed: int = 0, resets: torch.Tensor | None = None) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, V, (steps + 1, lanes), generator=generator)
    return Batch(ids[:-1], ids[1:], resets, steps * lanes, 0)


def test_it_equals_torch_s_embedding_lstm_and_linear_with_the_same_weights():
    ours = model()
    lstm = nn.LSTM(8, 8, 2).double()
    with torch.no_grad():
        for layer in range(2):
            for matrix, theirs in (("W", "weight_ih"), ("U", "weight_hh"), ("b", "bias_ih")):
                rows = [ours.get_parameter(f"recurrent.layers.{layer}.forward.{matrix}.{gate}") for gate in "ifgo"]
                getattr(lstm, f"{theirs}_l{layer}").copy_(torch.cat(rows))
            getattr(lstm, f"bias_hh_l{layer}").zero_()
    b = batch()
    hidden, _ = lstm(ours.embedding.weight[b.inputs])
    logits = hidden @ ours.output.weight.T + ours.output.bias
    torch.testing.assert_close(ours(b.inputs)[0], logits, rtol=1e-10, atol=1e-12)
    loss = ours.loss(b, None)
    nats = nn.functional.cross_entropy(logits.flatten(0, 1), b.targets.flatten(), reduction="sum")
    torch.testing.assert_close(loss.total, nats, rtol=1e-10, atol=0)
    assert loss.tokens == 21


def test_a_text_cut_anywhere_has_the_same_loss():
    ours, b = model(), batch(9)
    whole = ours.loss(b, None)
    state, total = None, 0.0
    for a, z in ((0, 1), (1, 5), (5, 9)):
        part = ours.loss(Batch(b.inputs[a:z], b.targets[a:z], None, 3 * (z - a), a), state)
        state, total = part.state, total + float(part.nats)
    assert abs(total - float(whole.nats)) < 1e-10
    torch.testing.assert_close(state[0][0], whole.state[0][0], rtol=1e-10, atol=1e-12)


def test_a_reset_forgets_what_came_before():
    ours, b = model(), batch(6)
    resets = torch.zeros(6, 3, dtype=torch.bool)
    resets[4, 1] = True
    logits, _ = ours(b.inputs, None, resets)
    alone, _ = ours(b.inputs[4:, 1:2])
    plain, _ = ours(b.inputs)
    torch.testing.assert_close(logits[4:, 1:2], alone, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(logits[:, 0], plain[:, 0], rtol=1e-10, atol=1e-12)
    assert not torch.allclose(logits[4:, 1], plain[4:, 1])


def test_steps_in_a_row_equal_a_window():
    ours = model(dropout=0.4).eval()
    b = batch(5)
    state = ours.initial_state(3)
    for t in range(5):
        logits, state = ours.step(state, b.inputs[t])
        torch.testing.assert_close(logits, ours(b.inputs[: t + 1])[0][-1], rtol=1e-10, atol=1e-12)
    assert not logits.requires_grad


def test_no_gradient_is_all_zero():
    ours = model(learned_initial=True)
    ours.loss(batch(), None).total.backward()
    for name, parameter in ours.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.any()), name


def test_the_first_prediction_is_close_to_uniform():
    torch.manual_seed(0)
    ours = LanguageModel(LanguageModelOptions(hidden=64), 50)
    ids = torch.randint(0, 50, (40, 4))
    nats = ours.loss(Batch(ids[:-1], ids[1:], None, 156, 0), None).nats / 156
    assert abs(float(nats) - float(torch.tensor(50.0).log())) < 0.05
    assert abs(float(ours.embedding.weight.detach().std()) - 1) < 0.1
    assert not ours.output.bias.detach().any()


CHANGED = {
    "cell": "gru",
    "hidden": 9,
    "layers": 1,
    "embedding": 5,
    "one_hot": True,
    "tied": True,
    "projection": 4,
    "bias": False,
    "norm": True,
    "skip": "residual",
    "learned_initial": True,
    "dropout": 0.5,
    "embedding_dropout": 0.5,
    "variational": 0.5,
    "recurrent_dropout": 0.5,
    "weight_dropout": 0.5,
    "zoneout": 0.5,
    "input_depth": 2,
    "hidden_depth": 2,
    "output_depth": 2,
    "recurrent_init": "identity",
    "forget_bias": 3.0,
    "chrono": 20,
    "label_smoothing": 0.1,
    "activity": 1.0,
    "temporal_activity": 1.0,
}
WINDOW_ONLY = {"model", "context"}
NO_WEIGHTS = {"skip", "dropout", "embedding_dropout", "variational", "recurrent_dropout", "weight_dropout", "zoneout"}


def test_the_table_of_options_is_complete():
    assert set(CHANGED) | WINDOW_ONLY == {option.name for option in fields(LanguageModelOptions)}


@pytest.mark.parametrize("option", CHANGED)
def test_every_option_acts(option):
    plain, changed = model(), model(**{option: CHANGED[option]})
    torch.manual_seed(5)
    before = float(plain.loss(batch(), None).total.detach())
    torch.manual_seed(5)
    after = float(changed.loss(batch(), None).total.detach())
    weights = {name: tuple(p.shape) for name, p in plain.named_parameters()}
    if option == "learned_initial":  # it begins at zero, as the fixed one
        assert {name: tuple(p.shape) for name, p in changed.named_parameters()} != weights
    else:
        assert abs(before - after) > 1e-6
    if option in NO_WEIGHTS:
        assert {name: tuple(p.shape) for name, p in changed.named_parameters()} == weights


@pytest.mark.parametrize("option", sorted(NO_WEIGHTS - {"skip", "zoneout"}))
def test_dropouts_act_in_training_only_and_differently_each_time(option):
    ours = model(**{option: 0.5})
    losses = {float(ours.loss(batch(), None).total.detach()) for _ in range(4)}
    assert len(losses) == 4
    ours.eval()
    torch.testing.assert_close(ours(batch().inputs)[0], model()(batch().inputs)[0], rtol=1e-10, atol=1e-12)


def test_embedding_dropout_drops_whole_tokens_and_scales_the_others():
    ours = model(embedding_dropout=0.5)
    torch.manual_seed(3)
    embedded = ours._embed(torch.arange(V))
    ratios = embedded / ours.embedding.weight
    per_token = [set(row.round(decimals=9).tolist()) for row in ratios.detach()]
    assert all(values in ({0.0}, {-0.0}, {2.0}) for values in per_token)
    assert {0.0} in per_token or {-0.0} in per_token
    assert {2.0} in per_token


def test_the_regularisers_count_once_a_token():
    ours = model(activity=0.7, temporal_activity=0.3)
    b = batch()
    loss = ours.loss(b, None)
    output, _ = ours._read(b.inputs, None, None)
    expected = loss.nats + 21 * (activity(output, 0.7) + temporal_activity(output, None, 0.3))
    torch.testing.assert_close(loss.total, expected)


def test_the_output_is_dropped_before_it_is_read_and_the_regulariser_sees_it_so():
    ours, b = model(layers=1, dropout=0.5, activity=0.7), batch()
    torch.manual_seed(4)
    loss = ours.loss(b, None)
    torch.manual_seed(4)
    output, _ = ours._read(b.inputs, None, None)
    dropped = dropout(output, 0.5, True)
    logits = dropped @ ours.output.weight.T + ours.output.bias
    torch.testing.assert_close(
        loss.nats, nn.functional.cross_entropy(logits.flatten(0, 1), b.targets.flatten(), reduction="sum").detach()
    )
    torch.testing.assert_close(loss.total - loss.nats, 21 * 0.7 * dropped.square().mean())


def test_one_hot_input_is_a_column_of_the_input_matrix():
    ours = model(one_hot=True, layers=1, cell="elman")
    W, b = ours.get_parameter("recurrent.layers.0.forward.W.h"), ours.get_parameter("recurrent.layers.0.forward.b.h")
    logits, _ = ours(torch.tensor([[4]]))
    expected = torch.tanh(W[:, 4] + b) @ ours.output.weight.T + ours.output.bias
    torch.testing.assert_close(logits[0, 0], expected)


def test_tied_weights_are_one_parameter_under_one_name():
    ours = model(tied=True)
    assert [name for name in ours.state_dict() if "embedding" in name or "output" in name] == [
        "output_bias",
        "embedding.weight",
    ]
    hidden, _ = ours._read(torch.tensor([[2]]), None, None)
    torch.testing.assert_close(ours(torch.tensor([[2]]))[0], hidden @ ours.embedding.weight.T)


@pytest.mark.parametrize("cell", names())
def test_every_cell_learns_a_short_text_by_heart(cell):
    torch.manual_seed(0)
    ours = LanguageModel(options(cell=cell, layers=1, hidden=16), V)
    text = torch.tensor([0, 1, 2, 3, 0, 4, 2, 5] * 3)[:, None]
    b = Batch(text[:-1], text[1:], None, 23, 0)
    optimizer = torch.optim.Adam(ours.parameters(), lr=0.03)
    for _ in range(60):
        optimizer.zero_grad()
        loss = ours.loss(b, None)
        (loss.total / loss.tokens).backward()
        optimizer.step()
    assert float(loss.nats) / 23 < 0.6, "the frequencies alone leave 1.73 nats"


def test_a_cell_of_one_s_own_takes_the_place_of_the_named_one():
    class Mine(Cell):
        states = ("h",)

        def step(x, U, h):
            return tanh(x.n + U.n @ h) * 0.5

    ours = LanguageModel(options(layers=1), V, cell=Mine)
    assert "recurrent.layers.0.forward.U.n" in ours.state_dict()
    ours.loss(batch(), None).total.backward()


def test_under_bfloat16_the_loss_is_in_float32():
    ours = LanguageModel(options(), V)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = ours.loss(batch(), None)
    assert loss.total.dtype == loss.nats.dtype == torch.float32
    exact = ours.loss(batch(), None)
    assert abs(float(loss.nats - exact.nats)) < 0.02 * float(exact.nats)
