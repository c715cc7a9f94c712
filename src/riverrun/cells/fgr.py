"""LSTM with full gate recurrence (Greff et al. 2015; Hochreiter & Schmidhuber 1997)."""

from riverrun.cells.cell import Cell, Initialise, sigmoid, tanh


class FGR(Cell):
    """Full gate recurrence: the LSTM with peepholes whose every gate sees all gates of the step before (Greff et
    al. 2015, "LSTM: a search space odyssey", section 3, FGR, as in Hochreiter & Schmidhuber 1997).

    The gates i, f, o are states too; in `step` j, k, q are their new values. U.fi leads from the old f to the new
    i, and so for all nine pairs (`U.if_`, since `if` is taken).
    """

    gates, states = ("i", "f", "g", "o"), ("h", "c", "i", "f", "o")
    candidate = "g"
    initialise = Initialise(forget=("f",), write=("i",))

    def step(x, U, p, h, c, i, f, o):
        j = sigmoid(x.i + U.i @ h + p.i * c + U.ii @ i + U.fi @ f + U.oi @ o)
        k = sigmoid(x.f + U.f @ h + p.f * c + U.if_ @ i + U.ff @ f + U.of @ o)
        g = tanh(x.g + U.g @ h)
        c = k * c + j * g
        q = sigmoid(x.o + U.o @ h + p.o * c + U.io @ i + U.fo @ f + U.oo @ o)
        return q * tanh(c), c, j, k, q
