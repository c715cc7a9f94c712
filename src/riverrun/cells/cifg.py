"""LSTM with coupled input and forget gate (Greff et al. 2015)."""

from riverrun.cells.cell import Cell, Initialise, sigmoid, tanh


class CIFG(Cell):
    """Coupled input and forget gate: the LSTM with peepholes with f = 1 - i (Greff et al. 2015, "LSTM: a search
    space odyssey", section 3, CIFG).
    """

    gates, states = ("i", "f", "g", "o"), ("h", "c")
    candidate = "g"
    initialise = Initialise(write=("i",))

    def step(x, U, p, h, c):
        i = sigmoid(x.i + U.i @ h + p.i * c)
        f = 1 - i
        g = tanh(x.g + U.g @ h)
        c = f * c + i * g
        o = sigmoid(x.o + U.o @ h + p.o * c)
        return o * tanh(c), c
