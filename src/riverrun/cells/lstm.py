"""Long short-term memory, with forget gate and without peepholes: the LSTM of the lectures and of torch."""

from riverrun.cells.cell import Cell, Initialise, sigmoid, tanh


class LSTM(Cell):
    """Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000).

    Equal to torch.nn.LSTM, whose two biases are one here. The surprise: the forget gate's bias starts at 1
    (Jozefowicz et al. 2015, section 4).
    """

    gates, states = ("i", "f", "g", "o"), ("h", "c")
    candidate = "g"
    initialise = Initialise(forget=("f",), write=("i",))

    def step(x, U, h, c):
        i = sigmoid(x.i + U.i @ h)
        f = sigmoid(x.f + U.f @ h)
        g = tanh(x.g + U.g @ h)
        o = sigmoid(x.o + U.o @ h)
        c = f * c + i * g
        return o * tanh(c), c
