"""LSTM without output activation function (Greff et al. 2015)."""

from riverrun.cells.cell import Cell, Initialise, sigmoid, tanh


class NOAF(Cell):
    """No output activation: the LSTM with peepholes with h = o c (Greff et al. 2015, "LSTM: a search space
    odyssey", section 3, NOAF).

    The surprise, which the paper reports too: without the tanh the output is unbounded and may diverge.
    """

    gates, states = ("i", "f", "g", "o"), ("h", "c")
    candidate = "g"
    initialise = Initialise(forget=("f",), write=("i",))

    def step(x, U, p, h, c):
        i = sigmoid(x.i + U.i @ h + p.i * c)
        f = sigmoid(x.f + U.f @ h + p.f * c)
        g = tanh(x.g + U.g @ h)
        c = f * c + i * g
        o = sigmoid(x.o + U.o @ h + p.o * c)
        return o * c, c
