"""The cell of a user, in none of riverrun's files: one gate shares the memory between old and new by their squares."""

from riverrun.cells import Cell, sigmoid, sqrt, tanh


class Squares(Cell):
    """f and sqrt(1 - f^2) weigh old and new, so that unit variance stays unit variance."""

    gates, states = ("f", "o", "g"), ("h", "c")

    def step(x, U, p, h, c):
        f = sigmoid(x.f + U.f @ h + p.f * c)
        o = sigmoid(x.o + U.o @ h)
        g = tanh(x.g + U.g @ h)
        c = f * c + sqrt(1 - f * f) * g
        return o * tanh(c), c
