"""The peers of decoding: the same encoder-decoder in torch.nn, and searches as one writes them without riverrun.

One takes a word at a time; the other a batch, padded, with all rows until the last word is done. Both find what
riverrun's searches find: greedy, and a beam whose ended hypotheses keep their places and whose beginnings are dropped
when none of their continuations can win.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

BEGIN, END = 0, 1
LOWEST = -1e30

State = tuple[Tensor, Tensor]


class PlainEncoderDecoder(nn.Module):
    """nn.Embedding, nn.LSTM both ways, a tanh bridge, Luong's general attention, nn.LSTM, two linear layers."""

    def __init__(self, source: int, target: int, embedding: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.source_embedding = nn.Embedding(source, embedding)
        self.target_embedding = nn.Embedding(target, embedding)
        self.encoder = nn.LSTM(embedding, hidden, layers, bidirectional=True)
        self.bridge = nn.ModuleList(nn.Linear(2 * hidden, hidden) for _ in range(2 * layers))
        self.decoder = nn.LSTM(embedding, hidden, layers)
        self.keys = nn.Linear(2 * hidden, hidden, bias=False)
        self.combine = nn.Linear(3 * hidden, hidden)
        self.output = nn.Linear(hidden, target)

    def encode(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor, State]:
        """ids [S, B] -> values [B, S, 2 H], keys [B, S, H], padding [B, S], the decoder's first state."""
        packed = pack_padded_sequence(self.source_embedding(ids), lengths, enforce_sorted=False)
        output, (h, c) = self.encoder(packed)
        values = pad_packed_sequence(output)[0].transpose(0, 1)  # [B, S, 2 H]
        first = []
        for i, state in enumerate((h, c)):
            sides = torch.cat([state[0::2], state[1::2]], -1)  # [layers, B, 2 H]
            first.append(torch.stack([torch.tanh(self.bridge[2 * n + i](one)) for n, one in enumerate(sides)]))
        padding = torch.arange(len(ids)) >= lengths[:, None]
        return values, self.keys(values), padding, (first[0], first[1])

    def step(self, values: Tensor, keys: Tensor, padding: Tensor, state: State, token: Tensor) -> tuple[Tensor, State]:
        """token [N] -> log-probabilities [N, V] of the next one, and the state. BEGIN and UNKNOWN are not written."""
        output, state = self.decoder(self.target_embedding(token)[None], state)
        query = output[0]  # [N, H]
        scores = torch.bmm(keys, query[:, :, None])[:, :, 0].masked_fill(padding, LOWEST)
        context = torch.bmm(scores.softmax(-1)[:, None], values)[:, 0]  # [N, 2 H]
        logits = self.output(torch.tanh(self.combine(torch.cat([context, query], -1))))
        log_p = logits.log_softmax(-1)
        log_p[:, BEGIN] = log_p[:, 2] = -math.inf
        return log_p, state


def plain(model: Any) -> PlainEncoderDecoder:
    """riverrun's EncoderDecoder with its weights in torch.nn's modules. Raises SystemExit where it has more to it."""
    options = model.options
    wanted = {"cell": "lstm", "attention": "general", "bridge": "tanh", "bidirectional": True, "bias": True}
    lacks = {"input_feeding": False, "copy": False, "tied": False, "shared": False, "norm": False, "projection": 0,
             "skip": "none", "learned_initial": False, "encoder_layers": 0, "input_depth": 1, "hidden_depth": 1,
             "output_depth": 1}  # fmt: skip
    for name, value in (wanted | lacks).items():
        if getattr(options, name) != value:
            raise SystemExit(f"the peers know models with {name} = {value!r}; this one has {getattr(options, name)!r}.")
    given = {name: value.detach() for name, value in model.state_dict().items()}
    source, embedding = given["source_embedding.weight"].shape
    made = PlainEncoderDecoder(source, model.vocabulary, embedding, options.hidden, options.layers)
    state = {name: given[name] for name in made.state_dict() if name in given}
    for side in ("encoder", "decoder"):
        for layer in range(options.layers):
            for direction, suffix in (("forward", ""), ("reverse", "_reverse")):
                prefix = f"{side}.layers.{layer}.{direction}."
                if f"{prefix}W.i" not in given:
                    continue
                for ours, theirs in (("W", "weight_ih"), ("U", "weight_hh"), ("b", "bias_ih")):
                    gates = torch.cat([given[f"{prefix}{ours}.{gate}"] for gate in "ifgo"])
                    state[f"{side}.{theirs}_l{layer}{suffix}"] = gates
                state[f"{side}.bias_hh_l{layer}{suffix}"] = torch.zeros_like(gates)
    for layer, maps in enumerate(model.bridge.layers):
        for i, one in enumerate(maps):
            state |= {f"bridge.{2 * layer + i}.weight": one.weight, f"bridge.{2 * layer + i}.bias": one.bias}
    state["keys.weight"] = given["attention.key"]
    made.load_state_dict(state)
    return made.eval()


def penalty(n: int, alpha: float) -> float:
    """GNMT's length penalty of n predictions."""
    return ((5 + n) / 6) ** alpha


@torch.no_grad()
def greedy_alone(model: PlainEncoderDecoder, ids: list[int], limit: int) -> tuple[int, ...]:
    """One word."""
    memory = model.encode(torch.tensor(ids)[:, None], torch.tensor([len(ids)]))
    *memory, state = memory
    token, found = torch.tensor([BEGIN]), []
    while len(found) < limit:
        log_p, state = model.step(*memory, state, token)
        token = log_p.argmax(-1)
        if (chosen := int(token)) == END:
            break
        found.append(chosen)
    return tuple(found)


@torch.no_grad()
def greedy_batched(model: PlainEncoderDecoder, ids: Tensor, lengths: Tensor, limit: int) -> list[tuple[int, ...]]:
    """ids [S, B], padded."""
    *memory, state = model.encode(ids, lengths)
    token, steps = torch.full((len(lengths),), BEGIN), []
    ended = torch.zeros(len(lengths), dtype=torch.bool)
    while len(steps) < limit and not ended.all():
        log_p, state = model.step(*memory, state, token)
        token = log_p.argmax(-1)
        ended |= token == END
        steps.append(token)
    return [tuple(row[: row.index(END)] if END in row else row) for row in torch.stack(steps, 1).tolist()]


@torch.no_grad()
def beam_alone(
    model: PlainEncoderDecoder, ids: list[int], width: int, alpha: float, limit: int
) -> tuple[tuple[int, ...], float]:
    """The best hypothesis of one word, and its score."""
    values, keys, padding, state = model.encode(torch.tensor(ids)[:, None], torch.tensor([len(ids)]))
    beginnings: list[tuple[int, ...]] = [()]
    total, token = torch.zeros(1, dtype=torch.float64), torch.tensor([BEGIN])
    ended, best, answer = 0, -math.inf, ()
    for position in range(limit + 1):
        rows = len(beginnings)
        log_p, state = model.step(
            values.expand(rows, -1, -1), keys.expand(rows, -1, -1), padding.expand(rows, -1), state, token
        )
        if position == limit:
            log_p = log_p.masked_fill(torch.arange(log_p.shape[1]) != END, -math.inf)
        extensions = (total[:, None] + log_p).flatten()
        value, place = extensions.topk(min(width - ended, len(extensions)))
        parents, tokens, totals, grown = [], [], [], []
        for score, at in zip(value.tolist(), place.tolist(), strict=True):
            parent, one = divmod(at, log_p.shape[1])
            if score == -math.inf:
                continue
            if one == END:
                ended += 1
                if score / penalty(position + 1, alpha) > best:
                    best, answer = score / penalty(position + 1, alpha), beginnings[parent]
            else:
                parents.append(parent)
                tokens.append(one)
                totals.append(score)
                grown.append((*beginnings[parent], one))
        able = [i for i, score in enumerate(totals) if score / penalty(limit + 1, alpha) > best]
        if not able:
            break
        beginnings = [grown[i] for i in able]
        total, token = (
            torch.tensor([totals[i] for i in able], dtype=torch.float64),
            torch.tensor([tokens[i] for i in able]),
        )
        chosen = torch.tensor([parents[i] for i in able])
        state = (state[0][:, chosen], state[1][:, chosen])
    return answer, best


@torch.no_grad()
def beam_batched(
    model: PlainEncoderDecoder, ids: Tensor, lengths: Tensor, width: int, alpha: float, limit: int
) -> list[tuple[tuple[int, ...], float]]:
    """The best hypothesis of each word and its score; B * width rows until the last word is done."""
    values, keys, padding, state = model.encode(ids, lengths)
    B = len(lengths)
    values, keys, padding = (one.repeat_interleave(width, 0) for one in (values, keys, padding))
    state = (state[0].repeat_interleave(width, 1), state[1].repeat_interleave(width, 1))
    total = torch.full((B, width), -math.inf, dtype=torch.float64)
    total[:, 0] = 0.0
    token, tokens = torch.full((B * width,), BEGIN), torch.zeros(B, width, 0, dtype=torch.int64)
    left, best = torch.full((B,), width), torch.full((B,), -math.inf, dtype=torch.float64)
    answers: list[tuple[int, ...]] = [()] * B
    rank, base = torch.arange(width), torch.arange(B)[:, None] * width
    for position in range(limit + 1):
        log_p, state = model.step(values, keys, padding, state, token)
        V = log_p.shape[1]
        if position == limit:
            log_p = log_p.masked_fill(torch.arange(V) != END, -math.inf)
        total, place = (total.flatten()[:, None] + log_p).view(B, width * V).topk(width, 1)
        parent, token = place // V, place % V
        taken = (rank < left[:, None]) & (total > -math.inf)
        done = taken & (token == END)
        score = total / penalty(position + 1, alpha)
        tokens = tokens.gather(1, parent[:, :, None].expand(-1, -1, position))  # [B, width, position]
        for b, k in done.nonzero().tolist():
            if score[b, k] > best[b]:
                best[b], answers[b] = score[b, k], tuple(tokens[b, k].tolist())
        left = left - done.sum(1)
        live = taken & ~done & (total / penalty(limit + 1, alpha) > best[:, None])
        if not live.any():
            break
        total = total.masked_fill(~live, -math.inf)
        tokens = torch.cat([tokens, token[:, :, None]], 2)
        rows, token = (base + parent).flatten(), token.flatten()
        state = (state[0][:, rows], state[1][:, rows])
    return list(zip(answers, best.tolist(), strict=True))
