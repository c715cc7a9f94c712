"""PyTorch's own cases for RNN, LSTM and GRU (`module_db`, in the wheel), run against ours.

The cases bring constructor arguments, inputs, a reference and the expected error messages. Each is run through torch's
kernel (a plain call) and through the engine (path given), in float32 and float64.
"""

import copy
import io
import warnings

import pytest
import torch

import riverrun.nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch's test machinery imports what it deprecates
    from torch.testing._internal.common_modules import module_db
    from torch.testing._internal.common_utils import freeze_rng_state

pytestmark = pytest.mark.filterwarnings(
    "ignore:LSTM with projections is not supported with oneDNN"
)  # torch says it too
OURS = {torch.nn.RNN: riverrun.nn.RNN, torch.nn.LSTM: riverrun.nn.LSTM, torch.nn.GRU: riverrun.nn.GRU}
INFOS = {info.module_cls.__name__: info for info in module_db if info.module_cls in OURS}
PATHS = [None, "eager"]
each = pytest.mark.parametrize("name", sorted(INFOS))
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


def cases(name, dtype, *, requires_grad=False, training=True, **more):
    """(torch's class, ours, case) of every sample of module_db."""
    torch.manual_seed(0)
    info = INFOS[name]
    for case in info.module_inputs_func(info, "cpu", dtype, requires_grad, training, **more):
        yield info.module_cls, OURS[info.module_cls], case


def made(cls, case, dtype, **extras):
    """A module of that class with the case's arguments."""
    return cls(*case.constructor_input.args, **case.constructor_input.kwargs, dtype=dtype, **extras)


def flat(value):
    """The tensors of nested tuples."""
    if isinstance(value, torch.nn.utils.rnn.PackedSequence):
        return [value.data, value.batch_sizes]
    return [value] if isinstance(value, torch.Tensor) else [t for one in value for t in flat(one)]


def test_all_three_classes_have_cases():
    assert sorted(INFOS) == ["GRU", "LSTM", "RNN"]
    assert sum(len(list(cases(name, torch.float32))) for name in INFOS) >= 70


@each
@each_dtype
@pytest.mark.parametrize("path", PATHS)
def test_forward_equals_the_cases_reference_and_torchs_own_module(name, dtype, path):
    for torchs, ours, case in cases(name, dtype):
        torch.manual_seed(5)
        module = made(ours, case, dtype)
        torch.manual_seed(5)
        theirs = made(torchs, case, dtype)
        for (ours_name, weight), (their_name, other) in zip(
            module.named_parameters(), theirs.named_parameters(), strict=True
        ):
            assert ours_name == their_name
            assert torch.equal(weight, other)
        args, kwargs = case.forward_input.args, case.forward_input.kwargs
        with freeze_rng_state():
            out = module(*args, **kwargs, path=path)
        with freeze_rng_state():
            expected = theirs(*args, **kwargs)
        torch.testing.assert_close(flat(out), flat(expected))
        if case.reference_fn is not None:
            reference = case.reference_fn(module, *args, **kwargs)
            torch.testing.assert_close(flat(out), flat(reference))


@pytest.mark.parametrize("name", ["GRU", "RNN"])
@each_dtype
@pytest.mark.parametrize("path", PATHS)
def test_packed_sequences_equal_torchs_own_module(name, dtype, path):
    packed = 0
    for torchs, ours, case in cases(name, dtype, with_packed_sequence=True):
        if not isinstance(case.forward_input.args[0], torch.nn.utils.rnn.PackedSequence):
            continue
        packed += 1
        module, theirs = made(ours, case, dtype), made(torchs, case, dtype)
        theirs.load_state_dict(module.state_dict())
        out, expected = (m(*case.forward_input.args, **extra) for m, extra in ((module, {"path": path}), (theirs, {})))
        torch.testing.assert_close(flat(out), flat(expected))
    assert packed >= 16


@each
@pytest.mark.parametrize("path", PATHS)
def test_gradients_and_their_gradients_are_those_of_finite_differences(name, path):
    for index, (_, ours, case) in enumerate(cases(name, torch.float64, requires_grad=True)):
        if index % 5:  # a fifth of the cases still has every option
            continue
        module = made(ours, case, torch.float64)
        parameters = dict(module.named_parameters())
        inputs = tuple(flat(case.forward_input.args))

        count = len(inputs)

        def run(*values, module=module, names=tuple(parameters), count=count):
            weights = dict(zip(names, values[count:], strict=True))
            given = values[:count] if count < 3 else (values[0], values[1:count])
            return tuple(flat(torch.func.functional_call(module, weights, given, {"path": path})))

        values = (*inputs, *parameters.values())
        assert torch.autograd.gradcheck(run, values, fast_mode=True)
        assert torch.autograd.gradgradcheck(run, values, fast_mode=True)


@each
@pytest.mark.parametrize("path", PATHS)
def test_inputs_that_do_not_lie_contiguously_give_the_same(name, path):
    for _, ours, case in cases(name, torch.float64):
        module = made(ours, case, torch.float64)
        contiguous = case.forward_input.args
        scattered = tuple(
            _scattered(a) if isinstance(a, torch.Tensor) else tuple(map(_scattered, a)) for a in contiguous
        )
        assert not any(tensor.is_contiguous() for tensor in flat(scattered))
        torch.testing.assert_close(flat(module(*scattered, path=path)), flat(module(*contiguous, path=path)))


def _scattered(tensor):
    return torch.repeat_interleave(tensor, 2, dim=-1)[..., ::2]


@each
@pytest.mark.parametrize("path", PATHS)
def test_wrong_inputs_raise_torchs_errors(name, path):
    info = INFOS[name]
    for case in info.module_error_inputs_func(info, "cpu", torch.float32, False, True):
        given = case.module_error_input
        ours = OURS[info.module_cls]
        if str(case.error_on) == "ModuleErrorEnum.CONSTRUCTION_ERROR":
            with pytest.raises(case.error_type, match=case.error_regex):
                ours(*given.constructor_input.args, **given.constructor_input.kwargs)
        else:
            module = ours(*given.constructor_input.args, **given.constructor_input.kwargs)
            with pytest.raises(case.error_type, match=case.error_regex):
                module(*given.forward_input.args, **given.forward_input.kwargs, path=path)


@each
def test_modules_pickle_copy_and_move_to_another_dtype(name):
    for _, ours, case in cases(name, torch.float32):
        module = made(ours, case, torch.float32)
        args = case.forward_input.args
        expected = flat(module(*args))
        with io.BytesIO() as file:
            torch.save(module, file)
            file.seek(0)
            loaded = torch.load(file, weights_only=False)
        torch.testing.assert_close(flat(loaded(*args)), expected, rtol=0, atol=0)
        torch.testing.assert_close(flat(copy.deepcopy(module)(*args)), expected, rtol=0, atol=0)
        assert all(parameter.dtype == torch.float64 for parameter in module.double().parameters())
        wide = tuple(a.double() if isinstance(a, torch.Tensor) else tuple(t.double() for t in a) for a in args)
        torch.testing.assert_close([t.float() for t in flat(module(*wide))], expected)


@each
def test_repr_is_torchs(name):
    for torchs, ours, case in cases(name, torch.float32):
        assert repr(made(ours, case, None)) == repr(made(torchs, case, None))
