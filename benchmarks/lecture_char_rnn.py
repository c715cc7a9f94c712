"""The lecture's character RNN, written anew in NumPy from its equations: the peer of min-char-rnn's setting.

    h_t = tanh(W_xh x_t + W_hh h_{t-1} + b_h),  y_t = W_hy h_t + b_y,  loss = sum_t -log softmax(y_t)[target_t]

One stream, 25 steps of truncated back-propagation with the state carried on, gradients clipped to [-5, 5], Adagrad 0.1
(lecture 003, appendix; Karpathy's 112-line program is its model). As there: x_t is a one-hot vector and every product
is written out as a product, so its speed is that of the lecture's program.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass
class Weights:
    """The five parameters; H hidden units, V characters."""

    W_xh: Array  # [H, V]
    W_hh: Array  # [H, H]
    W_hy: Array  # [V, H]
    b_h: Array  # [H, 1]
    b_y: Array  # [V, 1]

    def all(self) -> list[Array]:
        return [self.W_xh, self.W_hh, self.W_hy, self.b_h, self.b_y]


def initial(hidden: int, vocabulary: int, seed: int) -> Weights:
    """Normal weights of standard deviation 0.01, zero biases."""
    random = np.random.default_rng(seed)
    return Weights(
        random.normal(size=(hidden, vocabulary)) * 0.01,
        random.normal(size=(hidden, hidden)) * 0.01,
        random.normal(size=(vocabulary, hidden)) * 0.01,
        np.zeros((hidden, 1)),
        np.zeros((vocabulary, 1)),
    )


def loss_and_gradients(w: Weights, inputs: Array, targets: Array, h: Array) -> tuple[float, list[Array], Array]:
    """Loss summed over the window, the five clipped gradients, and the state after it."""
    vocabulary = len(w.b_y)
    x, hs, p = [], [h], []
    loss = 0.0
    for character, target in zip(inputs, targets, strict=True):
        one_hot = np.zeros((vocabulary, 1))
        one_hot[character] = 1
        x.append(one_hot)
        hs.append(np.tanh(w.W_xh @ one_hot + w.W_hh @ hs[-1] + w.b_h))
        y = w.W_hy @ hs[-1] + w.b_y
        e = np.exp(y)
        p.append(e / e.sum())
        loss -= float(np.log(p[-1][target, 0]))
    gradients = [np.zeros_like(v) for v in w.all()]
    dW_xh, dW_hh, dW_hy, db_h, db_y = gradients
    dh_next = np.zeros_like(h)
    for t in reversed(range(len(inputs))):
        dy = p[t].copy()
        dy[targets[t]] -= 1
        dW_hy += dy @ hs[t + 1].T
        db_y += dy
        da = (1 - hs[t + 1] ** 2) * (w.W_hy.T @ dy + dh_next)
        db_h += da
        dW_xh += da @ x[t].T
        dW_hh += da @ hs[t].T
        dh_next = w.W_hh.T @ da
    for g in gradients:
        np.clip(g, -5, 5, out=g)
    return loss, gradients, hs[-1]


def train(w: Weights, ids: Array, *, windows: int, length: int = 25, rate: float = 0.1) -> list[float]:
    """Train in place over `windows` windows of `length` characters; returns the loss per character of each window."""
    memory = [np.zeros_like(v) for v in w.all()]
    losses, position = [], 0
    h = np.zeros((len(w.b_h), 1))
    for _ in range(windows):
        if position + length + 1 >= len(ids):
            position, h = 0, np.zeros_like(h)
        inputs, targets = ids[position : position + length], ids[position + 1 : position + length + 1]
        loss, gradients, h = loss_and_gradients(w, inputs, targets, h)
        for v, g, m in zip(w.all(), gradients, memory, strict=True):
            m += g * g
            v -= rate * g / np.sqrt(m + 1e-8)
        losses.append(loss / length)
        position += length
    return losses
