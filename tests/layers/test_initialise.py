"""Every way to start is what it says, by the numbers."""

import math

import pytest
import torch

import riverrun.nn
from riverrun.errors import UsageError
from riverrun.layers import Depth, Initialisation, Recurrent


def weights(cell: str, hidden: int = 32, **options) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    layer = Recurrent(cell, 16, hidden, initialisation=Initialisation(**options))
    return {n.removeprefix("layers.0.forward."): p.detach() for n, p in layer.named_parameters()}


def test_u_is_orthogonal_and_w_glorot_where_nothing_is_said_and_gates_differ():
    w = weights("gru")
    for key in "rzn":
        torch.testing.assert_close(w[f"U.{key}"] @ w[f"U.{key}"].T, torch.eye(32), rtol=0, atol=1e-5)
        bound = math.sqrt(6 / (16 + 32))
        assert 0.9 * bound < w[f"W.{key}"].abs().max() <= bound
        assert (w[f"b.{key}"] == 0).all()
    assert not torch.equal(w["U.r"], w["U.z"])
    assert not torch.equal(w["W.r"], w["W.z"])


def test_a_relu_network_asks_for_the_identity_and_can_be_told_otherwise():
    assert torch.equal(weights("elman-relu")["U.h"], torch.eye(32))
    assert not torch.equal(weights("elman-relu", recurrent="orthogonal")["U.h"], torch.eye(32))
    assert torch.equal(weights("lstm", recurrent="identity")["U.i"], torch.eye(32))


@pytest.mark.parametrize("kind", ["uniform", "normal", "glorot"])
def test_the_other_starts_of_u_have_the_spread_that_they_are_named_for(kind):
    u = torch.cat([weights("lstm", 64, recurrent=kind)[f"U.{key}"] for key in "ifgo"])
    spread = {"uniform": 1 / math.sqrt(3 * 64), "normal": 1 / math.sqrt(64), "glorot": math.sqrt(2 / 128)}[kind]
    assert u.std().item() == pytest.approx(spread, rel=0.03)
    assert (u.abs().max() > 3 * spread) == (kind == "normal")


@pytest.mark.parametrize("kind", ["uniform", "normal", "orthogonal"])
def test_the_other_starts_of_w_act(kind):
    w = torch.cat([weights("lstm", 64, input=kind)[f"W.{key}"] for key in "ifgo"])
    spread = {"uniform": 1 / math.sqrt(3 * 64), "normal": 1 / math.sqrt(16), "orthogonal": 1 / math.sqrt(64)}[kind]
    assert w.std().item() == pytest.approx(spread, rel=0.05)


def test_the_forget_gate_starts_at_the_forget_bias_and_no_other_does():
    w = weights("lstm")
    assert (w["b.f"] == 1).all()
    assert all((w[f"b.{key}"] == 0).all() for key in "igo")
    assert (weights("lstm", forget_bias=2.5)["b.f"] == 2.5).all()


def test_chrono_spreads_the_forget_gates_memory_up_to_t_max_and_mirrors_the_input_gate():
    w = weights("lstm", 4000, chrono=100, recurrent="identity")
    spans = w["b.f"].exp()
    assert spans.min() >= 1
    assert spans.max() <= 99
    assert spans.mean().item() == pytest.approx(50, abs=2)  # U(1, 99)
    assert torch.equal(w["b.i"], -w["b.f"])
    assert (w["b.o"] == 0).all()


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    one, two = weights("lstm"), weights("lstm")
    assert all(torch.equal(one[name], two[name]) for name in one)
    torch.manual_seed(1)
    other = Recurrent("lstm", 16, 32).state_dict()
    assert not torch.equal(other["layers.0.forward.U.i"], one["U.i"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recurrent": "orthgonal"}, "Did you mean 'orthogonal'"),
        ({"input": "xavier"}, "initialisation.input: expected one of"),
        ({"chrono": 2}, "initialisation.chrono: expected the longest memory in steps, from 3"),
    ],
)
def test_a_start_that_does_not_exist_is_refused_by_its_name(options, message):
    with pytest.raises(UsageError, match=message):
        Initialisation(**options)


@pytest.mark.parametrize(("cell", "bias"), [("elman", True), ("lstm", False)])
def test_chrono_is_refused_where_no_gate_could_take_it(cell, bias):
    with pytest.raises(UsageError, match=r"initialisation\.chrono"):
        Recurrent(cell, 3, 4, bias=bias, initialisation=Initialisation(chrono=10))
    drop_in = {"elman": riverrun.nn.RNN, "lstm": riverrun.nn.LSTM}[cell]
    with pytest.raises(UsageError, match=r"initialisation\.chrono"):
        drop_in(3, 4, bias=bias, initialisation=Initialisation(chrono=10))


@pytest.mark.parametrize(
    ("cell", "layer", "start", "message"),
    [
        ("gru", {}, {"forget_bias": 2.5}, r"initialisation\.forget_bias: this cell has no forget gate"),
        ("lstm", {"bias": False}, {"forget_bias": 2.5}, r"initialisation\.forget_bias: this cell has no forget gate"),
        ("lstm", {}, {"forget_bias": 2.5, "chrono": 10}, r"initialisation\.forget_bias: chrono takes its place"),
        ("mingru", {}, {"recurrent": "identity"}, r"initialisation\.recurrent: this cell has no recurrent matrix"),
        ("minlstm", {}, {"recurrent": "identity"}, r"initialisation\.recurrent: this cell has no recurrent matrix"),
    ],
)
def test_a_start_that_would_do_nothing_is_refused(cell, layer, start, message):
    with pytest.raises(UsageError, match=message):
        Recurrent(cell, 3, 4, **layer, initialisation=Initialisation(**start))
    if cell in ("gru", "lstm"):
        drop_in = {"gru": riverrun.nn.GRU, "lstm": riverrun.nn.LSTM}[cell]
        with pytest.raises(UsageError, match=message):
            drop_in(3, 4, **layer, initialisation=Initialisation(**start))


def test_a_matrix_that_an_option_brings_can_start_as_asked_for():
    for more in ({"projection": 4}, {"depth": Depth(hidden=2)}):
        layer = Recurrent("mingru", 3, 4, **more, initialisation=Initialisation(recurrent="identity"))
        matrices = [p for name, p in layer.named_parameters() if ".U." in name]
        assert matrices
        assert all(torch.equal(p, torch.eye(4)) for p in matrices)
