"""Gated recurrent unit, reset after the product: cuDNN's and torch's."""

from riverrun.cells.cell import Cell, Initialise, sigmoid, tanh


class GRUAfter(Cell):
    """Gated recurrent unit, reset after the product (first version of Cho et al. 2014; cuDNN; torch.nn.GRU).

    Equal to torch.nn.GRU: b.hn is its b_hn, and its other pairs of biases are one here. The surprise: here z
    keeps the old state.
    """

    gates, states = ("r", "z", "n"), ("h",)
    candidate = "n"
    initialise = Initialise(keep=("z",))

    def step(x, U, b, h):
        r = sigmoid(x.r + U.r @ h)
        z = sigmoid(x.z + U.z @ h)
        n = tanh(x.n + r * (U.n @ h + b.hn))
        return (1 - z) * n + z * h
