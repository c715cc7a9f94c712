"""LSTM without output gate (Greff et al. 2015)."""

from riverrun.cells.cell import Cell, Initialise, sigmoid, tanh


class NOG(Cell):
    """No output gate: the LSTM with peepholes with o = 1 (Greff et al. 2015, "LSTM: a search space odyssey",
    section 3, NOG).
    """

    gates, states = ("i", "f", "g"), ("h", "c")
    candidate = "g"
    initialise = Initialise(forget=("f",), write=("i",))

    def step(x, U, p, h, c):
        i = sigmoid(x.i + U.i @ h + p.i * c)
        f = sigmoid(x.f + U.f @ h + p.f * c)
        g = tanh(x.g + U.g @ h)
        c = f * c + i * g
        return tanh(c), c
