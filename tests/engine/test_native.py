"""The native engine against the autograd loop, with every buffer filled with NaN before it is used."""

from __future__ import annotations

import itertools
import platform

import pytest
import torch
from engine.bits import threads
from engine.calls import drawn, furthest, same_bits
from engine.steps import STEPS, gradients, program_of, weighed
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import NATIVE

from riverrun.engine import native
from riverrun.engine.library import Library, library
from riverrun.engine.rewrite import layer_norm, recurrent_dropout, state_dropout, transition, zoneout
from riverrun.engine.scan import scan
from riverrun.engine.scanned import Override
from riverrun.errors import RiverrunError, UsageError
from riverrun.nn import RNN

needs_library = pytest.mark.skipif(library().handle is None, reason=library().reason)

# Around the borders of tiles, blocks and chunks (64 columns, 12 and 64 rows, 128 rows of x), and inside them.
SHAPES = {
    "small": (5, 4, 3, 4),
    "one step of one row": (1, 1, 5, 33),
    "one wide row": (1, 1, 3, 530),
    "rows of two tiles": (3, 17, 5, 70),
    "rows of two blocks": (2, 70, 2, 9),
    "chunks of x": (50, 7, 1, 3),
    "one unit": (4, 3, 1, 1),
}
REWRITES = {
    "layer norm": layer_norm,
    "dropout of the state": state_dropout,
    "dropout of the candidate": lambda p: recurrent_dropout(p, next(n for n in p.names if n not in p.states)),
    "zoneout": lambda p: zoneout(zoneout(p, p.states[0]), p.states[-1]),
    "depth": lambda p: transition(p, 3),
    "all of them": lambda p: zoneout(state_dropout(transition(layer_norm(p), 2)), p.states[-1]),
}


@pytest.fixture(autouse=True)
def _nan_filled_memory():
    before = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    assert torch.isnan(torch.empty(2)).all()
    assert torch.isnan(torch.ones(2).new_empty(2)).all()
    yield
    torch.use_deterministic_algorithms(before[0])
    torch.utils.deterministic.fill_uninitialized_memory = before[1]


def equals_the_loop(call):
    names = list(call.program.names)
    ours = call.run_with_gradients("native", record=names)
    theirs = call.run_with_gradients("eager", record=names)
    assert furthest(ours, theirs) < NATIVE


@needs_library
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", STEPS)
def test_every_step_equals_the_loop_in_values_records_and_gradients(name, shape):
    T, B, I, H = SHAPES[shape]
    for number, (ragged, forced, reverse) in enumerate(itertools.product((False, True), repeat=3)):
        if shape == "small" or number == 3 or (number in (0, 5) and H < 500):
            equals_the_loop(
                drawn(name, T=T, B=B, I=I, H=H, ragged=ragged, forced=forced, reverse=reverse, scale=min(1, 2 / H**0.5))
            )


@needs_library
@pytest.mark.parametrize("rewrite", REWRITES)
@pytest.mark.parametrize("name", ["lstm", "peephole", "gru", "gru_after", "multiplicative", "jordan", "three_products"])
def test_every_rewrite_equals_the_loop_with_masks_of_either_shape(name, rewrite):
    program = REWRITES[rewrite](program_of(name))
    for stepwise in (False, True) if program.mask_keys else (False,):
        equals_the_loop(drawn(program, ragged=True, forced=stepwise, stepwise=stepwise, reverse=stepwise))


@needs_library
@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(STEPS)),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 14), st.integers(1, 9), st.integers(1, 20)),
    rewrite=st.none() | st.sampled_from(sorted(REWRITES)),
    flags=st.tuples(*[st.booleans()] * 5),
    seed=st.integers(0, 10**6),
)
def test_any_shape_and_any_options_equal_the_loop(name, shape, rewrite, flags, seed):
    program = program_of(name)
    if rewrite is not None and set(program.names) - set(program.states):
        program = REWRITES[rewrite](program)
    T, B, I, H = shape
    if rewrite is not None:  # of few numbers layer norm leaves only signs, and of gradients only rounding errors
        I, H = I + 3, H + 5
    ragged, forced, reverse, stepwise, bias = flags
    equals_the_loop(
        drawn(
            program,
            T=T,
            B=B,
            I=I,
            H=H,
            seed=seed,
            ragged=ragged,
            forced=forced,
            reverse=reverse,
            stepwise=stepwise,
            bias=bias,
            scale=0.5,
        )
    )


@needs_library
def test_gradients_too_small_for_full_precision_are_zero_and_the_threads_modes_stay(engine):
    layer, steps, rows = RNN(1, 1, bias=False), 90, 5
    with torch.no_grad():
        layer.weight_ih_l0.fill_(1)
        layer.weight_hh_l0.fill_(0.25)
    x = torch.zeros(steps, rows, 1, requires_grad=True)
    expected = 0.25 ** torch.arange(steps - 1, -1, -1, dtype=torch.float64)  # 4^-k, k steps before the last
    if platform.machine() in ("x86_64", "AMD64"):
        expected[expected < torch.finfo(torch.float32).smallest_normal] = 0
        assert (expected == 0).sum() == steps - 64
    small = torch.full((1 << 20,), 2.0**-130)  # so many are shared among torch's threads
    for count in (1, 2, 3):
        with threads(count):
            (found,) = torch.autograd.grad(layer(x)[0][-1].sum(), x)
            assert torch.equal(found, expected.float()[:, None, None].expand(steps, rows, 1))
            assert torch.equal(small.mul(1).view(torch.int32), small.view(torch.int32))


@needs_library
@pytest.mark.parametrize("name", STEPS)
def test_the_gradient_passes_gradcheck(name):
    call = drawn(name, T=3, B=2, I=2, H=2, ragged=False, forced=True)
    call.options["lengths"] = torch.tensor([3, 1])

    def function(input, *rest):
        states, weights = rest[: len(call.initial)], rest[len(call.initial) : len(call.initial) + len(call.weights)]
        values = rest[len(call.initial) + len(call.weights) :]
        overrides = [o._replace(value=v) for o, v in zip(call.options["overrides"], values, strict=True)]
        named = dict(zip(call.weights, weights, strict=True))
        found = scan(call.program, named, input, states, path="native", **{**call.options, "overrides": overrides})
        return found.outputs, *found.states

    assert torch.autograd.gradcheck(function, call.leaves(), fast_mode=True)


@needs_library
@pytest.mark.parametrize("name", ["lstm", "gru", "everything"])
def test_the_gradient_can_be_differentiated(name):
    call = drawn(name, T=3, B=2, I=2, H=2)
    call.options["lengths"] = torch.tensor([3, 1])

    def function(input, *rest):
        named = dict(zip(call.weights, rest[len(call.initial) :], strict=True))
        return scan(
            call.program, named, input, rest[: len(call.initial)], path="native", lengths=call.options["lengths"]
        ).outputs

    assert torch.autograd.gradgradcheck(function, call.leaves(), fast_mode=True)


@needs_library
def test_of_several_overrides_of_one_state_the_last_one_holds():
    call = drawn("lstm", T=4, B=3)
    everywhere = torch.ones(4, 3, dtype=torch.bool)
    first, last = (torch.full((3, 4), v, dtype=torch.float64).requires_grad_() for v in (5.0, 0.25))
    call.options["overrides"] = [Override("h", everywhere, first), Override("h", everywhere, last)]
    equals_the_loop(call)
    outputs = call.run("native")[0]
    assert torch.autograd.grad(outputs.sum(), first, retain_graph=True)[0].abs().max() == 0
    assert torch.autograd.grad(outputs.sum(), last)[0].abs().max() > 1e-3


@needs_library
def test_an_initial_state_that_is_one_row_for_all_is_read_as_it_lies():
    call = drawn("lstm", ragged=True)
    rows = [torch.randn(1, 4, dtype=torch.float64).requires_grad_() for _ in call.initial]
    expanded = call._replace(initial=[row.expand(4, 4) for row in rows])
    ours, theirs = (gradients(weighed(*expanded.run(path)), [*rows, call.input]) for path in ("native", "eager"))
    assert furthest(ours, theirs) < NATIVE
    assert min(gradient.abs().max() for gradient in ours) > 1e-3


@needs_library
@pytest.mark.parametrize("learning", [False, True])
def test_tensors_that_lie_in_other_orders_are_read_as_they_lie(learning):
    """batch_first inputs, transposed and sliced weights, masks and values with gaps between their rows."""
    call = drawn(zoneout(program_of("peephole"), "c"), B=5, I=4, H=6, ragged=True, forced=True, stepwise=True)

    def moved(tensor):
        if tensor.dim() == 1:
            return torch.stack((tensor, tensor), 1).flatten()[::2]
        turned = tensor.transpose(0, -1).contiguous().transpose(0, -1)  # the last dimension is not the dense one
        return turned if tensor.dim() == 2 else torch.cat((tensor, tensor), -1)[..., : tensor.shape[-1]]

    other = call._replace(
        weights={name: moved(w.detach()).requires_grad_() for name, w in call.weights.items()},
        input=call.input.detach().transpose(0, 1).contiguous().transpose(0, 1).requires_grad_(),
        initial=[moved(state.detach()).requires_grad_() for state in call.initial],
        options={
            **call.options,
            "overrides": [
                Override(o.state, o.mask.t().contiguous().t(), moved(o.value.detach()).requires_grad_())
                for o in call.options["overrides"]
            ],
            "masks": {key: moved(mask) for key, mask in call.options["masks"].items()},
        },
    )
    assert not other.input.is_contiguous()
    assert not all(w.is_contiguous() for w in other.weights.values())
    if learning:
        assert same_bits(other.run_with_gradients("native"), call.run_with_gradients("native"))
    else:
        with torch.no_grad():
            assert same_bits(other.run("native"), call.run("native"))


@needs_library
def test_numbers_that_are_negated_when_they_are_read_are_so_here_too():
    call = drawn("lstm")
    lazy = torch.complex(torch.zeros_like(call.input), -call.input.detach()).conj().imag
    assert lazy.is_neg()
    with torch.no_grad():
        assert same_bits(call._replace(input=lazy).run("native"), call.run("native"))


@needs_library
@pytest.mark.parametrize("stepwise", [False, True])
def test_values_and_masks_of_another_dtype_or_of_one_row_for_all_mean_what_they_mean_in_the_loop(stepwise):
    call = drawn(zoneout(program_of("gru"), "h"), ragged=True, forced=True, stepwise=stepwise)
    call.options["masks"] = {key: mask[..., :1, :].float() for key, mask in call.options["masks"].items()}
    call.options["masks"] = {key: torch.nan_to_num(mask, 0.5) for key, mask in call.options["masks"].items()}
    call.options["overrides"] = [
        o._replace(value=o.value.detach().float().requires_grad_()) for o in call.options["overrides"]
    ]
    ours, theirs = (call.run_with_gradients(path) for path in ("native", "eager"))
    kept = len(ours) - len(call.options["overrides"])
    assert furthest(ours[:kept], theirs[:kept]) < NATIVE
    for a, b in zip(ours[kept:], theirs[kept:], strict=True):
        assert a.dtype == b.dtype == torch.float32
        torch.testing.assert_close(a, b)


@needs_library
@pytest.mark.parametrize("shape", [(3, 4), (4, 2), (5, 4, 3)])
def test_masks_of_a_shape_that_does_not_fit_are_an_error(shape):
    call = drawn(zoneout(program_of("gru"), "h"))
    call.options["masks"] = {"zoneout.h": torch.zeros(shape, dtype=torch.float64)}
    with pytest.raises(UsageError, match=r"masks: zoneout\.h: expected"):
        call.run("native")


@needs_library
@pytest.mark.parametrize("name", STEPS)
def test_a_missing_bias_is_a_zero_bias(name):
    call = drawn(name)
    zero = {n: torch.zeros_like(w) if n.startswith("b.") else w for n, w in call.weights.items()}
    without = {n: w for n, w in call.weights.items() if not n.startswith("b.")}
    leaves = [call.input, *call.initial, *without.values()]
    found = []
    for weights in (zero, without):
        outputs = call._replace(weights=weights).run("native")
        found.append([*outputs, *gradients(weighed(*outputs), leaves)])
    assert furthest(*found) == 0


@needs_library
@pytest.mark.parametrize("wanted", range(4))
def test_only_what_wants_a_gradient_gets_one_and_it_is_the_same(wanted):
    call = drawn("peephole", ragged=True, forced=True)
    values = [o.value for o in call.options["overrides"]]
    groups = [[call.input], call.initial, list(call.weights.values()), values]
    full = gradients(weighed(*call.run("native")), groups[wanted])
    for number, group in enumerate(groups):
        for tensor in group:
            tensor.requires_grad_(number == wanted)
    weighed(*call.run("native")).backward()
    assert same_bits([t.grad for t in groups[wanted]], full)
    assert all(t.grad is None for n, group in enumerate(groups) if n != wanted for t in group)


@needs_library
@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_gradient_that_arrives_at_one_result_alone_is_enough(which):
    call = drawn("lstm", ragged=True)
    ours, theirs = (gradients(weighed(call.run(path)[which]), call.leaves()) for path in ("native", "eager"))
    assert furthest(ours, theirs) < NATIVE


@needs_library
def test_gradients_that_arrive_lie_as_they_like():
    call = drawn("lstm", B=3, H=5)
    results = call.run("native")
    dense = [torch.randn_like(t) for t in results]
    sparse = [t.transpose(0, -1).contiguous().transpose(0, -1) for t in dense]
    one = [torch.ones((), dtype=torch.float64).expand(t.shape) for t in results]
    leaves = call.leaves()
    a, b = (torch.autograd.grad(results, leaves, g, retain_graph=True) for g in (dense, sparse))
    assert same_bits(a, b)
    c, d = (torch.autograd.grad(results, leaves, g, retain_graph=True) for g in (one, [t.contiguous() for t in one]))
    assert same_bits(c, d)


@needs_library
def test_a_gradient_of_nan_at_padding_does_no_harm():
    call = drawn("gru", ragged=True)
    outputs = call.run("native")[0]
    padding = torch.arange(5)[:, None, None] >= call.options["lengths"][:, None]
    arriving = torch.ones_like(outputs)
    clean = torch.autograd.grad(outputs, call.leaves(), arriving, retain_graph=True)
    poisoned = torch.autograd.grad(outputs, call.leaves(), arriving.masked_fill(padding, float("nan")))
    assert same_bits(clean, poisoned)


@needs_library
@pytest.mark.parametrize("name", ["lstm", "gru", "straight", "twins"])
def test_without_gradient_and_with_records_the_bits_are_the_same(name):
    call = drawn(name, dtype=torch.float32, B=13, H=70, ragged=True)
    plain = call.run("native")
    recorded = call.run("native", record=list(call.program.names))
    assert same_bits(plain, recorded[: len(plain)])
    with torch.no_grad():
        free = call.run("native")
        assert same_bits(free, plain)
        assert all(t.grad_fn is None for t in free)


@needs_library
@pytest.mark.parametrize("name", ["peephole", "gru"])
def test_one_row_whose_columns_the_threads_share_has_the_bits_of_one_thread(name):
    """The means of a row are the first thread's, and the others read them."""
    call = drawn(layer_norm(program_of(name)), dtype=torch.float32, T=2, B=1, I=300, H=600, scale=0.05)
    with threads(1):
        expected = call.run_with_gradients("native")
    for count in (2, 3):
        with threads(count):
            assert same_bits(call.run_with_gradients("native"), expected)


@needs_library
def test_changing_a_record_or_a_final_state_in_place_changes_no_gradient():
    call = drawn("peephole")
    expected = gradients(weighed(call.run("native")[0]), call.leaves())
    found = call.run("native", record=("i", "c", "h"))
    for tensor in found[1:]:
        with torch.no_grad():
            tensor.fill_(7.0)
    assert same_bits(gradients(weighed(found[0]), call.leaves()), expected)


@needs_library
def test_changing_the_output_in_place_is_refused_since_the_gradient_reads_it():
    outputs = drawn("elman").run("native")[0]
    outputs.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        outputs.sum().backward()


@needs_library
def test_backward_twice_on_one_graph_gives_the_same():
    call = drawn("lstm", ragged=True, forced=True)
    loss = weighed(*call.run("native"))
    first = torch.autograd.grad(loss, call.leaves(), retain_graph=True)
    assert same_bits(first, torch.autograd.grad(loss, call.leaves()))


def error_of(found, exact):
    """The largest error, relative to the largest element."""
    with torch.no_grad():
        return [float((a.double() - b).abs().max() / b.abs().max()) for a, b in zip(found, exact, strict=True)]


@needs_library
@pytest.mark.parametrize("shape", [(30, 16, 24, 48), (40, 64, 32, 96), (12, 8, 16, 1024)])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_the_error_of_single_precision_is_at_most_twice_that_of_torch(kind, shape):
    """Over several draws: outputs, final states, and every gradient, against torch.nn in float64.

    Of few units, of many steps and rows that a weight's gradient adds up, and of many units.
    """
    T, B, I, H = shape
    name, gates = {"LSTM": ("lstm", "ifgo"), "GRU": ("gru_after", "rzn"), "RNN": ("elman", "h")}[kind]
    ours, theirs = [], []
    for seed in range(4):
        torch.manual_seed(seed)
        exact = getattr(torch.nn, kind)(I, H, dtype=torch.float64)
        single = getattr(torch.nn, kind)(I, H)
        single.load_state_dict(exact.state_dict())
        exact.load_state_dict(single.state_dict())  # the numbers that single precision has
        x = torch.randn(T, B, I)
        flat = dict(single.named_parameters())
        parts = {n: p.detach().chunk(len(gates)) for n, p in flat.items()}
        weights = {}
        for k, gate in enumerate(gates):
            weights |= {f"W.{gate}": parts["weight_ih_l0"][k], f"U.{gate}": parts["weight_hh_l0"][k]}
            b, inner = parts["bias_ih_l0"][k], parts["bias_hh_l0"][k]
            weights |= {"b.n": b, "b.m": inner} if (kind, gate) == ("GRU", "n") else {f"b.{gate}": b + inner}
        weights = {n: w.clone().requires_grad_() for n, w in weights.items()}
        program = program_of(name) if kind != "GRU" else torchs_gru()
        zeros = [torch.zeros(B, H) for _ in program.states]

        def of_torch(module, x):
            output, hidden = module(x)
            ends = hidden if isinstance(hidden, tuple) else (hidden,)
            learnt = [module.weight_ih_l0, module.weight_hh_l0, module.bias_ih_l0]
            return [output, *(e[0] for e in ends), *gradients(weighed(output), [x, *learnt])]

        right = of_torch(exact, x.double().requires_grad_())
        theirs.append(error_of(of_torch(single, x.clone().requires_grad_()), right))
        x.requires_grad_()
        found = scan(program, weights, x, zeros, path="native")
        slopes = gradients(weighed(found.outputs), [x, *weights.values()])
        named = dict(zip(weights, slopes[1:], strict=True))
        learnt = [torch.cat([named[f"{letter}.{gate}"] for gate in gates]) for letter in "WUb"]
        ours.append(error_of([found.outputs, *found.states, slopes[0], *learnt], right))
    ratio = torch.tensor(ours).mean(0) / torch.tensor(theirs).mean(0)
    assert ratio.max() < 2, ratio


def torchs_gru():
    """(1 - z) n + z h, in torch's order of gates: z is what is kept."""
    return program_of("gru_after")


def test_what_it_cannot_serve_it_refuses_with_a_clause(monkeypatch):
    monkeypatch.setattr(native, "library", lambda: Library(None, "the native engine is not built"))
    assert native.refusal("cpu", torch.float32) == "the native engine is not built"
    assert "on cuda" in native.refusal("cuda", torch.float32)
    assert "not in bfloat16" in native.refusal("cpu", torch.bfloat16)
    monkeypatch.setattr(native, "library", lambda: Library(object()))
    assert native.refusal("cpu", torch.float64) == ""


@needs_library
def test_a_call_that_the_library_refuses_is_an_error_of_ours(monkeypatch):
    monkeypatch.setattr(native, "_entry", lambda dtype: lambda *arguments: 1)
    with pytest.raises(RiverrunError, match="does not fit together"):
        drawn("gru").run("native")
