"""Jordan's network: not the hidden units but the output is fed back."""

from typing import ClassVar

from riverrun.cells.cell import Cell, tanh


class Jordan(Cell):
    """Network whose output is fed back: h = tanh(W_h x + U_h y + b_h), y = U_o h + b_o (Jordan 1986, "Serial order: a
    parallel distributed processing approach").

    y, the output, is the only state and has a width of its own, Y (a layer's output_size). Forcing y by the
    wanted outputs is teacher forcing. y is linear, so that it can be forced by any real series; Jordan's units
    are logistic, and his "plan" is the input x; the decay of his state units is left out.
    """

    gates, states = ("h",), ("y",)
    sizes: ClassVar = {"y": "Y"}

    def step(x, U, b, y):
        h = tanh(x.h + U.h @ y)
        return U.o @ h + b.o
