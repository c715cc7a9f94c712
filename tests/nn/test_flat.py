"""A plain call on the flat tensors where they lie is the stack's own call: the same bits, and whatever weights are."""

import copy
import pickle

import pytest
import torch

import riverrun.nn as ours
from riverrun.engine.library import library
from riverrun.errors import UsageError
from riverrun.nn import flat

pytestmark = pytest.mark.skipif(library().handle is None, reason="the native engine serves these calls")

MODULES = {
    "RNN": (ours.RNN, {}),
    "relu": (ours.RNN, {"nonlinearity": "relu"}),
    "LSTM": (ours.LSTM, {}),
    "projected": (ours.LSTM, {"proj_size": 3}),
    "GRU": (ours.GRU, {}),
}
each = pytest.mark.parametrize("name", MODULES)


def made(name, **options):
    torch.manual_seed(7)
    module, own = MODULES[name]
    return module(3, 5, dtype=torch.float64, **own, **options)


def start(module, rows):
    """rows: [B], or () for a sequence without a batch dimension."""
    widths = (module.proj_size or 5, 5) if module.mode == "LSTM" else (5,)
    parts = module.num_layers * (1 + module.bidirectional)
    states = tuple(torch.randn(parts, *rows, n, dtype=torch.float64) for n in widths)
    return states if module.mode == "LSTM" else states[0]


def leaves(h):
    return [] if h is None else [s.requires_grad_() for s in (h if isinstance(h, tuple) else (h,))]


def outcome(result):
    """A number on which every element of every result bears differently."""
    return sum((t * torch.arange(t.numel(), dtype=t.dtype).view_as(t).cos()).sum() for t in result)


def tensors(result):
    output, hidden = result
    return [output, *(hidden if isinstance(hidden, tuple) else (hidden,))]


def by_stack(module, x, h=None):
    """The same call through the stack, which flat.run has no part in."""
    return tensors(module(x, h, path="native"))


def served(module, x, h=None):
    found = flat.run(module, x, h)
    assert found is not None
    return tensors(found)


def same(found, wanted, within=0):
    torch.testing.assert_close(found, wanted, rtol=0, atol=within)


@each
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("steps", [1, 4])
def test_values_and_all_gradients_have_the_bits_of_the_stack_s_call(name, bias, batch_first, given, steps):
    module = made(name, bias=bias, batch_first=batch_first)
    x = torch.randn((2, steps, 3) if batch_first else (steps, 2, 3), dtype=torch.float64, requires_grad=True)
    h = start(module, (2,)) if given else None
    wanted = [x, *leaves(h), *module.parameters()]
    found = [
        [*result, *torch.autograd.grad(outcome(result), wanted)]
        for result in (served(module, x, h), by_stack(module, x, h))
    ]
    same(*found)
    with torch.no_grad():
        same(served(module, x, h), [t.detach() for t in found[1][: len(tensors(module(x)))]])


STACKS = {
    "two layers": {"num_layers": 2},
    "five layers": {"num_layers": 5},
    "both directions": {"bidirectional": True},
    "two layers of both": {"num_layers": 2, "bidirectional": True},
    "four layers of both": {"num_layers": 4, "bidirectional": True, "batch_first": True},
}


@each
@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("shape", [(1, 1, 3), (4, 2, 3), (1, 3), (6, 3)], ids=str)
def test_of_all_layers_and_both_directions_too(name, stack, bias, given, shape):
    module = made(name, bias=bias, **STACKS[stack])
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    h = start(module, shape[:-2] if module.batch_first else shape[1:-1]) if given else None
    wanted = [x, *leaves(h), *module.parameters()]
    found = [
        [*result, *torch.autograd.grad(outcome(result), wanted)]
        for result in (served(module, x, h), by_stack(module, x, h))
    ]
    same(*found)
    assert [t.shape for t in found[0]] == [t.shape for t in found[1]]
    with torch.no_grad():
        same(served(module, x, h), [t.detach() for t in found[1][: len(tensors(module(x)))]])


@each
@pytest.mark.parametrize("frozen", [1, 2, 3])
def test_where_layers_are_frozen_from_below_the_others_gradients_stay_what_they_are(name, frozen):
    module, x = made(name, num_layers=4, bidirectional=True), torch.randn(4, 2, 3, dtype=torch.float64)
    for key, parameter in module.named_parameters():
        parameter.requires_grad_(all(f"_l{layer}" not in key for layer in range(frozen)))
    wanted = [parameter for parameter in module.parameters() if parameter.requires_grad]
    results = [served(module, x), by_stack(module, x)]
    same(*[torch.autograd.grad(outcome(result), wanted) for result in results])


@each
def test_dropout_between_layers_is_the_stack_s_while_it_trains_and_nothing_outside(name):
    module, x = made(name, num_layers=2, dropout=0.5), torch.randn(4, 2, 3, dtype=torch.float64)
    assert flat.run(module, x, None) is None
    module.eval()
    same(served(module, x), by_stack(module, x))
    module.train()
    assert flat.run(module, x, None) is None


@each
def test_memory_of_one_layer_that_another_takes_over_is_not_read_again(name):
    module, x = made(name, num_layers=6, bidirectional=True), torch.randn(9, 7, 3, dtype=torch.float64)
    with torch.no_grad():
        same(served(module, x), [t.detach() for t in tensors(module(x, path="eager"))], 1e-12)


@each
@pytest.mark.parametrize("of", ["output", "state"])
@pytest.mark.parametrize("options", [{}, STACKS["two layers of both"]], ids=["one", "four"])
def test_a_gradient_of_one_result_alone_and_of_some_tensors_alone(name, of, options):
    module = made(name, **options)
    x, h = torch.randn(4, 2, 3, dtype=torch.float64), start(module, (2,))
    first = (h[0] if isinstance(h, tuple) else h).requires_grad_()
    for wanted in ([module.weight_hh_l0], [first], [first, module.weight_ih_l0]):
        for parameter in module.parameters():
            parameter.requires_grad_(any(parameter is one for one in wanted))
        place = 0 if of == "output" else -1
        results = [found[place] for found in (served(module, x, h), by_stack(module, x, h))]
        same(*[torch.autograd.grad(result.square().sum(), wanted) for result in results])


@each
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}], ids=["one", "four"])
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("shape", [(2, 4, 3), (4, 3)], ids=str)
def test_a_gradient_of_a_gradient_equals_the_loop_s(name, options, given, shape):
    module = made(name, batch_first=True, **options)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    h = start(module, shape[:-2]) if given else None
    wanted = [x, *leaves(h), *module.parameters()]
    found = []
    for result in (served(module, x, h), tensors(module(x, h, path="eager"))):
        slopes = torch.autograd.grad(sum(t.square().sum() for t in result), wanted, create_graph=True)
        found.append([*slopes, *torch.autograd.grad(sum(s.square().sum() for s in slopes), wanted)])
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-11)


@each
def test_a_row_s_bits_are_those_it_has_alone(name):
    module, x = made(name), torch.randn(6, 9, 3, dtype=torch.float64)
    with torch.no_grad():
        together = served(module, x)
        for row in range(9):
            same(served(module, x[:, row : row + 1].contiguous()), [t[:, row : row + 1] for t in together])


@each
@pytest.mark.parametrize("learning", [True, False])
def test_weights_are_seen_as_they_are_at_each_call(name, learning):
    module, x = made(name), torch.randn(4, 2, 3, dtype=torch.float64)

    def changed(change):
        with torch.no_grad():
            before = tensors(module(x))
        change()
        with torch.set_grad_enabled(learning):
            after = served(module, x)
            same([t.detach() for t in after], [t.detach() for t in by_stack(module, x)])
        assert not torch.equal(before[0], after[0])

    weight = module.weight_hh_l0
    changed(lambda: weight.data.mul_(0.5))  # of which no version tells
    changed(lambda: module.bias_hh_l0.data.add_(1))
    changed(lambda: setattr(weight, "data", torch.randn_like(weight)))
    changed(lambda: setattr(module, "weight_ih_l0", torch.nn.Parameter(torch.randn_like(module.weight_ih_l0))))
    changed(lambda: module.load_state_dict({k: v + 1 for k, v in module.state_dict().items()}))
    changed(module.reset_parameters)
    optimiser = torch.optim.SGD(module.parameters(), 1.0)
    module(x)[0].square().sum().backward()
    changed(optimiser.step)


@each
def test_functional_call_and_parametrised_weights_count(name):
    module, x = made(name), torch.randn(4, 2, 3, dtype=torch.float64)
    served(module, x)
    new = {key: torch.randn_like(value).requires_grad_() for key, value in module.named_parameters()}
    results = [tensors(torch.func.functional_call(module, new, (x,), given)) for given in ({}, {"path": "native"})]
    same(*[[*r, *torch.autograd.grad(r[0].square().sum(), list(new.values()))] for r in results])
    torch.nn.utils.parametrizations.weight_norm(module, "weight_hh_l0")
    assert flat.run(module, x, None) is None
    results = [tensors(module(x)), by_stack(module, x)]
    same(*[[*r, *torch.autograd.grad(r[0].square().sum(), list(module.parameters()))] for r in results])


@each
def test_a_weight_turned_in_place_or_of_other_strides_is_read_as_it_lies(name):
    module, x = made(name), torch.randn(4, 2, 3, dtype=torch.float64)
    served(module, x)
    weight = module.weight_hh_l0
    weight.data = weight.data.t().contiguous().t()  # the same numbers, column by column
    assert flat.run(module, x, None) is None
    same(tensors(module(x)), by_stack(module, x))


@each
def test_what_lies_otherwise_or_does_not_fit_is_left_to_the_stack_and_to_torch(name):
    module, x = made(name), torch.randn(4, 2, 3, dtype=torch.float64)
    h = start(module, (2,))
    served(module, x, h)
    first, more = (h[0], h[1:]) if isinstance(h, tuple) else (h, ())

    def instead(state):
        return (state, *more) if more else state

    gaps = torch.randn(1, 2, 2 * first.shape[-1], dtype=torch.float64)[..., ::2]
    wrong = (first[:, :1], first.float(), first[0], first[..., 1:], torch.randn(2, 2, first.shape[-1]).double())
    for other in (gaps, *wrong):
        assert flat.run(module, x, instead(other)) is None
    same(tensors(module(x, instead(gaps))), by_stack(module, x, instead(gaps.contiguous())))
    for other in wrong:
        with pytest.raises((RuntimeError, UsageError)):
            module(x, instead(other))
    with pytest.raises((RuntimeError, AttributeError, IndexError)):
        module(x, first if module.mode == "LSTM" else (first,))
    if module.mode == "LSTM":
        same(tensors(module(x, list(h))), by_stack(module, x, h))
        with pytest.raises((RuntimeError, IndexError)):
            module(x, (first,))
    assert flat.run(module, x.transpose(0, 1).contiguous().transpose(0, 1), None) is None
    assert flat.run(module, x[..., :2].contiguous(), None) is None
    with pytest.raises(ValueError, match="dtype"):
        module(x.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert flat.run(module, x, None) is None
    module.batch_first = True
    same(tensors(module(x)), by_stack(module, x))
    module.batch_first = False
    same(tensors(module(x)), by_stack(module, x))
    assert served(module.float(), x.float())[0].dtype == torch.float32


@each
def test_copies_and_files_hold_nothing_of_earlier_calls(name):
    module, x = made(name), torch.randn(4, 2, 3, dtype=torch.float64)
    served(module, x)
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert not twin.__dict__["forms"]
        same(served(twin, x), served(module, x))
    assert list(module.state_dict()) == list(made(name).state_dict())


@each
@pytest.mark.filterwarnings("ignore:`torch.jit.trace:DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_a_trace_by_torch_jit_has_the_operations_and_not_their_results(name):
    module, x = made(name), torch.randn(4, 2, 3, dtype=torch.float64)
    served(module, x)
    traced = torch.jit.trace(module, (x,), check_trace=False)
    other = torch.randn(4, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(tensors(traced(other)), tensors(module(other)))


def test_the_shapes_that_are_remembered_have_an_end():
    module = made("RNN")
    for steps in range(1, 2 * flat.MOST):
        served(module, torch.randn(steps, 1, 3, dtype=torch.float64))
        assert len(module.__dict__["forms"]) <= flat.MOST
