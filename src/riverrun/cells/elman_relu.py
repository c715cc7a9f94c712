"""Elman's simple recurrent network with rectified linear units."""

from riverrun.cells.cell import Cell, Initialise, relu


class ElmanReLU(Cell):
    """Simple recurrent network with ReLU: h = relu(W x + U h + b) (Le, Jaitly & Hinton 2015, "A simple way to
    initialize recurrent networks of rectified linear units", section 2).

    The surprise: U starts at the identity, without which it does not train on long sequences. Equal to
    torch.nn.RNN(nonlinearity="relu").
    """

    gates, states = ("h",), ("h",)
    initialise = Initialise(recurrent="identity")

    def step(x, U, h):
        return relu(x.h + U.h @ h)
