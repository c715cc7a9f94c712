"""Elman's simple recurrent network with his own logistic units."""

from riverrun.cells.cell import Cell, sigmoid


class ElmanLogistic(Cell):
    """Simple recurrent network with logistic units: h = sigmoid(W x + U h + b) (Elman 1990, "Finding structure in
    time").
    """

    gates, states = ("h",), ("h",)

    def step(x, U, h):
        return sigmoid(x.h + U.h @ h)
