"""The plain torch script that a user would write without riverrun: the peer of the default character model.

2 x 512 nn.LSTM, dropout 0.3, AdamW 0.003 annealed by elapsed time (cosine), 32 lanes of 100 steps with the state
carried on, gradients clipped to norm 1, float32. Trains on the first 90 % of a text and reports nats per character on
the last 10 %, read in one stream with the state carried.

    python benchmarks/plain_torch.py TEXT[.gz] --minutes 15
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

State = tuple[Tensor, Tensor]


class PlainModel(nn.Module):
    """Embedding, nn.LSTM, dropout, linear."""

    def __init__(self, vocabulary: int, hidden: int = 512, layers: int = 2, dropout: float = 0.3) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, hidden)
        self.lstm = nn.LSTM(hidden, hidden, layers, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden, vocabulary)

    def forward(self, inputs: Tensor, state: State | None) -> tuple[Tensor, State]:
        output, state = self.lstm(self.embedding(inputs), state)  # [T, B, H]
        return self.output(self.dropout(output)), state


def train(model: PlainModel, ids: Tensor, minutes: float, lanes: int = 32, window: int = 100) -> int:
    """Train for `minutes`; returns the number of characters seen."""
    length = (len(ids) - 1) // lanes
    inputs = ids[: length * lanes].view(lanes, length).t().contiguous()  # [length, lanes]
    targets = ids[1 : length * lanes + 1].view(lanes, length).t().contiguous()
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.003)
    model.train()
    start, position, seen, state = time.perf_counter(), 0, 0, None
    while (progress := (time.perf_counter() - start) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = 0.003 * (1 + math.cos(math.pi * progress)) / 2
        if position >= length:
            position, state = 0, None
        x, y = inputs[position : position + window], targets[position : position + window]
        position += window
        logits, state = model(x, state)
        state = (state[0].detach(), state[1].detach())
        optimiser.zero_grad()
        F.cross_entropy(logits.flatten(0, 1), y.flatten()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        seen += x.numel()
    return seen


@torch.no_grad()
def evaluate(model: PlainModel, ids: Tensor, window: int = 2000) -> float:
    """Nats per character over the whole part, one stream, state carried."""
    model.eval()
    state, total = None, 0.0
    for start in range(0, len(ids) - 1, window):
        y = ids[start + 1 : start + 1 + window]
        logits, state = model(ids[start : start + len(y), None], state)
        total += float(F.cross_entropy(logits[:, 0], y, reduction="sum"))
    return total / (len(ids) - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    raw = arguments.text.read_bytes()
    text = (gzip.decompress(raw) if arguments.text.suffix == ".gz" else raw).decode()
    letters = sorted(set(text))
    index = {letter: i for i, letter in enumerate(letters)}
    ids = torch.tensor([index[letter] for letter in text])
    cut = int(0.9 * len(ids))
    torch.manual_seed(arguments.seed)
    model = PlainModel(len(letters))
    seen = train(model, ids[:cut], arguments.minutes)
    speed = seen / (60 * arguments.minutes)
    print(
        json.dumps({"nats": evaluate(model, ids[cut:]), "characters_per_second": speed, "minutes": arguments.minutes})
    )


if __name__ == "__main__":
    main()
