"""LSTM without input gate (Greff et al. 2015)."""

from riverrun.cells.cell import Cell, Initialise, sigmoid, tanh


class NIG(Cell):
    """No input gate: the LSTM with peepholes with i = 1 (Greff et al. 2015, "LSTM: a search space odyssey",
    section 3, NIG).
    """

    gates, states = ("f", "g", "o"), ("h", "c")
    candidate = "g"
    initialise = Initialise(forget=("f",))

    def step(x, U, p, h, c):
        f = sigmoid(x.f + U.f @ h + p.f * c)
        g = tanh(x.g + U.g @ h)
        c = f * c + g
        o = sigmoid(x.o + U.o @ h + p.o * c)
        return o * tanh(c), c
