"""The stack as a whole: against a row-by-row network, cut, padded, reset, forced, recorded, and asked wrongly."""

import copy
import re

import pytest
import torch
from layers import plain
from tolerances import TOLERANCE

from riverrun.cells import Cell, names, tanh
from riverrun.engine import native
from riverrun.errors import UsageError
from riverrun.layers import Depth, Dropouts, Recurrent
from riverrun.sequences import Sequences

VALUE, GRADIENT = TOLERANCE[torch.float64, "value"], TOLERANCE[torch.float64, "gradient"]
INVARIANCE = TOLERANCE[torch.float64, "invariance"]
STEPS = {"lstm": plain.lstm, "gru": plain.gru, "elman": plain.elman}


def randomised(layer: Recurrent) -> Recurrent:
    """The layer in float64 with distinct random weights everywhere, biases and initial states included."""
    layer = layer.double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-0.9, 0.9)
    return layer


def under(layer: Recurrent, prefix: str) -> dict[str, torch.Tensor]:
    """The weights of one part, by their local names."""
    return {n.removeprefix(prefix): p for n, p in layer.named_parameters() if n.startswith(prefix)}


def by_rows(layer, cell, data, lengths=None, state=None, resets=None, forced=None):
    """The whole stack, both directions, by plain.py: (output, states)."""
    rows = data.shape[1]
    ends, current = [], data
    for index in range(layer.stack.num_layers):
        sides = []
        for place, direction in enumerate(["forward", "reverse"][: 1 + (layer.stack.direction == "both")]):
            step = STEPS[cell](under(layer, f"layers.{index}.{direction}."))
            part = index * (1 + (layer.stack.direction == "both")) + place
            outs, finals = [], []
            for b in range(rows):
                begin = [torch.zeros(n, dtype=data.dtype) for n in layer.stack.state_sizes]
                out, final = plain.run(
                    step,
                    current[:, b],
                    begin if state is None else [s[b] for s in state[part]],
                    initial=begin,
                    length=None if lengths is None else int(lengths[b]),
                    resets=() if resets is None else resets[:, b].tolist(),
                    reverse=direction == "reverse",
                    forced=forced[:, b] if forced is not None and index == layer.stack.num_layers - 1 else None,
                )
                outs.append(out)
                finals.append(final)
            sides.append(torch.stack(outs, 1))
            ends.append(tuple(torch.stack(one) for one in zip(*finals, strict=True)))
        current = torch.cat(sides, -1)
    return current, tuple(ends)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(11)


@pytest.mark.parametrize("cell", STEPS)
def test_a_ragged_bidirectional_stack_with_resets_equals_a_network_run_row_by_row(cell):
    layer = randomised(Recurrent(cell, 3, 5, num_layers=2, direction="both"))
    x = torch.randn(6, 4, 3, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([6, 3, 0, 5])
    resets = torch.rand(6, 4) < 0.4
    state = tuple(tuple(torch.randn(4, 5, dtype=torch.float64) for _ in layer.stack.state_sizes) for _ in range(4))
    out, end, _ = layer(Sequences(x, lengths), state, resets=resets)
    expected, ends = by_rows(layer, cell, x, lengths, state, resets)
    torch.testing.assert_close(out, expected, **VALUE)
    for ours, theirs in zip(end, ends, strict=True):
        torch.testing.assert_close(ours, theirs, **VALUE)
    weigh = torch.randn_like(out)
    wanted = [x, *layer.parameters()]
    gradients = torch.autograd.grad((out * weigh).sum() + sum(s.sum() for e in end for s in e), wanted)
    oracle = torch.autograd.grad((expected * weigh).sum() + sum(s.sum() for e in ends for s in e), wanted)
    for ours, theirs in zip(gradients, oracle, strict=True):
        assert theirs.abs().max() > 0
        torch.testing.assert_close(ours, theirs, **GRADIENT)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"skip": "residual"},
        {"skip": "dense"},
        {"depth": Depth(input=2)},
        {"depth": Depth(output=2)},
        {"dropouts": Dropouts(variational=0.5)},
        {"projection": 2, "direction": "both", "norm": True},
    ],
    ids=str,
)
def test_padding_is_never_read_whichever_option_looks_at_the_input(options):
    layer = randomised(Recurrent("gru", 4, 4, num_layers=2, **options))
    x = torch.randn(5, 3, 4, dtype=torch.float64)
    lengths = torch.tensor([5, 2, 0])
    bad = x.clone()
    for b, length in enumerate(lengths):
        bad[length:, b] = float("nan")
    bad.requires_grad_()
    torch.manual_seed(1)
    out, end, _ = layer(Sequences(bad, lengths))
    torch.manual_seed(1)
    good, good_end, _ = layer(Sequences(x, lengths))
    torch.testing.assert_close(out, good, rtol=0, atol=0)
    for ours, theirs in zip(end, good_end, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert (out[2:, 1] == 0).all()
    assert (out[:, 2] == 0).all()
    out.square().sum().backward()
    assert bad.grad is not None
    assert torch.isfinite(bad.grad).all()
    assert (bad.grad[2:, 1] == 0).all()
    for name, parameter in layer.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("cell", names())
def test_a_stream_cut_in_two_is_the_stream_in_one_for_every_cell(cell):
    layer = randomised(Recurrent(cell, 3, 4, num_layers=2))
    x = torch.randn(7, 2, 3, dtype=torch.float64)
    whole, end, _ = layer(x)
    first, state, _ = layer(x[:3])
    second, cut_end, _ = layer(x[3:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole, **INVARIANCE)
    for ours, theirs in zip(cut_end, end, strict=True):
        torch.testing.assert_close(ours, theirs, **INVARIANCE)
    assert not torch.equal(layer(x[3:])[0], second)


@pytest.mark.parametrize("cell", names())
def test_every_parameter_of_every_cell_gets_a_gradient_that_is_not_zero(cell):
    layer = randomised(Recurrent(cell, 3, 4, num_layers=2, direction="both"))
    out, _, _ = layer(torch.randn(5, 3, 3, dtype=torch.float64))
    out.square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_a_reset_starts_from_the_initial_state_and_not_from_the_one_passed_in():
    layer = randomised(Recurrent("lstm", 3, 4))
    x = torch.randn(6, 1, 3, dtype=torch.float64)
    resets = torch.zeros(6, 1, dtype=torch.bool)
    resets[2] = True
    state = ((torch.randn(1, 4).double(), torch.randn(1, 4).double()),)
    out, end, _ = layer(x, state, resets=resets)
    before, _, _ = layer(x[:2], state)
    after, fresh_end, _ = layer(x[2:])
    torch.testing.assert_close(out, torch.cat([before, after]), **INVARIANCE)
    torch.testing.assert_close(end, fresh_end, **INVARIANCE)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_teacher_forcing_puts_the_wanted_output_where_the_next_step_reads_it(direction):
    layer = randomised(Recurrent("gru", 3, 4, direction=direction))
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    forced = torch.randn(5, 2, 4, dtype=torch.float64, requires_grad=True)
    out, _, _ = layer(x, forced=forced)
    w = under(layer, f"layers.0.{direction}.")
    expected = torch.stack(
        [
            plain.run(
                plain.gru(w), x[:, b], [torch.zeros(4).double()], forced=forced[:, b], reverse=direction == "reverse"
            )[0]
            for b in range(2)
        ],
        1,
    )
    torch.testing.assert_close(out, expected, **VALUE)
    (gradient,) = torch.autograd.grad(out.square().sum(), forced)
    (oracle,) = torch.autograd.grad(expected.square().sum(), forced)
    torch.testing.assert_close(gradient, oracle, **GRADIENT)


def test_forcing_is_only_of_the_last_layer_and_a_reset_wins_over_it():
    layer = randomised(Recurrent("elman", 3, 4, num_layers=2))
    x, forced = torch.randn(4, 1, 3).double(), torch.randn(4, 1, 4).double()
    resets = torch.tensor([[False], [False], [True], [False]])
    out, _, _ = layer(x, resets=resets, forced=forced)
    expected, _ = by_rows(layer, "elman", x, resets=resets, forced=forced)
    torch.testing.assert_close(out, expected, **VALUE)


def test_jordan_can_be_forced_at_the_width_of_its_output():
    layer = randomised(Recurrent("jordan", 3, 6, output_size=2))
    out, state, _ = layer(torch.randn(4, 2, 3).double(), forced=torch.randn(4, 2, 2).double())
    assert out.shape == (4, 2, 2)
    assert layer.output_width == 2
    assert state[0][0].shape == (2, 2)


def test_parameters_are_named_by_layer_direction_and_key():
    layer = Recurrent("lstm", 3, 4, num_layers=2, direction="both", learned_initial=True, projection=2)
    keys = set(layer.state_dict())
    for part in ("layers.0.forward", "layers.0.reverse", "layers.1.forward", "layers.1.reverse"):
        for local in ("W.i", "W.f", "U.g", "U.o", "b.i", "initial.h", "initial.c", "U.projection"):
            assert f"{part}.{local}" in keys
    assert len(keys) == 4 * (4 + 4 + 4 + 2 + 1)
    assert Recurrent("peephole", 3, 4).state_dict().keys() >= {"layers.0.forward.p.i", "layers.0.forward.p.f"}
    assert not any(".b." in key for key in Recurrent("gru-after", 3, 4, bias=False).state_dict())


def test_weights_load_into_another_layer_and_copies_do_not_share():
    torch.manual_seed(0)
    one, two = Recurrent("gru", 3, 4), Recurrent("gru", 3, 4)
    x = torch.randn(5, 2, 3)
    assert not torch.equal(one(x)[0], two(x)[0])
    two.load_state_dict(one.state_dict())
    assert torch.equal(one(x)[0], two(x)[0])
    three = copy.deepcopy(one)
    with torch.no_grad():
        for parameter in three.parameters():
            parameter.zero_()
    assert torch.equal(one(x)[0], two(x)[0])
    assert not torch.equal(three(x)[0], two(x)[0])


def test_functional_call_runs_on_the_weights_that_it_is_given():
    layer = randomised(Recurrent("lstm", 3, 4))
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    other = {name: torch.randn_like(p) for name, p in layer.named_parameters()}
    expected = randomised(Recurrent("lstm", 3, 4))
    expected.load_state_dict(other)
    out, _, _ = torch.func.functional_call(layer, other, (x,))
    torch.testing.assert_close(out, expected(x)[0], **INVARIANCE)


def test_recording_returns_named_values_of_all_parts_or_of_one():
    layer = randomised(Recurrent("lstm", 3, 4, num_layers=2))
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    out, _, records = layer(x, record=["f", "layers.1.forward.h"])
    assert set(records) == {"layers.0.forward.f", "layers.1.forward.f", "layers.1.forward.h"}
    torch.testing.assert_close(records["layers.1.forward.h"], out.detach(), **INVARIANCE)
    assert not records["layers.0.forward.f"].requires_grad
    w = under(layer, "layers.0.forward.")
    expected = torch.sigmoid(x[0] @ w["W.f"].T + w["b.f"])  # the first step reads a state of zeros
    torch.testing.assert_close(records["layers.0.forward.f"][0], expected.detach(), **VALUE)


def test_no_steps_and_no_length_give_the_state_that_came_in():
    layer = randomised(Recurrent("lstm", 3, 4, num_layers=2, direction="both", learned_initial=True))
    begin = layer.initial_state(2)
    out, end, _ = layer(torch.zeros(0, 2, 3).double())
    assert out.shape == (0, 2, 8)
    torch.testing.assert_close(end, begin, rtol=0, atol=0)
    out, end, _ = layer(Sequences(torch.full((3, 2, 3), float("nan")).double(), torch.tensor([0, 0])))
    assert (out == 0).all()
    torch.testing.assert_close(end, begin, rtol=0, atol=0)


def test_one_step_at_a_time_is_the_whole():
    layer = randomised(Recurrent("mut1", 3, 4, num_layers=2))
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    whole, end, _ = layer(x)
    state = None
    for t in range(5):
        out, state = layer.step(x[t], state)
        torch.testing.assert_close(out, whole[t], **INVARIANCE)
    torch.testing.assert_close(state, end, **INVARIANCE)


def test_a_step_of_a_layer_that_reads_backwards_is_refused():
    with pytest.raises(UsageError, match="direction='both'"):
        Recurrent("gru", 3, 4, direction="both").step(torch.zeros(2, 3))


def test_a_cell_of_ones_own_runs_and_trains():
    class Leaky(Cell):
        """h' = h / 2 + tanh(W x + U h + b) / 2."""

        states = ("h",)

        def step(x, U, h):
            return 0.5 * h + 0.5 * tanh(x.k + U.k @ h)

    layer = randomised(Recurrent(Leaky, 3, 4))
    x = torch.randn(6, 2, 3, dtype=torch.float64)
    w = under(layer, "layers.0.forward.")
    h, expected = torch.zeros(2, 4, dtype=torch.float64), []
    for t in range(6):
        h = 0.5 * h + 0.5 * torch.tanh(x[t] @ w["W.k"].T + w["b.k"] + h @ w["U.k"].T)
        expected.append(h)
    torch.testing.assert_close(layer(x)[0], torch.stack(expected), **VALUE)


def test_the_plain_lstm_takes_torchs_kernel_where_there_is_no_native_engine_and_says_so(monkeypatch):
    monkeypatch.setattr(native, "refusal", lambda device, dtype: "the native engine is not built")
    layer = Recurrent("lstm", 3, 4, num_layers=2)
    explained = layer.explain()
    assert set(explained) == {"layers.0.forward", "layers.1.forward"}
    assert all(why.startswith("torch") for why in explained.values()), explained
    gru = Recurrent("gru-after", 3, 4)
    assert gru.explain()["layers.0.forward"].startswith("fused")
    with torch.no_grad():  # torch's is the faster one where no gradient is wanted
        assert gru.explain()["layers.0.forward"].startswith("torch")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input": torch.zeros(5, 3)}, "input: expected [T, B, 3], time first, came [5, 3]"),
        ({"input": torch.zeros(5, 2, 4)}, "input: expected [T, B, 3], time first, came [5, 2, 4]"),
        ({"state": ((torch.zeros(3, 4),),)}, "state: expected, for each layer and direction"),
        ({"resets": torch.zeros(5, 2)}, "resets: expected bool [5, 2], came torch.float32 [5, 2]"),
        ({"forced": torch.zeros(5, 2, 3)}, "forced: expected [5, 2, 4]"),
        ({"input": Sequences(torch.zeros(5, 2, 3), torch.tensor([5]))}, "lengths: expected [2]"),
        ({"record": ["q"]}, "record: 'q' is no value of cell 'gru'"),
        ({"record": ["layers.7.forward.r"]}, "record: 'layers.7.forward.r' is no value"),
    ],
)
def test_wrong_arguments_are_named_with_what_was_expected_and_what_came(arguments, message):
    layer = Recurrent("gru", 3, 4)
    arguments = {"input": torch.zeros(5, 2, 3), **arguments}
    with pytest.raises(UsageError, match=re.escape(message)):
        layer(arguments.pop("input"), arguments.pop("state", None), **arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"direction": "backward"}, "direction: expected one of forward, reverse, both; got 'backward'."),
        ({"skip": "residul"}, "Did you mean 'residual'?"),
        ({"hidden_size": 0}, "hidden_size: expected a whole number from 1, got 0"),
        ({"output_size": 3}, "output_size: cell 'gru' has no output of a width of its own"),
        ({"projection": -1}, "projection: expected a width"),
        ({"skip": "residual"}, "skip: 'residual' finds nothing to connect"),
        ({"skip": "residual", "input_size": 4, "depth": Depth(input=2), "projection": 3}, "in one layer from 4 to 3"),
        (
            {"cell": "mingru", "dropouts": Dropouts(weight=0.1)},
            "dropouts.weight: cell 'mingru' has no recurrent matrix",
        ),
        ({"cell": "gur"}, "Did you mean 'gru'?"),
    ],
)
def test_wrong_options_are_named(options, message):
    given = {"cell": "gru", "input_size": 3, "hidden_size": 4, **options}
    with pytest.raises(UsageError, match=re.escape(message)):
        Recurrent(given.pop("cell"), given.pop("input_size"), given.pop("hidden_size"), **given)
