"""N-grams: against a count of strings in Python, whatever the padding holds."""

from __future__ import annotations

import math

import pytest
import torch
from tolerances import TOLERANCE

from riverrun.errors import OptionError
from riverrun.layers.ngrams import LEFT_OUT, NGrams
from riverrun.sequences import Sequences

VALUE, INVARIANCE = TOLERANCE[torch.float64, "value"], TOLERANCE[torch.float64, "invariance"]
TEXTS = [[3, 1, 4, 1, 5], [2], [], [1, 4, LEFT_OUT, 1, 4], [LEFT_OUT]]


def padded(rows: list[list[int]], filler: int = 7, extra: int = 0) -> Sequences:
    data = torch.full((max(map(len, rows)) + extra, len(rows)), filler)
    for column, row in enumerate(rows):
        data[: len(row), column] = torch.tensor(row, dtype=torch.int64)
    return Sequences(data, torch.tensor([len(row) for row in rows]))


def made(longest: int = 3, buckets: int = 1 << 20) -> NGrams:
    torch.manual_seed(0)
    layer = NGrams(longest, 2, buckets).double()
    torch.nn.init.normal_(layer.weight)
    return layer


def runs(row: list[int], longest: int) -> list[tuple[object, ...]]:
    """The n-grams of a text by hand: runs of marks and tokens that hold a token, and none that was left out."""
    framed = ["^", *row, "$"]
    found = [tuple(framed[i : i + n]) for n in range(1, longest + 1) for i in range(len(framed) - n + 1)]
    return [run for run in found if LEFT_OUT not in run and set(run) - {"^", "$"}]


def weight_of(layer: NGrams, run: tuple[object, ...]) -> torch.Tensor:
    """The weight of one n-gram, by the polynomial hash with Python's integers."""
    key = 0
    for token in run:
        key = key * 1_000_003 + {"^": 1, "$": 2}.get(token, 0 if isinstance(token, str) else token + 3)
    return layer.weight[key % (2**31 - 1) % len(layer.weight)]


@pytest.mark.parametrize("longest", [1, 2, 3, 9])
@pytest.mark.parametrize("buckets", [1, 13, 1 << 20])
def test_the_weights_of_a_texts_ngrams_are_added(longest, buckets):
    layer = made(longest, buckets)
    found = layer(padded(TEXTS))
    for row, value in zip(TEXTS, found, strict=True):
        grams = runs(row, longest)
        want = sum((weight_of(layer, run) for run in grams), torch.zeros(2).double()) / math.sqrt(max(1, len(grams)))
        torch.testing.assert_close(value, want, **VALUE)


def test_neither_padding_nor_neighbours_change_a_bit():
    layer = made()
    together = layer(padded(TEXTS))
    assert torch.equal(layer(padded(TEXTS, filler=0, extra=4)), together)
    for row, value in zip(TEXTS, together, strict=True):
        assert torch.equal(layer(padded([row]))[0], value)


def test_different_ngrams_have_different_weights():
    layer = made()
    assert not torch.equal(*layer(padded([[1, 2], [2, 1]])))  # the order of the same tokens
    assert not torch.equal(*layer(padded([[1, 2, 3], [1, 3, 2]])))


@pytest.mark.parametrize("longest", [1, 3])
def test_what_tokens_add_sums_to_the_whole(longest):
    layer, texts = made(longest), padded(TEXTS, extra=2)
    slopes = torch.randn(len(TEXTS), 2).double()
    parts = layer.by_token(texts, slopes)
    torch.testing.assert_close(parts.sum(0), (layer(texts) * slopes).sum(1), **VALUE)
    assert (parts[~texts.valid()] == 0).all()
    assert parts[2, 3] == 0  # left out


def test_a_token_has_equal_parts_of_its_ngrams():
    layer, slopes = made(2), torch.tensor([[1.0, -2.0]]).double()
    grams = {run: weight_of(layer, run) @ slopes[0] / math.sqrt(5) for run in runs([8, 9], 2)}
    want = grams[8,] + grams["^", 8] + grams[8, 9] / 2  # the mark has no part
    assert layer.by_token(padded([[8, 9]]), slopes)[0, 0].item() == pytest.approx(want.item())


def test_gradients_are_right():
    layer = made(3, 11)
    texts = (padded(TEXTS),)
    with_weight = lambda weight: torch.func.functional_call(layer, {"weight": weight}, texts)  # noqa: E731
    assert torch.autograd.gradcheck(with_weight, layer.weight.detach().requires_grad_())


@pytest.mark.parametrize("name", ["longest", "outputs", "buckets"])
def test_numbers_below_one_are_refused(name):
    with pytest.raises(OptionError, match=f"{name}: expected a number of at least 1, got 0"):
        NGrams(**{"longest": 1, "outputs": 1, "buckets": 1, name: 0})
