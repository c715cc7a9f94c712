"""A scan as one node of a graph, of torch.compile or torch.export: the native engine's bits, and never silent zeros."""

from __future__ import annotations

import io

import pytest
import torch
from engine.calls import drawn, furthest, same_bits
from engine.steps import STEPS, gradients, program_of, weighed
from tolerances import NATIVE
from torch._subclasses import FakeTensorMode
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx

from riverrun.engine import frame, native, operator
from riverrun.engine.library import Library, library
from riverrun.engine.rewrite import layer_norm, zoneout
from riverrun.engine.scan import scan
from riverrun.errors import RiverrunError, UsageError

pytestmark = [
    pytest.mark.skipif(library().handle is None, reason=library().reason),
    # torch's own, while it loads or compiles
    pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.isinstance.treespec:FutureWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]
NODE = torch.ops.riverrun.scan.default


def node(call, record=()):
    """The results of a call by the operator."""
    found = operator.run(call.program, call.weights, call.input, call.initial, record=record, **call.options)
    return [found.outputs, *found.states, *found.records.values()]


def normed():
    return zoneout(layer_norm(program_of("peephole")), "c")


CALLS = {
    "plain": lambda: drawn("lstm", H=8),
    "all options": lambda: drawn(normed(), H=8, I=5, ragged=True, forced=True, stepwise=True, reverse=True),
    "masks of one row": lambda: drawn(normed(), H=8, I=5, forced=True),
    "no biases": lambda: drawn("gru_after", H=8, bias=False),
    "one step of one row": lambda: drawn("multiplicative", T=1, B=1, H=8),
    "single precision": lambda: drawn("everything", H=16, dtype=torch.float32),
}


@pytest.mark.parametrize("name", STEPS)
def test_the_node_gives_the_bits_of_the_native_engine_for_every_step(name):
    for flags in ({}, {"ragged": True, "forced": True, "reverse": True}):
        call = drawn(name, **flags)
        names = list(call.program.names)
        ours, theirs = node(call, record=names), call.run("native", record=names)
        assert same_bits(ours, theirs)
        last = 1 + len(call.initial)
        assert not any(record.requires_grad for record in ours[last:])
        ours, theirs = (gradients(weighed(*found[:last]), call.leaves()) for found in (ours, theirs))
        assert same_bits(ours, theirs)
        with torch.no_grad():
            assert same_bits(node(call), call.run("native"))


@pytest.mark.parametrize("which", CALLS)
def test_it_is_a_good_citizen_among_operators(which):
    """Its schema, its fake implementation and its gradient fit together, also with sizes that are not known."""
    call = CALLS[which]()
    text = operator._written(
        call.program,
        tuple(call.weights),
        tuple(o.state for o in call.options["overrides"]),
        tuple(call.options["masks"]),
        tuple(call.program.names),
        call.options["reverse"],
    )
    values = [o.value for o in call.options["overrides"]]
    others = [*(o.mask for o in call.options["overrides"]), *call.options["masks"].values()]
    weights, lengths = list(call.weights.values()), call.options["lengths"]
    for learning in (True, False):
        given = [[call.input], call.initial, weights, values]
        if not learning:
            given = [[t.detach() for t in group] for group in given]
        (input,), *rest = given
        # What is kept for the gradient is not written at padding, so with lengths it cannot be compared.
        tests = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")
        tests = tests[: 3 if learning and lengths is not None else 4]
        found = torch.library.opcheck(NODE, (input, *rest, others, lengths, text, learning), test_utils=tests)
        assert set(found.values()) == {"SUCCESS"}


def test_the_string_says_the_whole_program():
    for name in STEPS:
        program = program_of(name)
        text = operator._written(program, ("W.a",), ("h",), (), ("h",), True)
        assert operator._read(text) == (program, ("W.a",), ("h",), (), ("h",), True)
        assert operator._read(text) is operator._read(text)
    assert "/" not in text  # no place where the step was written


def counted(graphs):
    def backend(module, inputs):
        graphs.append(sum(str(found.target).startswith("riverrun.scan") for found in module.graph.nodes))
        return module

    return backend


@pytest.mark.parametrize("which", ["plain", "all options"])
def test_torch_compile_sees_one_node_and_its_gradient(which):
    call = CALLS[which]()
    names = ("c",)
    torch._dynamo.reset()

    def function(input, initial, weights, lengths):
        options = {**call.options, "lengths": lengths}
        found = scan(call.program, weights, input, initial, record=names, **options)
        return [found.outputs, *found.states, *found.records.values()]

    given = (call.input, call.initial, call.weights, call.options["lengths"])
    graphs = []
    torch.compile(function, fullgraph=True, backend=counted(graphs))(*given)
    assert graphs == [1]
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")(*given)
    plain = function(*given)
    assert same_bits(compiled, plain)
    ours, theirs = (gradients(weighed(*found[:3]), call.leaves()) for found in (compiled, plain))
    assert same_bits(ours, theirs)


def test_one_graph_serves_every_length_and_batch():
    torch._dynamo.reset()
    graphs = []
    program, weights = program_of("gru"), {name: w.detach() for name, w in drawn("gru").weights.items()}

    def function(input, initial):
        return scan(program, weights, input, [initial]).outputs

    compiled = torch.compile(function, fullgraph=True, dynamic=True, backend=counted(graphs))
    for T, B in ((5, 6), (7, 3), (2, 9)):  # at first no two sizes are equal, or torch would take them for one
        call = drawn("gru", T=T, B=B)
        given = call.input.detach(), call.initial[0].detach()
        assert same_bits([compiled(*given)], [function(*given)])
    assert graphs == [1]


class Layer(torch.nn.Module):
    def __init__(self, call):
        super().__init__()
        self.call = call
        self.names = list(call.weights)
        self.weights = torch.nn.ParameterList(torch.nn.Parameter(w.detach().clone()) for w in call.weights.values())

    def forward(self, input, *initial):
        named = dict(zip(self.names, self.weights, strict=True))
        return scan(self.call.program, named, input, initial).outputs


def test_an_exported_graph_holds_all_that_it_needs_and_can_be_saved():
    call = drawn("multiplicative")
    layer, given = Layer(call), (call.input.detach(), *(s.detach() for s in call.initial))
    T, B = torch.export.Dim("T", min=2, max=100), torch.export.Dim("B", min=2, max=100)
    exported = torch.export.export(layer, given, dynamic_shapes=({0: T, 1: B}, ({0: B}, {0: B})))
    assert sum(found.target is NODE for found in exported.graph.nodes) == 1
    file = io.BytesIO()
    torch.export.save(exported, file)
    file.seek(0)
    again = torch.export.load(file).module()
    other = drawn("multiplicative", T=9, B=7, seed=3)
    for these in (given, (other.input.detach(), *(s.detach() for s in other.initial))):
        assert same_bits([again(*these)], [layer(*these)])
    again(*given).sum().backward()
    layer(*given).sum().backward()
    assert furthest([p.grad for p in again.parameters()], [p.grad for p in layer.parameters()]) == 0


def test_what_traces_by_a_dispatch_mode_sees_the_node_too():
    call = drawn("lstm")
    weights, initial = {k: w.detach() for k, w in call.weights.items()}, [s.detach() for s in call.initial]

    def function(input):
        return scan(call.program, weights, input, initial).outputs

    graph = make_fx(function)(call.input.detach())
    assert sum(found.target is NODE for found in graph.graph.nodes) == 1
    other = torch.randn_like(call.input)
    assert same_bits([graph(other)], [function(other)])
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = function(mode.from_tensor(call.input.detach()))
    assert fake.shape == (5, 4, 4)
    traced = torch.jit.trace(function, call.input.detach(), check_trace=False)
    assert "riverrun::scan" in str(traced.graph)
    assert same_bits([traced(other)], [function(other)])


def test_what_was_made_for_a_graph_serves_calls_too():
    call = drawn("gru_after", T=operator.STAND_IN[0], B=operator.STAND_IN[1], bias=False)
    frame.forward_frame.cache_clear()
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = call._replace(
            weights={name: mode.from_tensor(w) for name, w in call.weights.items()},
            input=mode.from_tensor(call.input),
            initial=[mode.from_tensor(state) for state in call.initial],
        )
        gradients(weighed(*node(fake)), fake.leaves())
    assert frame.forward_frame.cache_info().currsize > 0
    assert furthest(call.run_with_gradients("native"), call.run_with_gradients("eager")) < NATIVE


@pytest.mark.parametrize("steps", [0, 3])
def test_without_steps_or_rows_states_and_their_gradients_pass(steps):
    rows = 0 if steps else 4
    call = drawn("lstm", T=steps, B=rows)
    found = node(call, record=("i",))
    assert found[0].shape == found[3].shape == (steps, rows, 4)
    assert same_bits(found[1:3], call.initial)
    ours = gradients(weighed(*found[:3]), call.leaves())
    theirs = gradients(weighed(*call.initial), call.leaves())
    assert same_bits(ours, theirs)


def test_lengths_are_looked_at_when_the_graph_runs():
    call = drawn("gru", ragged=True)
    torch._dynamo.reset()

    def function(input, lengths):
        return scan(call.program, call.weights, input, call.initial, lengths=lengths).outputs

    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    assert same_bits([compiled(call.input, call.options["lengths"])], call.run("native")[:1])
    with pytest.raises(UsageError, match="lengths: expected 0 to T = 5, came 1 to 6"):
        compiled(call.input, torch.tensor([1, 2, 3, 6]))


def test_its_gradient_can_be_differentiated_outside_of_graphs():
    call = drawn("gru", T=3, B=2, I=2, H=2, ragged=True, forced=True)

    leaves = [t.detach().nan_to_num(0.3).requires_grad_() for t in call.leaves()]
    values = 2 + len(call.weights)

    def function(input, initial, *rest):
        weights = dict(zip(call.weights, rest, strict=False))
        overrides = [o._replace(value=v) for o, v in zip(call.options["overrides"], rest[values - 2 :], strict=True)]
        return node(
            call._replace(
                weights=weights, input=input, initial=[initial], options={**call.options, "overrides": overrides}
            )
        )[0]

    assert torch.autograd.gradgradcheck(function, leaves, fast_mode=True)


def directional(function, at, direction, step=1e-6):
    return (function(at + step * direction) - function(at - step * direction)) / (2 * step)


@pytest.mark.parametrize("how", ["plainly", "in a compiled function"])
@pytest.mark.parametrize("name", ["lstm", "gru_after", "minimal"])
def test_forward_mode_is_right_and_never_zero(name, how):
    call = drawn(name)
    weights, initial = {k: w.detach() for k, w in call.weights.items()}, [s.detach() for s in call.initial]
    at, direction = call.input.detach(), torch.randn_like(call.input)
    torch._dynamo.reset()

    def function(input):
        return scan(call.program, weights, input, initial).outputs

    def tangent(at, direction):
        return torch.func.jvp(function, (at,), (direction,))[1]

    run = tangent if how == "plainly" else torch.compile(tangent, backend="aot_eager")
    found = run(at, direction)
    assert found.abs().max() > 1e-3
    torch.testing.assert_close(found, directional(function, at, direction), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("learning", [False, True])
def test_the_node_itself_refuses_forward_mode_and_transforms_and_never_answers_zero(learning):
    call = drawn("lstm")
    if not learning:
        call = call._replace(
            weights={k: w.detach() for k, w in call.weights.items()},
            input=call.input.detach(),
            initial=[s.detach() for s in call.initial],
        )
    ones = torch.ones_like(call.input)

    def function(input):
        return node(call._replace(input=input))[0]

    with pytest.raises((UsageError, NotImplementedError)), forward_ad.dual_level():
        function(forward_ad.make_dual(call.input, ones))
    for transform in (
        lambda: torch.func.jvp(function, (call.input.detach(),), (ones,)),
        lambda: torch.func.vmap(function)(torch.stack([call.input.detach()] * 2)),
        lambda: torch.func.grad(lambda input: function(input).sum())(call.input.detach()),
    ):
        with pytest.raises(UsageError, match=r"knows no transform of torch\.func"):
            transform()


def test_a_tangent_of_an_arriving_gradient_is_refused():
    call = drawn("lstm")
    outputs = node(call)[0]
    with forward_ad.dual_level():
        arriving = forward_ad.make_dual(torch.ones_like(outputs), torch.ones_like(outputs))
        with pytest.raises(UsageError, match="no forward-mode derivative"):
            torch.autograd.grad(outputs, call.input, arriving)


def test_where_the_library_is_missing_a_graph_runs_without_gradient_and_says_so_with_one(monkeypatch):
    monkeypatch.setattr(native, "library", lambda: Library(None, "the native engine is not built"))
    call = drawn("gru", ragged=True, forced=True)
    with pytest.raises(RiverrunError, match="the native engine is not built"):
        node(call)
    with torch.no_grad():
        assert furthest(node(call, record=("r",)), call.run("eager", record=("r",))) == 0


@pytest.mark.slow
def test_inductor_compiles_what_stands_around_the_node():
    call = drawn("lstm", dtype=torch.float32)
    torch._dynamo.reset()

    def function(input, initial, weights):
        found = scan(call.program, weights, input.tanh() * 2, initial)
        return (found.outputs.sigmoid() + 1).sum() + found.states[1].square().sum()

    given = (call.input, call.initial, call.weights)
    compiled, plain = torch.compile(function, fullgraph=True)(*given), function(*given)
    torch.testing.assert_close(compiled, plain)
    for ours, theirs in zip(gradients(compiled, call.leaves()), gradients(plain, call.leaves()), strict=True):
        torch.testing.assert_close(ours, theirs)
