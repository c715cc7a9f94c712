"""The drop-ins against torch.nn's own modules: names, weights, shapes, errors, numbers; and each extra."""

import inspect
import re

import pytest
import torch
from layers import plain
from tolerances import TOLERANCE
from torch.autograd import forward_ad
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence, pad_packed_sequence

from riverrun.errors import UsageError
from riverrun.nn import GRU, LSTM, RNN, Dropouts, Initialisation

PAIRS = {"RNN": (RNN, torch.nn.RNN), "LSTM": (LSTM, torch.nn.LSTM), "GRU": (GRU, torch.nn.GRU)}
VALUE, GRADIENT = TOLERANCE[torch.float64, "value"], TOLERANCE[torch.float64, "gradient"]
each = pytest.mark.parametrize("name", PAIRS)


def both(name, *args, seed=1, **options):
    """Ours and torch's, with the same weights from the same seed."""
    found = []
    for cls in PAIRS[name]:
        torch.manual_seed(seed)
        found.append(cls(*args, **options, dtype=torch.float64))
    return found


def hidden(name, *shape):
    h = torch.randn(*shape, dtype=torch.float64)
    return (h, torch.randn(*shape, dtype=torch.float64)) if name == "LSTM" else h


def flat(value):
    if isinstance(value, PackedSequence):
        return [value.data]
    return [value] if isinstance(value, torch.Tensor) else [t for one in value for t in flat(one)]


@each
def test_they_are_torchs_modules_with_the_same_parameters_in_the_same_order(name):
    ours, theirs = both(name, 3, 4, num_layers=2, bidirectional=True)
    assert isinstance(ours, PAIRS[name][1])
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)
    assert repr(ours) == repr(theirs)


@each
def test_weights_load_both_ways(name):
    ours, _ = both(name, 3, 4, seed=1)
    _, theirs = both(name, 3, 4, seed=2)
    x = torch.randn(5, 2, 3).double()
    assert not torch.equal(ours(x)[0], theirs(x)[0])
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(flat(theirs(x)), flat(ours(x)), **VALUE)
    _, other = both(name, 3, 4, seed=3)
    ours.load_state_dict(other.state_dict())
    torch.testing.assert_close(flat(other(x)), flat(ours(x)), **VALUE)


@each
def test_every_argument_of_torchs_documented_signature_is_one_of_ours_in_that_place(name):
    documented = ["input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional"]
    if name == "RNN":
        documented.insert(3, "nonlinearity")
    if name == "LSTM":
        documented.append("proj_size")
    ours = inspect.signature(PAIRS[name][0].__init__).parameters
    positional = [p.name for p in ours.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == ["self", *documented, "device", "dtype"]


@each
@pytest.mark.parametrize("path", [None, "eager"])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_values_and_all_gradients_equal_torchs(name, path, batch_first, bias):
    options = {"num_layers": 2, "bidirectional": True, "batch_first": batch_first, "bias": bias}
    if name == "LSTM" and bias:
        options["proj_size"] = 3
    ours, theirs = both(name, 3, 4, **options)
    x = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    rows = 5 if batch_first else 2
    h = hidden(name, 4, rows, 4)
    if "proj_size" in options:
        h = (h[0][..., :3], h[1])
    results = [flat(ours(x, h, path=path)), flat(theirs(x, h))]
    torch.testing.assert_close(*results, **VALUE)
    gradients = [
        torch.autograd.grad(sum(t.square().sum() for t in result), [x, *module.parameters()])
        for result, module in zip(results, (ours, theirs), strict=True)
    ]
    torch.testing.assert_close(*gradients, **GRADIENT)


@each
@pytest.mark.parametrize("path", [None, "eager"])
@pytest.mark.parametrize("sort", [True, False])
def test_packed_sequences_come_back_packed_as_they_came(name, path, sort):
    ours, theirs = both(name, 3, 4, num_layers=2, bidirectional=True)
    rows = [torch.randn(n, 3, dtype=torch.float64) for n in ((5, 3, 1) if sort else (2, 5, 3))]
    packed = pack_sequence(rows, enforce_sorted=sort)
    h = hidden(name, 4, 3, 4)
    out, end = ours(packed, h, path=path)
    expected, expected_end = theirs(packed, h)
    assert isinstance(out, PackedSequence)
    torch.testing.assert_close(flat(end), flat(expected_end), **VALUE)
    torch.testing.assert_close(pad_packed_sequence(out), pad_packed_sequence(expected), **VALUE)
    assert torch.equal(out.batch_sizes, expected.batch_sizes)


@each
@pytest.mark.parametrize("path", [None, "eager"])
def test_one_sequence_without_a_batch_dimension(name, path):
    ours, theirs = both(name, 3, 4, num_layers=2, batch_first=True)
    x, h = torch.randn(5, 3, dtype=torch.float64), hidden(name, 2, 4)
    torch.testing.assert_close(flat(ours(x, h, path=path)), flat(theirs(x, h)), **VALUE)


@each
@pytest.mark.parametrize("training", [True, False])
def test_dropout_between_layers_is_torchs_from_the_same_seed(name, training):
    ours, theirs = (m.train(training) for m in both(name, 3, 4, num_layers=3, dropout=0.5))
    x, found = torch.randn(5, 2, 3, dtype=torch.float64), []
    for run in (lambda: ours(x), lambda: theirs(x), lambda: ours(x, path="eager")):
        torch.manual_seed(4)
        found.append(flat(run()))
    torch.testing.assert_close(found[0], found[1], **VALUE)
    torch.testing.assert_close(found[2], found[1], **VALUE)
    assert torch.equal(found[0][0], ours.eval()(x)[0]) != training


@each
@pytest.mark.parametrize("path", [None, "eager"])
@pytest.mark.parametrize(
    ("shape", "states"),
    [
        ((5, 2, 4), None),
        ((5, 4), None),
        ((2, 5, 2, 3), None),
        ((5, 2, 3), (1, 3, 4)),
        ((5, 2, 3), (1, 2, 5)),
        ((5, 2, 3), (2, 2, 4)),
        ((5, 2, 3), (1, 4)),
        ((5, 3), (1, 2, 4)),
        ((5, 3), (1, 5)),
    ],
)
def test_wrong_shapes_raise_what_torch_raises(name, path, shape, states):
    ours, theirs = both(name, 3, 4)
    x, h = torch.zeros(shape, dtype=torch.float64), None if states is None else hidden(name, *states)
    with pytest.raises((RuntimeError, ValueError)) as expected:
        theirs(x, h)
    with pytest.raises(type(expected.value), match=re.escape(str(expected.value))):
        ours(x, h, path=path)


@each
def test_wrong_constructions_raise_what_torch_raises(name):
    ours, theirs = PAIRS[name]
    wrong = [{"hidden_size": 0}, {"input_size": "3"}, {"dropout": 1.5}, {"num_layers": 0}, {"proj_size": 9}]
    for options in wrong:
        given = {"input_size": 3, "hidden_size": 4, **options}
        with pytest.raises((ValueError, TypeError)) as expected:
            theirs(**given)
        with pytest.raises(type(expected.value), match=re.escape(str(expected.value))):
            ours(**given)


def test_a_relu_network_and_a_wrong_nonlinearity():
    ours, theirs = both("RNN", 3, 4, nonlinearity="relu")
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(flat(ours(x, path="eager")), flat(theirs(x)), **VALUE)
    with pytest.raises(ValueError, match="Unknown nonlinearity 'elu'"):
        RNN(3, 4, nonlinearity="elu")


@each
@pytest.mark.parametrize("batch_first", [False, True])
def test_no_steps_give_the_state_that_came_in(name, batch_first):
    ours, _ = both(name, 3, 4, num_layers=2, batch_first=batch_first)
    h = hidden(name, 2, 2, 4)
    out, end = ours(torch.zeros((2, 0, 3) if batch_first else (0, 2, 3), dtype=torch.float64), h)
    assert out.shape == ((2, 0, 4) if batch_first else (0, 2, 4))
    torch.testing.assert_close(flat(end), flat(h), rtol=0, atol=0)
    out, end = ours(torch.zeros(0, 3, dtype=torch.float64))
    assert out.shape == (0, 4)
    assert all((e == 0).all() and e.shape == (2, 4) for e in flat(end))


@each
def test_lengths_do_what_packing_does_and_a_length_of_zero_gives_the_state_that_came_in(name):
    ours, theirs = both(name, 3, 4, num_layers=2, bidirectional=True, batch_first=True)
    x = torch.randn(4, 5, 3, dtype=torch.float64)
    lengths, h = torch.tensor([5, 2, 0, 3]), hidden(name, 4, 4, 4)
    bad = x.clone()
    for b, n in enumerate(lengths):
        bad[b, n:] = float("nan")
    out, end = ours(bad, h, lengths=lengths)
    kept = [0, 1, 3]
    some = tuple(s[:, kept] for s in h) if name == "LSTM" else h[:, kept]
    packed = pack_padded_sequence(x[kept], lengths[kept], batch_first=True, enforce_sorted=False)
    expected, expected_end = theirs(packed, some)
    torch.testing.assert_close(out[kept], pad_packed_sequence(expected, batch_first=True)[0], **VALUE)
    torch.testing.assert_close([e[:, kept] for e in flat(end)], flat(expected_end), **VALUE)
    assert (out[2] == 0).all()
    torch.testing.assert_close([e[:, 2] for e in flat(end)], [s[:, 2] for s in flat(h)], rtol=0, atol=0)


@each
def test_a_reset_starts_a_sequence_anew(name):
    ours, theirs = both(name, 3, 4, batch_first=True)
    x, h = torch.randn(2, 6, 3, dtype=torch.float64), hidden(name, 1, 2, 4)
    resets = torch.zeros(2, 6, dtype=torch.bool)
    resets[:, 2] = True
    out, end = ours(x, h, resets=resets)
    fresh, fresh_end = theirs(x[:, 2:])
    torch.testing.assert_close(out, torch.cat([theirs(x[:, :2], h)[0], fresh], 1), **VALUE)
    torch.testing.assert_close(flat(end), flat(fresh_end), **VALUE)


def test_records_are_the_gates_in_the_shapes_of_the_output():
    ours, _ = both("LSTM", 3, 4, batch_first=True)
    x = torch.randn(2, 6, 3, dtype=torch.float64)
    out, (_, c), records = ours(x, record=["f", "c", "h"])
    assert records.keys() == {"layers.0.forward.f", "layers.0.forward.c", "layers.0.forward.h"}
    torch.testing.assert_close(records["layers.0.forward.h"], out.detach(), **VALUE)
    torch.testing.assert_close(records["layers.0.forward.c"][:, -1], c[0].detach(), **VALUE)
    f = slice(4, 8)  # torch's order: i, f, g, o
    first = x[:, 0] @ ours.weight_ih_l0[f].T + ours.bias_ih_l0[f] + ours.bias_hh_l0[f]
    torch.testing.assert_close(records["layers.0.forward.f"][:, 0], first.sigmoid().detach(), **VALUE)


@each
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch's own forward-mode rules use it
def test_jvp_is_there_and_right(name, dtype):
    ours, theirs = (m.to(dtype) for m in both(name, 3, 4, num_layers=2))
    x, v = torch.randn(5, 2, 3, dtype=dtype), torch.randn(5, 2, 3, dtype=dtype)
    out, tangent = torch.func.jvp(lambda x: ours(x)[0], (x,), (v,))
    assert tangent.abs().max() > 0.01
    torch.testing.assert_close(out, ours(x)[0])
    step = 1e-6
    wide, wide_v = x.double(), v.double()
    theirs = theirs.double()
    difference = (theirs(wide + step * wide_v)[0] - theirs(wide - step * wide_v)[0]) / (2 * step)
    torch.testing.assert_close(tangent.double(), difference, rtol=1e-4, atol=1e-5)


@each
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_forward_mode_without_a_transform_is_right_too(name):
    ours, _ = (m.float() for m in both(name, 3, 4))
    x, v = torch.randn(5, 2, 3), torch.randn(5, 2, 3)
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(ours(forward_ad.make_dual(x, v))[0]).tangent
    torch.testing.assert_close(tangent, torch.func.jvp(lambda x: ours(x)[0], (x,), (v,))[1])


@each
def test_vmap_over_inputs_and_over_weights(name):
    ours, theirs = both(name, 3, 4)
    many = torch.randn(3, 5, 2, 3, dtype=torch.float64)
    mapped = torch.vmap(lambda x: ours(x)[0])(many)
    torch.testing.assert_close(mapped, torch.stack([theirs(x)[0] for x in many]), **VALUE)
    members = [both(name, 3, 4, seed=s)[0] for s in (1, 2, 3)]
    weights = {n: torch.stack([dict(m.named_parameters())[n] for m in members]) for n, _ in ours.named_parameters()}
    ensemble = torch.vmap(lambda w, x: torch.func.functional_call(ours, w, (x,))[0], in_dims=(0, None))(
        weights, many[0]
    )
    torch.testing.assert_close(ensemble, torch.stack([m(many[0])[0] for m in members]), **VALUE)


@each
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("path", [None, "eager"])
def test_a_gradient_of_a_gradient_is_right(name, dtype, path):
    ours, theirs = (m.to(t) for m, t in zip(both(name, 3, 4, num_layers=2), (dtype, torch.float64), strict=True))
    x = torch.randn(5, 2, 3, dtype=dtype)
    found = []
    for run, at in ((lambda x: ours(x, path=path), x), (theirs, x.double())):
        at = at.requires_grad_()
        (first,) = torch.autograd.grad(run(at)[0].square().sum(), at, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), at)
        found.append(second.double())
        assert second.abs().max() > 0
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-6)


# ------------------------------------------------------------------ the extras of the constructor


@pytest.mark.parametrize("option", ["variational", "recurrent", "weight", "zoneout"])
@each
def test_a_dropout_of_ours_acts_in_training_and_is_off_in_evaluation(name, option):
    if name == "RNN" and option == "recurrent":
        with pytest.raises(UsageError, match="names no candidate"):
            RNN(3, 4, dropouts=Dropouts(recurrent=0.5))
        return
    torch.manual_seed(1)
    ours = PAIRS[name][0](3, 4, dropouts=Dropouts(**{option: 0.5}), dtype=torch.float64)
    _, theirs = both(name, 3, 4)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    assert not torch.equal(ours(x)[0], ours(x)[0])
    ours.eval()
    assert torch.equal(ours(x)[0], ours(x)[0])
    if option != "zoneout":
        torch.testing.assert_close(ours(x)[0], theirs(x)[0], **VALUE)


def test_norm_adds_gains_under_extras_and_is_layer_norm():
    ours = LSTM(3, 4, norm=True, dtype=torch.float64)
    extras = [name for name in ours.state_dict() if name.startswith("extras.")]
    assert len(extras) == 8
    own = {f"W.{k}": w for k, w in zip("ifgo", ours.weight_ih_l0.chunk(4), strict=True)}
    own |= {f"U.{k}": w for k, w in zip("ifgo", ours.weight_hh_l0.chunk(4), strict=True)}
    own |= {f"b.{k}": b for k, b in zip("ifgo", (ours.bias_ih_l0 + ours.bias_hh_l0).chunk(4), strict=True)}
    with torch.no_grad():
        for name in extras:
            ours.get_parameter(name).uniform_(0.5, 1.5)

    def norm(name, v):
        centred = v - v.mean()
        return (
            ours.get_parameter(f"extras.layers.0.forward.p.{name}")
            * centred
            / torch.sqrt(centred.square().mean() + 1e-5)
        )

    x = torch.randn(5, 1, 3, dtype=torch.float64)
    zeros = [torch.zeros(4, dtype=torch.float64)] * 2
    expected, _ = plain.run(plain.lstm(own), x[:, 0], zeros, hooks=lambda t: {"norm": norm})
    torch.testing.assert_close(ours(x)[0][:, 0], expected, **VALUE)


def test_a_learned_initial_state_is_where_a_call_without_state_starts():
    ours, theirs = both("GRU", 3, 4)
    ours = GRU(3, 4, learned_initial=True, dtype=torch.float64)
    ours.load_state_dict(theirs.state_dict(), strict=False)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(ours(x)[0], theirs(x)[0], **VALUE)  # it starts at zero
    with torch.no_grad():
        ours.get_parameter("extras.layers.0.forward.initial.h").uniform_(-1, 1)
    begin = ours.get_parameter("extras.layers.0.forward.initial.h").expand(1, 2, 4)
    torch.testing.assert_close(ours(x)[0], theirs(x, begin.contiguous())[0], **VALUE)


def test_an_initialisation_replaces_torchs_start_and_survives_reset_parameters():
    ours = LSTM(3, 4, initialisation=Initialisation(forget_bias=2.0), norm=True)
    for _ in range(2):
        for u in ours.weight_hh_l0.chunk(4):
            torch.testing.assert_close(u @ u.T, torch.eye(4), rtol=0, atol=1e-5)
        bias = (ours.bias_ih_l0 + ours.bias_hh_l0).chunk(4)
        assert (bias[1] == 2).all()
        assert all((bias[place] == 0).all() for place in (0, 2, 3))
        assert (ours.get_parameter("extras.layers.0.forward.p.ln_u.i") == 1).all()
        before = ours.weight_hh_l0.detach().clone()
        ours.reset_parameters()
        assert not torch.equal(ours.weight_hh_l0, before)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lengths": torch.tensor([1, 2, 3])}, "lengths: expected [2]"),
        ({"resets": torch.zeros(2, 5, dtype=torch.bool)}, "resets: expected bool, T = 5, B = 2"),
        ({"record": ["q"]}, "record: 'q' is no value of cell 'gru-after'"),
        ({"path": "parallel"}, "parallel"),
    ],
)
def test_wrong_extras_of_a_call_are_named(given, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        GRU(3, 4)(torch.zeros(5, 2, 3), **given)


def test_wrong_extras_of_a_constructor_are_named():
    with pytest.raises(UsageError, match="torch's own argument `dropout`"):
        LSTM(3, 4, 2, dropouts=Dropouts(between=0.1))
    with pytest.raises(TypeError, match="hiden"):
        LSTM(3, 4, hiden=3)
    packed = pack_sequence([torch.zeros(3, 3)])
    with pytest.raises(UsageError, match="a PackedSequence brings its lengths"):
        LSTM(3, 4)(packed, lengths=torch.tensor([3]))


# Where torch's kernel has a first derivative only -----------------------------------------------------------------


@pytest.fixture
def once(monkeypatch):
    """The CPU as if it were a GPU, whose kernels have no second derivative; returns how often they ran guarded."""
    from riverrun.engine import guarded

    real, ran = guarded._Once.apply, []
    monkeypatch.setattr(guarded, "only_once", lambda device: True)
    monkeypatch.setattr(guarded._Once, "apply", lambda *given: ran.append(1) or real(*given))
    return ran


LAYOUTS = {
    "padded": {},
    "batch first, no bias": {"batch_first": True, "bias": False},
    "packed": {},
    "one sequence": {},
    "without a state": {},
}


@each
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("training", [True, False])
def test_on_a_gpu_a_plain_call_s_gradient_has_a_gradient(once, name, layout, training):
    options = {"num_layers": 2, "bidirectional": True, "dropout": 0.0 if training else 0.5, **LAYOUTS[layout]}
    if name == "LSTM" and layout == "padded":
        options["proj_size"] = 3
    ours, theirs = (module.train(training) for module in both(name, 3, 4, **options))
    x = torch.randn(5, 3, 3, dtype=torch.float64, requires_grad=True)
    rows = 5 if options.get("batch_first") else 3
    h = hidden(name, 4, rows, 4)
    if "proj_size" in options:
        h = (h[0][..., :3], h[1])
    if layout == "one sequence":
        h = tuple(s[:, 0] for s in h) if isinstance(h, tuple) else h[:, 0]
    leaves = [] if layout == "without a state" else [s.requires_grad_() for s in flat(h)]
    found = []
    for module in (ours, theirs):
        given = pack_padded_sequence(x, torch.tensor([2, 5, 3]), enforce_sorted=False) if layout == "packed" else x
        given = x[:, 0] if layout == "one sequence" else given
        result = module(given) if layout == "without a state" else module(given, h)
        tensors = [x, *leaves, *module.parameters()]
        slopes = torch.autograd.grad(sum(t.square().sum() for t in flat(result)), tensors, create_graph=True)
        curved = torch.autograd.grad(sum(s.square().sum() for s in slopes), tensors)
        assert isinstance(result[0], PackedSequence) == (layout == "packed")
        found.append([*flat(result), *slopes, *curved])
    assert len(once) == 1
    torch.testing.assert_close(*found, **GRADIENT)


@each
def test_on_a_gpu_parametrised_and_swapped_weights_get_their_gradients(once, name):
    ours, theirs = both(name, 3, 4)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    new = {key: torch.randn_like(value).requires_grad_() for key, value in ours.named_parameters()}
    found = []
    for module in (ours, theirs):
        output = torch.func.functional_call(module, new, (x,))[0]
        found.append([output, *torch.autograd.grad(output.square().sum(), list(new.values()))])
    torch.testing.assert_close(*found, **GRADIENT)
    for module in (ours, theirs):
        torch.nn.utils.parametrizations.weight_norm(module, "weight_hh_l0")
        output = module(x)[0]
        found.append([output, *torch.autograd.grad(output.square().sum(), list(module.parameters()))])
    torch.testing.assert_close(*found[2:], **GRADIENT)
    assert len(once) == 2


@each
def test_on_a_gpu_a_call_without_gradient_or_with_torch_s_dropout_is_torch_s_alone(once, name):
    ours, _ = both(name, 3, 4, num_layers=2, dropout=0.5)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    with torch.no_grad():
        ours(x)
    ours(x)[0].sum().backward()
    assert once == []
    with pytest.raises(RuntimeError, match="must be equal to input_size"):
        both(name, 3, 4)[0](torch.zeros(5, 2, 7, dtype=torch.float64))


@each
def test_on_a_gpu_what_the_kernel_saved_is_freed_by_backward_unless_it_is_to_be_kept(once, name):
    ours, _ = both(name, 3, 4)
    loss = ours(torch.randn(5, 2, 3, dtype=torch.float64))[0].square().sum()
    first = torch.autograd.grad(loss, list(ours.parameters()), retain_graph=True)
    second = torch.autograd.grad(loss, list(ours.parameters()))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    with pytest.raises(RuntimeError, match="a second time"):
        torch.autograd.grad(loss, list(ours.parameters()))
