"""Each structural option of a stack acts as defined: skips, depths, norm, projection, initial state, bias."""

import math

import pytest
import torch
from layers import plain
from tolerances import TOLERANCE

from riverrun.errors import UsageError
from riverrun.layers import Depth, Recurrent
from riverrun.sequences import Sequences

VALUE, GRADIENT = TOLERANCE[torch.float64, "value"], TOLERANCE[torch.float64, "gradient"]
T, B, H = 5, 2, 4


def made(cell: str, inputs: int, **options) -> Recurrent:
    torch.manual_seed(6)
    layer = Recurrent(cell, inputs, H, **options).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-0.9, 0.9)
    return layer


def data(inputs: int) -> torch.Tensor:
    return torch.randn(T, B, inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(7))


def under(layer: Recurrent, prefix: str) -> dict[str, torch.Tensor]:
    return {n.removeprefix(prefix): p for n, p in layer.named_parameters() if n.startswith(prefix)}


def rows(step, x, widths, *, initial=None, reverse=False, hooks=lambda t: {}):
    begin = [torch.zeros(n, dtype=torch.float64) for n in widths] if initial is None else initial
    return torch.stack([plain.run(step, x[:, b], begin, reverse=reverse, hooks=hooks)[0] for b in range(x.shape[1])], 1)


def compare(layer: Recurrent, out: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(out, expected, **VALUE)
    wanted = list(layer.parameters())
    ours = torch.autograd.grad(out.square().sum(), wanted)
    oracle = torch.autograd.grad(expected.square().sum(), wanted)
    for (name, _), one, other in zip(layer.named_parameters(), ours, oracle, strict=True):
        assert other.abs().max() > 0, name
        torch.testing.assert_close(one, other, **GRADIENT)


def test_the_reverse_direction_reads_from_the_end():
    layer, x = made("elman", 3, direction="reverse"), data(3)
    compare(layer, layer(x)[0], rows(plain.elman(under(layer, "layers.0.reverse.")), x, [H], reverse=True))


def test_residual_adds_each_layers_input_where_the_widths_agree():
    layer, x = made("elman", 3, num_layers=3, skip="residual"), data(3)
    current = rows(plain.elman(under(layer, "layers.0.forward.")), x, [H])
    for index in (1, 2):
        current = current + rows(plain.elman(under(layer, f"layers.{index}.forward.")), current, [H])
    compare(layer, layer(x)[0], current)


def test_residual_reaches_the_first_layer_where_the_input_is_as_wide():
    layer, x = made("elman", H, skip="residual"), data(H)
    compare(layer, layer(x)[0], x + rows(plain.elman(under(layer, "layers.0.forward.")), x, [H]))


def test_residual_over_a_deep_input_adds_what_the_layer_reads():
    layer, x = made("elman", 3, skip="residual", depth=Depth(input=2)), data(3)
    w = dict(layer.named_parameters())
    into = torch.tanh(x @ w["input.0.V"].T + w["input.0.a"])
    compare(layer, layer(x)[0], into + rows(plain.elman(under(layer, "layers.0.forward.")), into, [H]))


def test_dense_lets_each_layer_read_the_input_and_all_layers_below():
    layer, x = made("elman", 3, num_layers=3, skip="dense"), data(3)
    below = [x]
    for index in range(3):
        own = under(layer, f"layers.{index}.forward.")
        assert own["W.h"].shape == (H, 3 + index * H)
        below.append(rows(plain.elman(own), torch.cat(below, -1), [H]))
    compare(layer, layer(x)[0], below[-1])


def test_depth_in_input_to_hidden_and_hidden_to_output_are_layers_of_tanh_around_the_stack():
    layer, x = made("elman", 3, depth=Depth(input=3, output=2)), data(3)
    shapes = {n: tuple(p.shape) for n, p in layer.named_parameters() if n.startswith(("input", "output"))}
    assert shapes == {
        "input.0.V": (H, 3), "input.0.a": (H,), "input.1.V": (H, H), "input.1.a": (H,),
        "output.0.V": (H, H), "output.0.a": (H,),
    }  # fmt: skip
    w = dict(layer.named_parameters())
    current = x
    for j in range(2):
        current = torch.tanh(current @ w[f"input.{j}.V"].T + w[f"input.{j}.a"])
    current = rows(plain.elman(under(layer, "layers.0.forward.")), current, [H])
    compare(layer, layer(x)[0], torch.tanh(current @ w["output.0.V"].T + w["output.0.a"]))


def test_depth_in_hidden_to_hidden_passes_the_output_state_through_more_layers_in_every_step():
    layer, x = made("elman", 3, depth=Depth(hidden=3)), data(3)
    own = under(layer, "layers.0.forward.")
    transitions = sorted(name for name in own if name.startswith("U.transition"))
    assert len(transitions) == 2
    once = plain.elman(own)

    def step(x_t, states):
        (h,) = once(x_t, states)
        for name in transitions:
            h = torch.tanh(own[name] @ h + own[name.replace("U.", "b.")])
        return (h,)

    compare(layer, layer(x)[0], rows(step, x, [H]))


def test_norm_is_layer_norm_on_each_input_product_and_each_recurrent_product():
    layer, x = made("lstm", 3, norm=True), data(3)
    own = under(layer, "layers.0.forward.")

    def norm(name, v):
        centred = v - v.mean()
        return own[f"p.{name}"] * centred / torch.sqrt(centred.square().mean() + 1e-5)

    compare(layer, layer(x)[0], rows(plain.lstm(own), x, [H, H], hooks=lambda t: {"norm": norm}))


def test_the_gains_of_norm_start_at_one():
    layer = Recurrent("gru", 3, H, norm=True)
    gains = [p for n, p in layer.named_parameters() if ".p.ln_" in n]
    assert len(gains) == 6
    assert all((gain == 1).all() for gain in gains)


def test_a_projected_lstm_feeds_the_projection_back():
    layer, x = made("lstm", 3, projection=2, direction="both", num_layers=2), data(3)
    current = x
    for index in range(2):
        current = torch.cat(
            [
                rows(plain.lstm(under(layer, f"layers.{index}.{d}.")), current, [2, H], reverse=d == "reverse")
                for d in ("forward", "reverse")
            ],
            -1,
        )
    out, state, _ = layer(x)
    assert out.shape == (T, B, 4)
    assert [tuple(s.shape) for s in state[0]] == [(B, 2), (B, H)]
    compare(layer, out, current)


def test_a_gru_is_projected_outside_where_its_state_enters_as_it_is():
    layer, x = made("gru", 3, projection=2), data(3)
    own = under(layer, "layers.0.forward.")
    out, state, _ = layer(x)
    assert out.shape == (T, B, 2)
    assert state[0][0].shape == (B, H)
    compare(
        layer,
        out,
        rows(plain.gru({n: w for n, w in own.items() if n != "U.projection"}), x, [H]) @ own["U.projection"].T,
    )


def test_a_learned_initial_state_begins_at_zero_is_where_sequences_and_resets_start_and_is_learnt():
    assert all(
        (p == 0).all() for n, p in Recurrent("lstm", 3, H, learned_initial=True).named_parameters() if "initial" in n
    )
    layer, x = made("lstm", 3, learned_initial=True), data(3)
    own = under(layer, "layers.0.forward.")
    begin = [own["initial.h"], own["initial.c"]]
    step = plain.lstm(own)
    compare(layer, layer(x)[0], rows(step, x, [H, H], initial=begin))
    resets = torch.tensor([[False, False], [True, False], [False, False], [False, True], [False, False]])
    expected = torch.stack(
        [plain.run(step, x[:, b], begin, initial=begin, resets=resets[:, b].tolist())[0] for b in range(B)], 1
    )
    compare(layer, layer(x, resets=resets)[0], expected)
    assert torch.equal(layer.initial_state(3)[0][1], own["initial.c"].expand(3, H))


def test_no_bias_means_no_bias_anywhere():
    layer = made("gru-after", 3, bias=False, depth=Depth(input=2, output=2, hidden=2), norm=True)
    assert not [name for name, _ in layer.named_parameters() if ".b." in name or name.endswith(".a")]
    out, _, _ = layer(torch.zeros(T, B, 3).double())
    assert (out == 0).all()


def test_the_output_is_zero_at_padding_whatever_comes_after_the_recurrence():
    layer = made("gru", 3, projection=2, depth=Depth(output=2), skip="dense", num_layers=2)
    out, _, _ = layer(Sequences(data(3), torch.tensor([5, 2])))
    assert (out[2:, 1] == 0).all()
    assert (out[:2, 1] != 0).all()


@pytest.mark.parametrize("options", [{"input": 0}, {"hidden": 1.5}, {"output": -1}])
def test_a_depth_that_is_no_whole_number_is_refused_by_its_name(options):
    (name,) = options
    with pytest.raises(UsageError, match=rf"depth.{name}: expected a whole number from 1"):
        Depth(**options)


@pytest.mark.parametrize("cell", ["lstm", "gru", "mut2", "mlstm", "peephole", "jordan", "mingru"])
def test_all_options_together_run_and_every_parameter_learns(cell):
    from riverrun.cells import find
    from riverrun.layers import Dropouts

    candidate = 0.2 if find(cell).candidate else 0.0
    torch.manual_seed(2)
    layer = Recurrent(
        cell, 3, 4, num_layers=2, direction="both", projection=3, skip="dense", learned_initial=True, norm=True,
        depth=Depth(input=2, hidden=2, output=2),
        dropouts=Dropouts(between=0.2, variational=0.2, recurrent=candidate, weight=0.2, zoneout=0.2),
    ).double()  # fmt: skip
    resets = torch.rand(6, 3) < 0.3
    out, end, _ = layer(Sequences(torch.randn(6, 3, 3).double(), torch.tensor([6, 4, 2])), resets=resets)
    (out.square().sum() + sum(s.sum() for e in end for s in e)).backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None, name
        assert math.isfinite(float(parameter.grad.abs().sum())), name
        assert parameter.grad.abs().max() > 0, name
