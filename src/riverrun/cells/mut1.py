"""MUT1 of Jozefowicz et al. 2015, found by evolution."""

from riverrun.cells.cell import Cell, Initialise, sigmoid, tanh


class MUT1(Cell):
    """MUT1, the best cell of an evolutionary search (Jozefowicz, Zaremba & Sutskever 2015, "An empirical
    exploration of recurrent network architectures", section 5).

    Where the paper adds tanh(x) to the candidate, tanh(W.v x + b.v) stands for it, since x need not be H wide.
    """

    gates, states = ("r", "z", "n"), ("h",)
    candidate = "n"
    initialise = Initialise(write=("z",))

    def step(x, U, b, h):
        z = sigmoid(x.z)
        r = sigmoid(x.r + U.r @ h)
        n = tanh(U.n @ (r * h) + tanh(x.v) + b.n)
        return n * z + h * (1 - z)
