"""Gated recurrent unit, reset before the product, as the lectures write it."""

from riverrun.cells.cell import Cell, Initialise, sigmoid, tanh


class GRU(Cell):
    """Gated recurrent unit, reset before the product (Cho et al. 2014; this z: Chung et al. 2014, as the lectures
    write it).

    The surprise: torch's and cuDNN's GRU is another one, GRUAfter, with the reset after the product and the
    opposite z.
    """

    gates, states = ("r", "z", "n"), ("h",)
    candidate = "n"
    initialise = Initialise(write=("z",))

    def step(x, U, h):
        r = sigmoid(x.r + U.r @ h)
        z = sigmoid(x.z + U.z @ h)
        n = tanh(x.n + U.n @ (r * h))
        return (1 - z) * h + z * n
