"""Layers under torch.compile and torch.export: every scan is one node, and nothing breaks the graph."""

from __future__ import annotations

import pytest
import torch

from riverrun import nn
from riverrun.engine.library import library
from riverrun.layers import Depth, Dropouts, Recurrent
from riverrun.sequences import Sequences

pytestmark = [
    pytest.mark.skipif(library().handle is None, reason=library().reason),
    # torch's own, while it loads or compiles
    pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.isinstance.treespec:FutureWarning"),
]
LAYERS = {
    "one": (1, lambda: Recurrent("lstm", 3, 5)),
    "a stack in both directions": (4, lambda: Recurrent("gru", 3, 5, num_layers=2, direction="both")),
    "norm, skips, a learned start": (
        2,
        lambda: Recurrent("peephole", 3, 5, num_layers=2, norm=True, skip="dense", learned_initial=True),
    ),
    "depth and a projection": (
        1,
        lambda: Recurrent("lstm", 3, 5, projection=2, depth=Depth(input=2, hidden=2, output=2)),
    ),
    "zoneout, seldom": (1, lambda: Recurrent("gru-after", 3, 5, dropouts=Dropouts(zoneout=0.1)).eval()),
}


@pytest.fixture(autouse=True)
def _afresh():
    torch._dynamo.reset()


def nodes(module):
    return sum(str(found.target).startswith("riverrun.scan") for found in module.graph.nodes)


def compiled(module, counts):
    def backend(graph, inputs):
        counts.append(nodes(graph))
        return torch._dynamo.lookup_backend("aot_eager")(graph, inputs)

    return torch.compile(module, fullgraph=True, backend=backend)


def run_exported(exported, x):
    """The first result. Not by `exported.module()`: torch cannot rebuild a module whose child is called "forward"."""
    weights = [exported.state_dict[name] for name in exported.graph_signature.parameters]
    constants = [exported.constants[name] for name in exported.graph_signature.lifted_tensor_constants]
    return exported.graph_module(*weights, *constants, x)[0]


def same_in_values_and_gradients(module, counts, run):
    """`run` of the compiled module and of the module itself."""
    slopes, values = [], []
    for one in (compiled(module, counts), module):
        module.zero_grad()
        found = run(one)
        found.sum().backward()
        values.append(found.detach())
        slopes.append([p.grad.clone() for p in module.parameters()])
    torch.testing.assert_close(*values)
    torch.testing.assert_close(*slopes)


@pytest.mark.parametrize("which", LAYERS)
def test_a_layer_is_one_graph_with_one_node_a_scan(which):
    expected, make = LAYERS[which]
    torch.manual_seed(0)
    layer, x, counts = make(), torch.randn(4, 2, 3), []
    same_in_values_and_gradients(layer, counts, lambda run: run(x).output)
    assert counts == [expected]
    exported = torch.export.export(layer, (x,))
    assert nodes(exported) == expected
    torch.testing.assert_close(run_exported(exported, x), layer(x).output)


def test_lengths_resets_states_and_records_go_into_the_graph():
    torch.manual_seed(0)
    layer, counts = Recurrent("lstm", 3, 5), []
    x, lengths = torch.randn(4, 2, 3), torch.tensor([4, 2])
    resets = torch.tensor([[False, False], [True, False], [False, True], [False, False]])
    state = layer(torch.randn(2, 2, 3)).state
    same_in_values_and_gradients(
        layer,
        counts,
        lambda run: (
            run(Sequences(x, lengths), tuple(tuple(s.detach() for s in one) for one in state), resets=resets).output
        ),
    )
    with torch.no_grad():
        ours, theirs = (run(x, record=["f"]).records["layers.0.forward.f"] for run in (compiled(layer, counts), layer))
    assert torch.equal(ours, theirs)
    assert counts == [1, 1]


@pytest.mark.parametrize(
    ("expected", "make"),
    [
        (4, lambda: nn.LSTM(3, 5, num_layers=2, bidirectional=True)),
        (1, lambda: nn.LSTM(3, 5, norm=True, batch_first=True)),
        (1, lambda: nn.GRU(3, 5)),
        (1, lambda: nn.RNN(3, 5, nonlinearity="relu")),
    ],
)
def test_a_drop_in_is_one_graph_where_torch_lets_its_recurrent_modules_be_compiled(expected, make):
    torch.manual_seed(0)
    module, x, counts = make(), torch.randn(4, 2, 3), []
    with torch._dynamo.config.patch(allow_rnn=True):  # torch refuses to trace whatever is a torch.nn.LSTM without it
        same_in_values_and_gradients(module, counts, lambda run: run(x)[0])
    assert counts == [expected]


@pytest.mark.filterwarnings("ignore:The tensor attributes self._flat_weights:UserWarning")  # torch's LSTM says it too
def test_an_exported_drop_in_is_torchs_own_node_where_it_is_plain_and_ours_where_it_is_not():
    x = torch.randn(4, 2, 3)
    plain, normed = nn.LSTM(3, 5).eval(), nn.LSTM(3, 5, norm=True).eval()
    exported = torch.export.export(plain, (x,))
    assert sum(str(found.target) == "aten.lstm.input" for found in exported.graph.nodes) == 1
    torch.testing.assert_close(exported.module()(x)[0], plain(x)[0])
    exported = torch.export.export(normed, (x,))
    assert nodes(exported) == 1
    torch.testing.assert_close(run_exported(exported, x), normed(x)[0])


def test_forward_mode_through_a_compiled_layer_is_right_and_not_zero():
    torch.manual_seed(0)
    layer = Recurrent("gru", 3, 5).double()
    x, along = torch.randn(4, 2, 3, dtype=torch.float64), torch.randn(4, 2, 3, dtype=torch.float64)
    run = torch.compile(layer, backend="aot_eager")
    found = torch.func.jvp(lambda x: run(x).output, (x,), (along,))[1]
    step = 1e-6
    expected = (layer(x + step * along).output - layer(x - step * along).output) / (2 * step)
    assert found.abs().max() > 1e-3
    torch.testing.assert_close(found, expected.detach(), rtol=1e-6, atol=1e-7)
