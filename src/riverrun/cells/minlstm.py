"""minLSTM: an LSTM whose gates ignore the state, so that all steps run at once."""

from riverrun.cells.cell import Cell, Initialise, sigmoid


class MinLSTM(Cell):
    """minLSTM: h = f/(f+i) h + i/(f+i) g with gates and candidate of x alone (Feng et al. 2024, "Were RNNs all we
    needed?", arXiv 2410.01201, section 3.2, the length-independent form).

    Nothing but h itself is recurrent, and h enters linearly: the engine runs it as a parallel scan over time.
    """

    gates, states = ("i", "f", "g"), ("h",)
    candidate = "g"
    initialise = Initialise(forget=("f",), write=("i",))

    def step(x, h):
        i = sigmoid(x.i)
        f = sigmoid(x.f)
        g = x.g
        return f / (f + i) * h + i / (f + i) * g
