"""Every way to drop values acts in training exactly as defined, and not in evaluation (zoneout: in mean).

The masks are drawn a second time from the same seed; what they do is computed by plain.py, row by row.
"""

import pytest
import torch
from layers import plain
from tolerances import TOLERANCE

from riverrun.errors import UsageError
from riverrun.layers import Dropouts, Recurrent, masks

VALUE, GRADIENT = TOLERANCE[torch.float64, "value"], TOLERANCE[torch.float64, "gradient"]
T, B, I, H, P = 6, 3, 4, 5, 0.4
NAMES = ["between", "variational", "recurrent", "weight", "zoneout"]


def made(cell: str, dropouts: Dropouts, layers: int = 2) -> Recurrent:
    torch.manual_seed(3)
    layer = Recurrent(cell, I, H, num_layers=layers, dropouts=dropouts).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-0.9, 0.9)
    return layer


def data() -> torch.Tensor:
    return torch.randn(T, B, I, dtype=torch.float64, generator=torch.Generator().manual_seed(4))


def weights(layer: Recurrent, index: int) -> dict[str, torch.Tensor]:
    prefix = f"layers.{index}.forward."
    return {n.removeprefix(prefix): p for n, p in layer.named_parameters() if n.startswith(prefix)}


def inverted(*shape: int) -> torch.Tensor:
    """The mask that the seed gives; test_masks.py shows that such masks are what dropout needs."""
    return masks.inverted(shape, P, torch.zeros(1, dtype=torch.float64))


def rows(step, x, states, **options):
    """plain.run on every row of x [T, B, I]; options are functions of the row."""
    outs = []
    for b in range(x.shape[1]):
        begin = [torch.zeros(H, dtype=torch.float64)] * states
        outs.append(plain.run(step, x[:, b], begin, **{name: of(b) for name, of in options.items()})[0])
    return torch.stack(outs, 1)


def compare(layer: Recurrent, x: torch.Tensor, expected: torch.Tensor) -> None:
    """The layer in training, from seed 9, against `expected`, values and the gradients of all weights."""
    torch.manual_seed(9)
    out, _, _ = layer(x)
    torch.testing.assert_close(out, expected, **VALUE)
    wanted = list(layer.parameters())
    ours = torch.autograd.grad(out.square().sum(), wanted)
    oracle = torch.autograd.grad(expected.square().sum(), wanted)
    for one, other in zip(ours, oracle, strict=True):
        torch.testing.assert_close(one, other, **GRADIENT)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("name", NAMES)
def test_it_changes_training_anew_at_every_call_and_is_off_in_evaluation(cell, name):
    plainly, layer = made(cell, Dropouts()), made(cell, Dropouts(**{name: P}))
    layer.load_state_dict(plainly.state_dict())
    x = data()
    first, second = layer(x)[0], layer(x)[0]
    assert not torch.equal(first, plainly(x)[0])
    assert not torch.equal(first, second)
    torch.manual_seed(1)
    again = layer(x)[0]
    torch.manual_seed(1)
    assert torch.equal(layer(x)[0], again)  # torch's default generator is all the randomness there is
    layer.eval()
    assert torch.equal(layer(x)[0], layer(x)[0])
    if name != "zoneout":
        torch.testing.assert_close(layer(x)[0], plainly(x)[0], **VALUE)


def test_between_drops_the_outputs_of_all_layers_but_the_last_at_every_step():
    layer, x = made("lstm", Dropouts(between=P)), data()
    below = rows(plain.lstm(weights(layer, 0)), x, 2)
    torch.manual_seed(9)
    mask = inverted(T, B, H)
    compare(layer, x, rows(plain.lstm(weights(layer, 1)), below * mask, 2))


@pytest.mark.parametrize("cell", ["lstm", "gru", "elman"])
def test_variational_keeps_one_mask_a_sequence_on_inputs_and_on_the_state_that_meets_u(cell):
    layer, current = made(cell, Dropouts(variational=P)), data()
    x, step = current, {"lstm": plain.lstm, "gru": plain.gru, "elman": plain.elman}[cell]
    states = 2 if cell == "lstm" else 1
    torch.manual_seed(9)
    for index in range(2):
        into, state = inverted(B, current.shape[-1]), inverted(B, H)
        current = rows(
            step(weights(layer, index)),
            current * into,
            states,
            hooks=lambda b, m=state: lambda t: {"drop": lambda v: v * m[b]},
        )
    compare(layer, x, current)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_recurrent_drops_the_candidate_and_never_the_memory(cell):
    layer, current = made(cell, Dropouts(recurrent=P)), data()
    x, step, states = current, {"lstm": plain.lstm, "gru": plain.gru}[cell], {"lstm": 2, "gru": 1}[cell]
    torch.manual_seed(9)
    for index in range(2):
        mask = inverted(T, B, H)
        current = rows(
            step(weights(layer, index)),
            current,
            states,
            hooks=lambda b, m=mask: lambda t: {"candidate": lambda v: v * m[t, b]},
        )
    compare(layer, x, current)


def test_weight_drops_connections_of_every_u_once_a_call():
    layer, x = made("lstm", Dropouts(weight=P)), data()
    torch.manual_seed(9)
    current = x
    for index in range(2):
        own = weights(layer, index)
        dropped = {name: w * inverted(*w.shape) if name.startswith("U.") else w for name, w in own.items()}
        current = rows(plain.lstm(dropped), current, 2)
    compare(layer, x, current)


@pytest.mark.parametrize("training", [True, False])
def test_zoneout_keeps_old_values_by_chance_in_training_and_in_mean_in_evaluation(training):
    layer, current = made("lstm", Dropouts(zoneout=P)).train(training), data()
    x = current
    torch.manual_seed(9)
    for index in range(2):
        if training:
            kept = [torch.empty(T, B, H, dtype=torch.float64).bernoulli_(P) for _ in "hc"]
        else:
            kept = [torch.full((T, B, H), P, dtype=torch.float64)] * 2

        def after(b, kept=kept):
            return lambda t, old, new: tuple(
                m[t, b] * o + (1 - m[t, b]) * n for m, o, n in zip(kept, old, new, strict=True)
            )

        current = rows(plain.lstm(weights(layer, index)), current, 2, after=after)
    compare(layer, x, current)


def test_weight_dropout_spares_the_projection():
    torch.manual_seed(0)
    layer = Recurrent("lstm", 3, 4, projection=2, dropouts=Dropouts(weight=0.5))
    x = torch.randn(1, 2, 3)  # one step from zeros: U meets nothing, only the projection does
    assert torch.equal(layer(x)[0], layer(x)[0])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_a_dropout_that_is_no_probability_is_refused_by_its_name(name, value):
    with pytest.raises(UsageError, match=rf"dropouts.{name}: expected a probability"):
        Dropouts(**{name: value})


def test_a_dropout_that_could_not_act_is_refused():
    with pytest.raises(UsageError, match="between layers, and there is only one"):
        Recurrent("lstm", 3, 4, dropouts=Dropouts(between=0.5))
    with pytest.raises(UsageError, match="names no candidate"):
        Recurrent("jordan", 3, 4, dropouts=Dropouts(recurrent=0.5))
