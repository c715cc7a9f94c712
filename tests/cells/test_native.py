"""Every cell, with everything that a layer can put into its step, on the native engine: equal to the autograd loop."""

from __future__ import annotations

import pytest
import torch
from engine.calls import furthest
from engine.steps import gradients, weighed
from tolerances import NATIVE

from riverrun import cells
from riverrun.cells.cell import program
from riverrun.engine.library import library
from riverrun.engine.scan import Override, scan
from riverrun.layers.options import Dropouts
from riverrun.layers.projection import feeds_back
from riverrun.layers.rewritten import rewritten

pytestmark = pytest.mark.skipif(library().handle is None, reason=library().reason)

SIZES = {"H": 5, "Y": 3, "P": 2, "I": 4}
PLAIN = {"dropouts": Dropouts(), "norm": False, "hidden_depth": 1, "projected": False}
OPTIONS = {
    "nothing": {},
    "layer norm": {"norm": True},
    "zoneout": {"dropouts": Dropouts(zoneout=0.1)},
    "variational dropout": {"dropouts": Dropouts(variational=0.1)},
    "recurrent dropout": {"dropouts": Dropouts(recurrent=0.1)},
    "depth": {"hidden_depth": 3},
    "projection": {"projected": True},
    "everything": {
        "dropouts": Dropouts(zoneout=0.1, variational=0.1, recurrent=0.1),
        "norm": True,
        "hidden_depth": 2,
        "projected": True,
    },
}


def step_of(name, option):
    """The program, or None where the cell cannot have the option."""
    cell = cells.find(name)
    how = {**PLAIN, **OPTIONS[option]}
    if how["dropouts"].recurrent and cell.candidate is None:
        if option == "recurrent dropout":
            return None
        how["dropouts"] = Dropouts(zoneout=0.1, variational=0.1)
    if how["projected"] and not feeds_back(program(cell)):
        if option == "projection":
            return None
        how["projected"] = False
    return rewritten(program(cell), **how)


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", cells.names())
def test_every_cell_with_every_option_equals_the_loop(name, option):
    step = step_of(name, option)
    if step is None:
        pytest.skip("this cell cannot have it")
    generator = torch.Generator().manual_seed(len(name))

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    T, B, lengths = 4, 5, torch.tensor([4, 0, 2, 3, 4])
    padding = torch.arange(T)[:, None, None] >= lengths[:, None]
    weights = {key: (0.6 * draw(*shape)).requires_grad_() for key, shape in step.resolve(SIZES).items()}
    input = draw(T, B, SIZES["I"]).masked_fill(padding, float("nan")).requires_grad_()
    initial = [draw(B, SIZES[width]).requires_grad_() for width in step.state_widths]
    overrides = [
        Override(state, torch.rand(T, B, generator=generator) < 0.3, draw(*value.shape).requires_grad_())
        for state, value in zip(step.states, initial, strict=True)
    ]
    widths = {node.key: SIZES[node.width] for node in step.nodes if node.op == "mask"}
    for stepwise, reverse in ((False, True), (True, False)):
        masks = {key: draw(T, B, n).abs() if stepwise else draw(B, n).abs() for key, n in widths.items()}
        found = []
        for path in ("native", "eager"):
            outputs, states, records = scan(
                step, weights, input, initial, lengths=lengths, overrides=overrides, masks=masks,
                record=list(step.names), reverse=reverse, path=path,
            )  # fmt: skip
            slopes = gradients(
                weighed(outputs, *states), [input, *initial, *weights.values(), *(o.value for o in overrides)]
            )
            found.append([outputs, *states, *records.values(), *slopes])
        assert furthest(*found) < NATIVE
