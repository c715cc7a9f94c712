"""MUT2 of Jozefowicz et al. 2015, found by evolution."""

from riverrun.cells.cell import Cell, Initialise, sigmoid, tanh


class MUT2(Cell):
    """MUT2 (Jozefowicz, Zaremba & Sutskever 2015, "An empirical exploration of recurrent network architectures",
    section 5).

    Where the paper adds x itself to the reset gate, W.r x stands for it, since x need not be H wide. What remains
    is Cho's GRU: the projection is the one thing in which MUT2 differs from it.
    """

    gates, states = ("r", "z", "n"), ("h",)
    candidate = "n"
    initialise = Initialise(write=("z",))

    def step(x, U, h):
        z = sigmoid(x.z + U.z @ h)
        r = sigmoid(x.r + U.r @ h)
        n = tanh(U.n @ (r * h) + x.n)
        return n * z + h * (1 - z)
