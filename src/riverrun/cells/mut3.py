"""MUT3 of Jozefowicz et al. 2015, found by evolution."""

from riverrun.cells.cell import Cell, Initialise, sigmoid, tanh


class MUT3(Cell):
    """MUT3 (Jozefowicz, Zaremba & Sutskever 2015, "An empirical exploration of recurrent network architectures",
    section 5).

    It differs from Cho's GRU in z, which sees tanh(h) instead of h.
    """

    gates, states = ("r", "z", "n"), ("h",)
    candidate = "n"
    initialise = Initialise(write=("z",))

    def step(x, U, h):
        z = sigmoid(x.z + U.z @ tanh(h))
        r = sigmoid(x.r + U.r @ h)
        n = tanh(U.n @ (r * h) + x.n)
        return n * z + h * (1 - z)
