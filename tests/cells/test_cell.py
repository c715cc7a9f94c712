"""What a cell is, and what is said where a class is none."""

from __future__ import annotations

import pytest
import torch

from riverrun.cells import LSTM, Cell, find, sigmoid, tanh
from riverrun.cells.cell import Initialise, keys, name, program
from riverrun.engine.scan import scan
from riverrun.errors import CellError


class Leaky(Cell):
    states = ("h",)

    def step(x, U, h):
        keep = sigmoid(x.keep)
        return keep * h + (1 - keep) * tanh(x.new + U.new @ h)


def test_a_cell_of_ones_own_is_a_class_with_states_and_step():
    weights = {k: torch.randn(s) for k, s in program(Leaky).resolve({"H": 3, "I": 2}).items()}
    result = scan(program(Leaky), weights, torch.randn(4, 2, 2), [torch.zeros(2, 3)])
    assert result.outputs.shape == (4, 2, 3)


def test_its_gates_are_found_where_it_names_none():
    assert keys(Leaky) == ("keep", "new")
    assert keys(LSTM) == ("i", "f", "g", "o")


def test_a_cell_is_traced_once():
    assert program(Leaky) is program(Leaky)


def test_two_cells_of_one_name_are_two_cells():
    def again():
        class Leaky(Cell):
            states = ("h",)

            def step(x, U, h):
                return tanh(x.new + U.new @ h)

        return Leaky

    assert program(again()) != program(Leaky)


def test_a_cell_written_in_a_notebook_works():
    """In a notebook the class has no file; only its module's name is `__main__`."""
    space = {"__name__": "__main__"}
    source = "from riverrun.cells import Cell, tanh\nclass Mine(Cell):\n    states = ('h',)\n"
    exec(source + "    def step(x, U, h):\n        return tanh(x.a + U.a @ h)\n", space)
    assert program(space["Mine"]).x_keys == ("a",)
    assert name(space["Mine"]) == "Mine"


def test_its_name_is_the_files_and_a_users_cells_its_classes():
    assert name(find("gru-after")) == "gru-after"
    assert name(Leaky) == "Leaky"


def test_hints_of_the_start_name_existing_biases():
    from riverrun import cells

    for known in cells.names():
        cell = cells.find(known)
        hints = cell.initialise
        for key in (*hints.forget, *hints.keep, *hints.write):
            assert f"b.{key}" in program(cell).weights
    assert LSTM.initialise.forget == ("f",)
    assert find("elman-relu").initialise.recurrent == "identity"
    assert Initialise() == find("elman").initialise


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"states": ("h",)}, r"Bad: expected a function `step\(x, U, h\)`"),
        ({"step": lambda x, U, h: x.a}, r"Bad.states: expected the names"),
        ({"step": lambda x, U, h: x.a, "states": "h"}, r"Bad.states: expected a tuple of names, came the string 'h'"),
        ({"step": lambda x, h: x.a, "states": ("h",), "sizes": {"y": "Y"}}, r"Bad.sizes names 'y'"),
    ],
)
def test_what_is_missing_is_said_at_the_class(body, message):
    with pytest.raises(CellError, match=message):
        type("Bad", (Cell,), body)


def test_a_cell_is_passed_not_called():
    with pytest.raises(CellError, match=r"pass the class itself, as in Recurrent\(Leaky, 64, 256\)"):
        Leaky()


def test_a_candidate_that_is_no_local_is_an_error_with_the_nearest():
    class Bad(Cell):
        states, candidate = ("h",), "neww"

        def step(x, U, h):
            new = tanh(x.n + U.n @ h)
            return new + h

    with pytest.raises(CellError, match="neww"):
        program(Bad)
