"""Multiplicative LSTM: each input has its own transition."""

from riverrun.cells.cell import Cell, Initialise, sigmoid, tanh


class MLSTM(Cell):
    """Multiplicative LSTM: m = (W_m x) * (U_m h) takes h's place in the gates (Krause, Lu, Murray & Renals 2016,
    "Multiplicative LSTM for sequence modelling", section 3; the output as Radford et al. 2017 write it, o
    tanh(c)).

    The surprise: the gates wait for m, so a step has two products, one after the other. W_m x has a bias here, as
    every x.k has; the paper writes none, and it starts at 0.
    """

    gates, states = ("m", "i", "f", "g", "o"), ("h", "c")
    candidate = "g"
    initialise = Initialise(forget=("f",), write=("i",))

    def step(x, U, h, c):
        m = x.m * (U.m @ h)
        i = sigmoid(x.i + U.i @ m)
        f = sigmoid(x.f + U.f @ m)
        g = tanh(x.g + U.g @ m)
        o = sigmoid(x.o + U.o @ m)
        c = f * c + i * g
        return o * tanh(c), c
