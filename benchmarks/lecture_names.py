"""Names to languages: the lecture's program, written anew, beside riverrun's classifier, on the same parts.

    h_t = tanh(W_ih [x_t; h_{t-1}] + b_ih)    p = softmax(W_io [x_T; h_{T-1}] + b_io),  the last letter's alone

Lecture 000, "Classifying Names with RNN by PyTorch": one-hot letters, 128 units, one random name a step with languages
drawn evenly, 100,000 steps, learning rate 0.005, plain gradient descent. Letters with marks lose them, as they have to
among its 57. Three things are compared:

  1. the lecture's program, trained on the training part and scored on the test part: accuracy, macro-F1, seconds
  2. riverrun's classifier (preset `names`), trained and scored on the same parts; the best weights are picked on the
     validation part, which the lecture's program does not see either
  3. the lecture's own network batched by riverrun's layer: names a second, and what it reaches after as many names

Parts: SHA-256 of the name, 80/10/10, equal names on one side. First the check: from the same weights both programs give
the same log-probabilities.

    python benchmarks/lecture_names.py FOLDER [--steps 100000] [--epochs E] [--threads N] [--seed 0]
"""

from __future__ import annotations

import argparse
import json
import random
import string
import time
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from riverrun import configuration, tasks
from riverrun.data.labelled import Example
from riverrun.layers.pooling import last
from riverrun.layers.recurrent import Recurrent
from riverrun.sequences import Sequences
from riverrun.tasks.labels.prepare import Prepared
from riverrun.tasks.labels.results import judged
from riverrun.tasks.measures.classification import Figure, figures
from riverrun.training.loop import fit

LETTERS = string.ascii_letters + " .,;'"
HIDDEN, RATE, BATCH = 128, 0.005, 128


def plain(name: str) -> str:
    """A name in the lecture's letters: marks are taken off, what is no letter of its is left out."""
    return "".join(c for c in unicodedata.normalize("NFD", name) if unicodedata.category(c) != "Mn" and c in LETTERS)


# The lecture's program ------------------------------------------------------------------------------------------------


class LectureNetwork(nn.Module):
    """The lecture's RNN, as it stands there."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.hidden_size = hidden
        self.i2h = nn.Linear(inputs + hidden, hidden)
        self.i2o = nn.Linear(inputs + hidden, outputs)
        self.tanh = nn.Tanh()
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        combined = torch.cat((x, hidden), 1)
        return self.softmax(self.i2o(combined)), self.tanh(self.i2h(combined))

    def init_hidden(self) -> Tensor:
        return torch.zeros(1, self.hidden_size)


def name_to_tensor(name: str) -> Tensor:
    """[letters, 1, 57], one-hot."""
    tensor = torch.zeros(len(name), 1, len(LETTERS))
    for place, letter in enumerate(name):
        tensor[place][0][LETTERS.find(letter)] = 1
    return tensor


def evaluate(network: LectureNetwork, name: str) -> Tensor:
    """Log-probabilities [1, C] after the last letter."""
    hidden = network.init_hidden()
    output = torch.full((1, network.i2o.out_features), 1.0)
    for letter in name_to_tensor(name):
        output, hidden = network(letter, hidden)
    return output


def train_lecture(names: dict[int, list[str]], steps: int, seed: int) -> tuple[LectureNetwork, float, list[float]]:
    """The network after so many single names, the seconds, and its loss of each hundredth of the steps."""
    random.seed(seed)
    torch.manual_seed(seed)
    network, criterion = LectureNetwork(len(LETTERS), HIDDEN, len(names)), nn.NLLLoss()
    languages = sorted(names)
    losses, total, every = [], 0.0, max(1, steps // 100)
    began = time.perf_counter()
    for step in range(1, steps + 1):
        language = random.choice(languages)
        name = random.choice(names[language])
        category, line = torch.tensor([language]), name_to_tensor(name)
        hidden = network.init_hidden()
        network.zero_grad()
        for letter in line:
            output, hidden = network(letter, hidden)
        loss = criterion(output, category)
        loss.backward()
        for p in network.parameters():
            p.data.add_(p.grad.data, alpha=-RATE)
        total += loss.item()
        if step % every == 0:
            losses.append(total / every)
            total = 0.0
    return network, time.perf_counter() - began, losses


# The same network, batched --------------------------------------------------------------------------------------------


class BatchedNetwork(nn.Module):
    """The lecture's network over many names at once: its recurrence is riverrun's Elman layer."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.recurrent = Recurrent("elman", len(LETTERS), HIDDEN)
        self.output = nn.Linear(len(LETTERS) + HIDDEN, outputs)

    def forward(self, names: Sequences) -> Tensor:
        """Log-probabilities [B, C] of names as letters' numbers, [T, B]."""
        x = functional.one_hot(names.data, len(LETTERS)).float()  # [T, B, 57]
        # The last letter is read beside the state before it, so the layer need not go there.
        read = Sequences(x[:-1], names.lengths - 1)
        before = last(read._replace(data=self.recurrent(read).output))  # [B, 128], zero for a single letter
        return functional.log_softmax(self.output(torch.cat([last(Sequences(x, names.lengths)), before], -1)), -1)

    def take(self, network: LectureNetwork) -> BatchedNetwork:
        """The weights of the lecture's network."""
        inputs = len(LETTERS)
        weight, state = network.i2h.weight.data, self.state_dict()
        prefix = "recurrent.layers.0.forward."
        state[f"{prefix}W.h"], state[f"{prefix}U.h"] = weight[:, :inputs], weight[:, inputs:]
        state[f"{prefix}b.h"] = network.i2h.bias.data
        state["output.weight"], state["output.bias"] = network.i2o.weight.data, network.i2o.bias.data
        self.load_state_dict(state)
        return self


def together(names: Sequence[str]) -> Sequences:
    """Names as letters' numbers, [T, B]."""
    data = torch.zeros(max(map(len, names)), len(names), dtype=torch.int64)
    for column, name in enumerate(names):
        data[: len(name), column] = torch.tensor([LETTERS.find(letter) for letter in name])
    return Sequences(data, torch.tensor([len(name) for name in names]))


def train_batched(names: dict[int, list[str]], count: int, seed: int) -> tuple[BatchedNetwork, float]:
    """The lecture's training with BATCH names an update, as many names in all; an update is the sum of its names'."""
    random.seed(seed)
    torch.manual_seed(seed)
    start = LectureNetwork(len(LETTERS), HIDDEN, len(names))
    network = BatchedNetwork(len(names)).take(start)
    optimiser = torch.optim.SGD(network.parameters(), lr=RATE)
    languages = sorted(names)
    began = time.perf_counter()
    data, lengths = together([name for language in languages for name in names[language]])  # all names, [T, N] and [N]
    starts = np.cumsum([0, *(len(names[language]) for language in languages)])
    for _ in range(max(1, count // BATCH)):
        drawn = random.choices(languages, k=BATCH)
        chosen = torch.tensor([random.randrange(starts[place], starts[place + 1]) for place in drawn])
        steps = int(lengths[chosen].max())
        output = network(Sequences(data[:steps, chosen], lengths[chosen]))
        loss = functional.nll_loss(output, torch.tensor(drawn), reduction="sum")
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 50.0)  # a sum of many steps at one place may explode
        optimiser.step()
    return network, time.perf_counter() - began


# The comparison -------------------------------------------------------------------------------------------------------


def check(seed: int, names: Sequence[str], outputs: int) -> float:
    """The greatest difference of the two programs' log-probabilities from the same weights."""
    torch.manual_seed(seed)
    network = LectureNetwork(len(LETTERS), HIDDEN, outputs)
    with torch.no_grad():
        one_by_one = torch.cat([evaluate(network, name) for name in names])
        return float((BatchedNetwork(outputs).take(network)(together(names)) - one_by_one).abs().max())


def ours(folder: str, epochs: float, threads: int, seed: int) -> tuple[Any, Prepared, float]:
    """The classifier of preset `names`, its data, and the seconds of its training with validation."""
    task = tasks.find("classify")
    preset = next(preset for preset in task.presets if preset.name == "names")
    sections = configuration.resolve(task.sections, preset.values)
    sections["training"] = replace(sections["training"], threads=threads, seed=seed)
    if epochs:
        sections["training"] = replace(sections["training"], epochs=epochs)
    prepared = task.prepare(task.read([folder], sections["data"]), sections)
    began = time.perf_counter()
    torch.manual_seed(seed)
    model = task.model(sections["model"], prepared.coder)
    batches = task.batches(prepared, sections["training"])
    result = fit(model, batches, sections["training"], evaluate=lambda: task.validate(model, prepared))
    model.load_state_dict(result.weights)
    model.eval()
    return model, prepared, time.perf_counter() - began


def scored(predicted: Sequence[int], prepared: Prepared) -> list[Figure]:
    """Accuracy and macro-F1 on the test part, with intervals."""
    return figures(judged(np.array(predicted), prepared.test.examples, prepared.coder))


def by_language(examples: Sequence[Example], languages: Sequence[str]) -> dict[int, list[str]]:
    """The names of each language, in the lecture's letters."""
    found: dict[int, list[str]] = {number: [] for number in range(len(languages))}
    for example in examples:
        name = plain(example.text)
        if name:
            found[languages.index(example.labels[0])].append(name)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="18 files, a language each, a name a line")
    parser.add_argument("--steps", type=int, default=100_000, help="single names of the lecture's program")
    parser.add_argument("--epochs", type=float, default=0.0, help="of riverrun's classifier; 0: as the preset says")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("lecture", "ours", "batched"), help="one of the three")
    given = parser.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    facts: dict[str, Any] = {"steps": given.steps, "threads": torch.get_num_threads(), "seed": given.seed}
    task = tasks.find("classify")
    data = task.sections["data"](split="hash", tokens="chars")
    prepared = task.prepare(task.read([given.folder], data), {"data": data})
    languages, tests = prepared.coder.labels.names, [plain(example.text) for example in prepared.test.examples]
    names = by_language(prepared.train.examples, languages)
    print({name: len(part.ids) for name, part in prepared.parts.items()}, prepared.rule)
    difference = check(given.seed, tests[:200], len(languages))
    print(f"check: log-probabilities from the same weights differ by at most {difference:.1e}")
    if not difference < 1e-4:
        raise SystemExit("the two programs are not the same network: no figures.")

    def report(key: str, title: str, predicted: Sequence[int], seconds: float, count: int) -> None:
        found = scored(predicted, prepared)
        facts[key] = {figure.name: [figure.value, figure.low, figure.high] for figure in found}
        facts[key] |= {"seconds": seconds, "names_per_second": count / seconds}
        shown = ", ".join(f"{f.name} {f.value:.3f} ({f.low:.3f} to {f.high:.3f})" for f in found)
        print(f"{title}: {shown}; {seconds:.1f} s, {count / seconds:,.0f} names a second")

    if given.only in (None, "lecture"):
        network, seconds, losses = train_lecture(names, given.steps, given.seed)
        with torch.no_grad():
            predicted = [int(evaluate(network, name).argmax()) for name in tests]
        report("lecture", "the lecture's program", predicted, seconds, given.steps)
        facts["lecture"]["losses"] = losses
    if given.only in (None, "batched"):
        batched, seconds = train_batched(names, given.steps, given.seed)
        with torch.no_grad():
            predicted = batched(together(tests)).argmax(1).tolist()
        report("batched", f"its network, {BATCH} names an update", predicted, seconds, given.steps)
    if given.only in (None, "ours"):
        from riverrun.tasks.labels.results import decided, scores

        model, mine, seconds = ours(given.folder, given.epochs, given.threads, given.seed)
        chosen = decided(scores(model, mine.test).probabilities, "one").tolist()
        sections = configuration.resolve(
            task.sections, next(preset for preset in task.presets if preset.name == "names").values
        )
        count = int((given.epochs or sections["training"].epochs) * len(mine.train.ids))
        report("ours", "riverrun, preset names", chosen, seconds, count)
    if {"lecture", "ours"} <= facts.keys():
        for figure in ("accuracy", "macro_f1"):
            print(f"{figure}: {100 * (facts['ours'][figure][0] - facts['lecture'][figure][0]):+.1f} points")
    if {"lecture", "batched"} <= facts.keys():
        ratio = facts["batched"]["names_per_second"] / facts["lecture"]["names_per_second"]
        print(f"the lecture's network batched: {ratio:.1f} times its names a second")
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
