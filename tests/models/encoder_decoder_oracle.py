"""An encoder-decoder once more, in NumPy, from the papers' equations: one pair, one step, one position after another.

Elman cells, one layer a side. Nothing of riverrun is used: weights come as arrays under their names.
"""

from __future__ import annotations

import numpy as np


def softmax(scores):
    powers = np.exp(np.array(scores) - np.max(scores))
    return powers / powers.sum()


def logistic(x):
    return 1 / (1 + np.exp(-x))


def elman(w, prefix, xs, h):
    """h_t = tanh(W x_t + U h_{t-1} + b), all of them."""
    found = []
    for x in xs:
        h = np.tanh(w[prefix + "W.h"] @ x + w[prefix + "U.h"] @ h + w[prefix + "b.h"])
        found.append(h)
    return found


def encoded(w, o, source, width):
    """h_s for each position, and the state that the decoder starts from."""
    table = w["target_embedding.weight" if o.shared else "source_embedding.weight"]
    vectors = [table[token] for token in source]
    if o.bidirectional:
        ahead = elman(w, "encoder.layers.0.forward.", vectors, np.zeros(width))
        back = elman(w, "encoder.layers.0.reverse.", vectors[::-1], np.zeros(width))[::-1]
        h = [np.concatenate(pair) for pair in zip(ahead, back, strict=True)]
        ends = [ahead[-1], back[0]]
    elif o.reverse_source:
        h = elman(w, "encoder.layers.0.forward.", vectors[::-1], np.zeros(width))[::-1]
        ends = [h[0]]
    else:
        h = elman(w, "encoder.layers.0.forward.", vectors, np.zeros(width))
        ends = [h[-1]]
    if o.bridge == "copy":
        return h, sum(ends) / len(ends)
    if o.bridge == "zero":
        return h, np.zeros(width)
    return h, np.tanh(w["bridge.layers.0.0.weight"] @ np.concatenate(ends) + w["bridge.layers.0.0.bias"])


def score(w, o, s, h, position, covered, before):
    """e_ts."""
    if o.attention == "dot":
        halves = [h[position]] if len(h[position]) == len(s) else np.split(h[position], 2)
        return s @ sum(halves)
    if o.attention == "general":
        return s @ (w["attention.key"] @ h[position])
    inside = w["attention.query"] @ s + w["attention.key"] @ h[position] + w["attention.bias"]
    if o.coverage:
        inside = inside + w["attention.coverage"] * covered[position]
    for number in range(o.location):
        f = 0.0
        for place in range(-o.location_reach, o.location_reach + 1):
            if 0 <= position + place < len(h):
                f += w["attention.filters"][number, place + o.location_reach] * before[position + place]
        inside = inside + w["attention.features"][:, number] * f
    return w["attention.v"] @ np.tanh(inside)


def pair(w, o, source, target, copies, width):
    """What one pair costs: (nats, total), and its weights [T, S]. target ends with the end token."""
    h, s = encoded(w, o, source, width)
    covered, before, fed = np.zeros(len(h)), np.zeros(len(h)), np.zeros(width)
    token, nats, total, alignment = 0, 0.0, 0.0, []  # 0: the begin token

    def look(query):
        a = softmax([score(w, o, query, h, position, covered, before) for position in range(len(h))])
        return a, sum(a[position] * h[position] for position in range(len(h)))

    for wanted in target:
        x = y = w["target_embedding.weight"][token]
        if o.attention == "additive":
            a, c = look(s)
            x = np.concatenate([y, c])
        elif o.input_feeding:
            x = np.concatenate([y, fed])
        (s,) = elman(w, "decoder.layers.0.forward.", [x], s)
        if o.attention in ("dot", "general", "concat"):
            a, c = look(s)
        r = s
        if o.attention != "none":
            r = np.tanh(w["combine.weight"] @ np.concatenate([c, s]) + w["combine.bias"])
            fed = r
        matrix, bias = (w["target_embedding.weight"], w["output_bias"]) if o.tied else (
            w["output.weight"], w["output.bias"]
        )  # fmt: skip
        p = softmax(matrix @ r + bias)
        if o.copy:
            g = logistic((w["gate.weight"] @ np.concatenate([c, s, y]) + w["gate.bias"])[0])
            p = g * p
            for position, copied in enumerate(copies):
                p[2 if copied < 0 else copied] += (1 - g) * a[position]  # 2: the unknown token
        nats -= np.log(p[wanted])
        smooth = o.label_smoothing
        total -= (1 - smooth) * np.log(p[wanted]) + smooth * np.log(p).mean()
        if o.attention != "none":
            if o.coverage:
                total += o.coverage_loss * np.minimum(a, covered).sum()
            covered, before = covered + a, a
            alignment.append(a)
        token = wanted
    return nats, total, np.array(alignment)
