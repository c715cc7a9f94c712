"""Elman's simple recurrent network with tanh, the "vanilla RNN" of all five lectures."""

from riverrun.cells.cell import Cell, tanh


class Elman(Cell):
    """Simple recurrent network: h = tanh(W x + U h + b) (Elman 1990, "Finding structure in time", with tanh for
    his logistic).

    Equal to torch.nn.RNN, whose two biases are one here.
    """

    gates, states = ("h",), ("h",)

    def step(x, U, h):
        return tanh(x.h + U.h @ h)
