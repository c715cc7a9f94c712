"""LSTM without forget gate (Greff et al. 2015)."""

from riverrun.cells.cell import Cell, Initialise, sigmoid, tanh


class NFG(Cell):
    """No forget gate: the LSTM with peepholes with f = 1 (Greff et al. 2015, "LSTM: a search space odyssey",
    section 3, NFG).

    Without peepholes this is the LSTM of Hochreiter & Schmidhuber 1997.
    """

    gates, states = ("i", "g", "o"), ("h", "c")
    candidate = "g"
    initialise = Initialise(write=("i",))

    def step(x, U, p, h, c):
        i = sigmoid(x.i + U.i @ h + p.i * c)
        g = tanh(x.g + U.g @ h)
        c = c + i * g
        o = sigmoid(x.o + U.o @ h + p.o * c)
        return o * tanh(c), c
