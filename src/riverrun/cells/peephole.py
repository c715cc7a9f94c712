"""LSTM whose gates look at the cell state: the base of Greff et al.'s comparison."""

from riverrun.cells.cell import Cell, Initialise, sigmoid, tanh


class Peephole(Cell):
    """LSTM with peepholes (Gers & Schmidhuber 2000, "Recurrent nets that time and count"; Greff et al. 2015,
    section 2, "vanilla").

    The surprise: i and f see the old cell state, o sees the new one.
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
        return o * tanh(c), c
