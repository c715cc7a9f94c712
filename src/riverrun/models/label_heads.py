"""Heads: from a vector to labels: one of them, several, or a place on a scale; what each costs and how likely it is.

    one       p = softmax(W v + b)                                            -ln p_y
    several   p_k = logistic(w_k . v + b_k), each for itself                  - sum_k ln p_k or ln (1 - p_k)
    ordered   P(y > k) = logistic(w . v - c_k), c_1 < c_2 < ...               -ln (P(y > k - 1) - P(y > k))

`ordered` is the proportional-odds model (McCullagh 1980, "Regression models for ordinal data"): a text's place on the
scale is one number, and the cuts between neighbouring labels are learnt with it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from riverrun.data.labels import Labels


class Head(nn.Module, ABC):
    """The contract: logits of a vector, the probabilities that they mean, and what targets cost."""

    @abstractmethod
    def forward(self, vectors: Tensor) -> Tensor:
        """[B, n] -> logits [B, C] (of a scale [B, C - 1])."""

    @abstractmethod
    def probabilities(self, logits: Tensor) -> Tensor:
        """[B, C]: of one label and of a scale they sum to 1; of several labels each is for itself."""

    @abstractmethod
    def log_probabilities(self, logits: Tensor) -> Tensor:
        """The logarithms of the same, right also where a probability is 0 or 1 to the last bit."""

    def log_odds(self, logits: Tensor) -> Tensor:
        """[B]: ln of how likely the likeliest label is beside all others together."""
        log_p = self.log_probabilities(logits)
        best = log_p.argmax(1, keepdim=True)
        return log_p.gather(1, best)[:, 0] - log_p.scatter(1, best, -math.inf).logsumexp(1)

    @abstractmethod
    def costs(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """What is minimised, with gradient, and what is shown, plain nats without: both of each example, [B]."""


class OneLabel(Head):
    """A softmax over labels. weights: of each label's examples in what is minimised."""

    weights: Tensor

    def __init__(self, width: int, weights: Tensor, smoothing: float) -> None:
        super().__init__()
        self.linear = _linear(width, len(weights))
        self.register_buffer("weights", weights, persistent=False)
        self.smoothing = smoothing

    def forward(self, vectors: Tensor) -> Tensor:
        found: Tensor = self.linear(vectors)
        return found

    def probabilities(self, logits: Tensor) -> Tensor:
        return functional.softmax(_wide(logits), -1)

    def log_probabilities(self, logits: Tensor) -> Tensor:
        return functional.log_softmax(_wide(logits), -1)

    def costs(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        log_p = self.log_probabilities(logits)
        nats = -log_p.gather(1, targets[:, None])[:, 0]
        smooth = (1 - self.smoothing) * nats - self.smoothing * log_p.mean(1)
        return smooth * self.weights.to(smooth.dtype)[targets], nats.detach()


class SeveralLabels(Head):
    """A logistic unit a label. weights: of the examples that have each label."""

    weights: Tensor

    def __init__(self, width: int, weights: Tensor) -> None:
        super().__init__()
        self.linear = _linear(width, len(weights))
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, vectors: Tensor) -> Tensor:
        found: Tensor = self.linear(vectors)
        return found

    def probabilities(self, logits: Tensor) -> Tensor:
        return torch.sigmoid(_wide(logits))

    def log_probabilities(self, logits: Tensor) -> Tensor:
        return functional.logsigmoid(_wide(logits))

    def log_odds(self, logits: Tensor) -> Tensor:
        return _wide(logits).amax(1)  # each label for itself: having it beside not having it

    def costs(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        logits = _wide(logits)
        targets = targets.to(logits.dtype)
        nats = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")  # [B, C]
        weighted = nats * torch.where(targets > 0, self.weights.to(nats.dtype), nats.new_ones(()))
        return weighted.sum(1), nats.sum(1).detach()


class OrderedLabels(Head):
    """One number for a text, and ascending cuts: the first, and the logarithms of the gaps to the others."""

    weights: Tensor

    def __init__(self, width: int, weights: Tensor, shares: Sequence[float]) -> None:
        super().__init__()
        self.linear = _linear(width, 1, bias=False)
        self.register_buffer("weights", weights, persistent=False)
        above = [1 - sum(shares[: k + 1]) for k in range(len(shares) - 1)]  # P(y > k) in the training part
        cuts = [-math.log(p / (1 - p)) for p in above]
        self.first = nn.Parameter(torch.tensor(cuts[0]))
        self.gaps = nn.Parameter(torch.tensor([math.log(b - a) for a, b in pairwise(cuts)]))

    def forward(self, vectors: Tensor) -> Tensor:
        cuts = torch.cat([self.first[None], self.first + self.gaps.exp().cumsum(0)])  # [C - 1]
        place: Tensor = self.linear(vectors)
        return place - cuts

    def probabilities(self, logits: Tensor) -> Tensor:
        return self.log_probabilities(logits).exp()

    def costs(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        nats = -self.log_probabilities(logits).gather(1, targets[:, None])[:, 0]
        return nats * self.weights.to(nats.dtype)[targets], nats.detach()

    def log_probabilities(self, logits: Tensor) -> Tensor:
        """[B, C - 1] -> [B, C]: ln (s(a) - s(b)) = ln s(a) + ln s(-b) + ln (1 - exp(b - a)), s logistic."""
        logits = _wide(logits)
        above, below = logits[:, :-1], logits[:, 1:]  # a > b
        between = functional.logsigmoid(above) + functional.logsigmoid(-below) + torch.log(-torch.expm1(below - above))
        return torch.cat([functional.logsigmoid(-logits[:, :1]), between, functional.logsigmoid(logits[:, -1:])], 1)


def head(labels: Labels, width: int, *, class_weights: float = 0.0, smoothing: float = 0.0) -> Head:
    """The head for these labels over vectors of that width.

    class_weights: the power a of (N / (C n_k))^a, what an example of label k counts, N examples and n_k of that label;
    scaled so that the mean over the training examples stays 1. Of several labels, the weight of having one is
    ((N - n_k) / n_k)^a beside 1 for not having it.
    """
    counts = torch.tensor(labels.counts, dtype=torch.float64).clamp(min=1)
    if labels.kind == "several":
        weights = ((labels.examples - counts).clamp(min=1) / counts) ** class_weights
        return SeveralLabels(width, weights.float())
    shares = counts / counts.sum()
    weights = shares**-class_weights
    weights = (weights / (shares * weights).sum()).float()
    if labels.kind == "ordered":
        return OrderedLabels(width, weights, shares.tolist())
    return OneLabel(width, weights, smoothing)


def _linear(width: int, labels: int, *, bias: bool = True) -> nn.Linear:
    layer = nn.Linear(width, labels, bias=bias)
    nn.init.xavier_uniform_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def _wide(logits: Tensor) -> Tensor:
    """In float32 at least: under autocast logits come in bfloat16, whose 8 bits would be lost in the softmax."""
    return logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits
