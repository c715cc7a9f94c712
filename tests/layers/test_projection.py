"""The projection is a rewrite of the graph: inside where a state meets nothing but matrices, and refused elsewhere."""

import pytest
import torch

from riverrun.cells import find, names
from riverrun.cells.cell import program
from riverrun.errors import UsageError
from riverrun.layers import Recurrent
from riverrun.layers.projection import feeds_back, project


def test_cells_whose_output_enters_elementwise_are_told_apart():
    inside = {name for name in names() if feeds_back(program(find(name)))}
    assert {"elman", "elman-relu", "lstm", "peephole", "mlstm", "cifg", "jordan"} <= inside
    assert not inside & {"gru", "gru-after", "mut1", "mut2", "mut3", "mingru", "minlstm"}


@pytest.mark.parametrize("name", names())
def test_every_cell_can_be_projected_one_way_or_the_other(name):
    torch.manual_seed(0)
    layer = Recurrent(name, 3, 5, projection=2, num_layers=2)
    out, state, _ = layer(torch.randn(4, 2, 3))
    assert out.shape == (4, 2, 2)
    again, _, _ = layer(torch.randn(4, 2, 3), state)
    out.sum().backward()
    gradient = layer.layers.get_parameter("0.forward.U.projection").grad
    assert gradient is not None
    assert gradient.abs().max() > 0
    assert again.shape == out.shape


def test_the_projected_program_reads_and_returns_the_narrow_state():
    projected = project(program(find("lstm")))
    shapes = projected.resolve({"H": 5, "P": 2, "I": 3})
    assert shapes["U.i"] == (5, 2)
    assert shapes["U.projection"] == (2, 5)
    assert projected.state_widths == ("P", "H")


def test_a_program_that_needs_the_wide_state_is_refused():
    with pytest.raises(UsageError, match="meets more than matrices"):
        project(program(find("gru")))
