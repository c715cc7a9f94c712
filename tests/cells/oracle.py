"""The cells, written a second time from their papers, in NumPy, step by step and gate by gate: the independent oracle.

Nothing here imports riverrun. Parameters come as riverrun names them (W.k, U.k, b.k, p.k), inputs and states as float64
arrays; a row vector v times a matrix M as the papers write it, M v, is `v @ M.T`. `run` gives the outputs of all steps
and the states at the end, for one row of the batch at a time, so that nothing can leak from one row to another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

Array = np.ndarray
Weights = Mapping[str, Array]
Step = Callable[[Weights, Array, tuple[Array, ...]], tuple[Array, ...]]


def logistic(a: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-a))


def affine(w: Weights, gate: str, x: Array) -> Array:
    """W x + b, without b in a layer without biases."""
    return w[f"W.{gate}"].dot(x) + w.get(f"b.{gate}", 0.0)


def net(w: Weights, gate: str, x: Array, h: Array) -> Array:
    """W x + U h + b."""
    return affine(w, gate, x) + w[f"U.{gate}"].dot(h)


def elman(w, x, state):
    return (np.tanh(net(w, "h", x, state[0])),)


def elman_logistic(w, x, state):
    return (logistic(net(w, "h", x, state[0])),)


def elman_relu(w, x, state):
    a = net(w, "h", x, state[0])
    return (np.where(a.real > 0.0, a, 0.0),)


def jordan(w, x, state):
    hidden = np.tanh(net(w, "h", x, state[0]))
    return (w["U.o"].dot(hidden) + w.get("b.o", 0.0),)


def lstm(w, x, state):
    h, c = state
    keep = logistic(net(w, "f", x, h)) * c
    new = keep + logistic(net(w, "i", x, h)) * np.tanh(net(w, "g", x, h))
    return logistic(net(w, "o", x, h)) * np.tanh(new), new


def odyssey(*, input_gate="own", forget_gate="own", output_gate="own", squash=np.tanh, output_squash=np.tanh):
    """Greff et al. 2015, section 2: z, i, f, c, o, y, with peepholes; the variants of section 3 change one each."""

    def step(w, x, state):
        y, c = state
        z = squash(net(w, "g", x, y))
        i = 1.0 if input_gate == "one" else logistic(net(w, "i", x, y) + w["p.i"] * c)
        if forget_gate == "own":
            f = logistic(net(w, "f", x, y) + w["p.f"] * c)
        else:
            f = {"one": 1.0, "coupled": 1.0 - i}[forget_gate]
        new = z * i + c * f
        o = 1.0 if output_gate == "one" else logistic(net(w, "o", x, y) + w["p.o"] * new)
        return output_squash(new) * o, new

    return step


def fgr(w, x, state):
    """Section 3, full gate recurrence: R_ii i + R_fi f + R_oi o in i, and so on, all of the step before."""
    y, c, i, f, o = state

    def gate(to, cell):
        into_f = "if_" if to == "f" else f"i{to}"
        old = w[f"U.{into_f}"].dot(i) + w[f"U.f{to}"].dot(f) + w[f"U.o{to}"].dot(o)
        return logistic(net(w, to, x, y) + w[f"p.{to}"] * cell + old)

    new_i, new_f = gate("i", c), gate("f", c)
    new_c = new_i * np.tanh(net(w, "g", x, y)) + new_f * c
    new_o = gate("o", new_c)
    return new_o * np.tanh(new_c), new_c, new_i, new_f, new_o


def gru(w, x, state):
    (h,) = state
    update = logistic(net(w, "z", x, h))
    candidate = np.tanh(net(w, "n", x, logistic(net(w, "r", x, h)) * h))
    return (h + update * (candidate - h),)


def gru_after(w, x, state):
    (h,) = state
    inner = w["U.n"].dot(h) + w.get("b.hn", 0.0)
    candidate = np.tanh(affine(w, "n", x) + logistic(net(w, "r", x, h)) * inner)
    return (candidate + logistic(net(w, "z", x, h)) * (h - candidate),)


def mut1(w, x, state):
    (h,) = state
    z = logistic(affine(w, "z", x))
    r = logistic(net(w, "r", x, h))
    candidate = np.tanh(w["U.n"].dot(r * h) + np.tanh(affine(w, "v", x)) + w.get("b.n", 0.0))
    return (candidate * z + h * (1.0 - z),)


def mut2(w, x, state):
    (h,) = state
    z = logistic(net(w, "z", x, h))
    r = logistic(affine(w, "r", x) + w["U.r"].dot(h))
    candidate = np.tanh(w["U.n"].dot(r * h) + affine(w, "n", x))
    return (candidate * z + h * (1.0 - z),)


def mut3(w, x, state):
    (h,) = state
    z = logistic(affine(w, "z", x) + w["U.z"].dot(np.tanh(h)))
    r = logistic(net(w, "r", x, h))
    candidate = np.tanh(w["U.n"].dot(r * h) + affine(w, "n", x))
    return (candidate * z + h * (1.0 - z),)


def mlstm(w, x, state):
    h, c = state
    return lstm(w, x, (affine(w, "m", x) * w["U.m"].dot(h), c))


def mingru(w, x, state):
    z = logistic(affine(w, "z", x))
    return ((1.0 - z) * state[0] + z * affine(w, "n", x),)


def minlstm(w, x, state):
    i, f = logistic(affine(w, "i", x)), logistic(affine(w, "f", x))
    return ((f * state[0] + i * affine(w, "g", x)) / (i + f),)


STEPS: dict[str, Step] = {
    "elman": elman,
    "elman-logistic": elman_logistic,
    "elman-relu": elman_relu,
    "jordan": jordan,
    "lstm": lstm,
    "peephole": odyssey(),
    "nig": odyssey(input_gate="one"),
    "nfg": odyssey(forget_gate="one"),
    "nog": odyssey(output_gate="one"),
    "niaf": odyssey(squash=lambda a: a),
    "noaf": odyssey(output_squash=lambda a: a),
    "cifg": odyssey(forget_gate="coupled"),
    "fgr": fgr,
    "gru": gru,
    "gru-after": gru_after,
    "mut1": mut1,
    "mut2": mut2,
    "mut3": mut3,
    "mlstm": mlstm,
    "mingru": mingru,
    "minlstm": minlstm,
}


def run(name: str, weights: Weights, x: Array, initial: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
    """x [T, B, I], initial [B, n] each -> outputs [T, B, n], final states [B, n] each."""
    steps, rows = x.shape[:2]
    outputs = np.full((steps, rows, initial[0].shape[1]), np.nan, dtype=x.dtype)
    final = tuple(np.full_like(state, np.nan) for state in initial)
    for row in range(rows):
        state = tuple(s[row] for s in initial)
        for t in range(steps):
            state = STEPS[name](weights, x[t, row], state)
            outputs[t, row] = state[0]
        for place, value in zip(final, state, strict=True):
            place[row] = value
    return outputs, final


def gradients(
    name: str, weights: Weights, x: Array, initial: tuple[Array, ...], along: Array, ends: tuple[Array, ...]
) -> dict[str, Array]:
    """The gradient of sum(outputs * along) + sum(final * ends) to every parameter, to "x" and to "state.N".

    By the complex step, f'(a) = Im f(a + ih) / h with h = 1e-30: exact to rounding, and no autograd is involved.
    """
    arrays = {**weights, "x": x, **{f"state.{n}": s for n, s in enumerate(initial)}}
    result = {}
    for key, array in arrays.items():
        slope = np.empty(array.shape)
        for place in np.ndindex(*array.shape):
            moved = {k: v.astype(complex) for k, v in arrays.items()}
            moved[key][place] += 1e-30j
            states = tuple(moved[f"state.{n}"] for n in range(len(initial)))
            outputs, final = run(name, moved, moved["x"], states)
            total = (outputs * along).sum() + sum((f * e).sum() for f, e in zip(final, ends, strict=True))
            slope[place] = total.imag / 1e-30
        result[key] = slope
    return result
