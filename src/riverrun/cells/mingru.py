"""minGRU: a GRU whose gates ignore the state, so that all steps run at once."""

from riverrun.cells.cell import Cell, Initialise, sigmoid


class MinGRU(Cell):
    """minGRU: h = (1 - z) h + z n with z = sigmoid(W_z x + b_z), n = W_n x + b_n (Feng et al. 2024, "Were RNNs
    all we needed?", arXiv 2410.01201, section 3.1).

    Nothing but h itself is recurrent, and h enters linearly: the engine runs it as a parallel scan over time.
    """

    gates, states = ("z", "n"), ("h",)
    candidate = "n"
    initialise = Initialise(write=("z",))

    def step(x, h):
        z = sigmoid(x.z)
        n = x.n
        return (1 - z) * h + z * n
