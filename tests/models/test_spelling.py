"""What letters say: the ends of torch's LSTM, or the greatest values of torch's convolution; padding is never read."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from riverrun.models.spelling import WIDTHS, Spelling
from riverrun.sequences import Sequences

LETTERS = torch.tensor([[1, 1, 1], [3, 4, 2], [5, 2, 0], [2, 0, 0]])  # [L, D]
LENGTHS = torch.tensor([4, 3, 2])


def spelling(how: str) -> Spelling:
    torch.manual_seed(0)
    return Spelling(how, 6, 3, 4).double()


def test_the_convolution_is_torch_s_over_each_word_alone():
    ours = spelling("convolution")
    assert ours.output_width == 4 * len(WIDTHS)
    found = ours(Sequences(LETTERS, LENGTHS))
    for word, length in enumerate(LENGTHS.tolist()):
        embedded = ours.embedding.weight[LETTERS[:length, word]].T[None]  # [1, 3, L]
        parts = []
        for width, layer in zip(WIDTHS, ours.reader.filters, strict=True):
            before = (width - 1) // 2
            padded = nn.functional.pad(embedded, (before, width - 1 - before))
            parts.append(nn.functional.conv1d(padded, layer.weight, layer.bias).relu().amax(2)[0])
        torch.testing.assert_close(found[word], torch.cat(parts))


@pytest.mark.parametrize("how", ["lstm", "convolution"])
def test_a_word_alone_says_the_same_and_padding_says_nothing(how):
    ours = spelling(how)
    found = ours(Sequences(LETTERS, LENGTHS))
    other = torch.where(torch.arange(4)[:, None] < LENGTHS, LETTERS, 5)
    assert torch.equal(found, ours(Sequences(other, LENGTHS)))
    for word, length in enumerate(LENGTHS.tolist()):
        alone = ours(Sequences(LETTERS[:length, word : word + 1], LENGTHS[word : word + 1]))
        torch.testing.assert_close(alone[0], found[word], rtol=1e-12, atol=1e-12)
    assert ours(Sequences(LETTERS[:, :0], LENGTHS[:0])).shape == (0, ours.output_width)


def test_another_order_of_letters_is_another_word():
    for how in ("lstm", "convolution"):
        ours = spelling(how)
        turned = LETTERS.clone()
        turned[[1, 2], 0] = turned[[2, 1], 0]
        assert not torch.equal(ours(Sequences(turned, LENGTHS))[0], ours(Sequences(LETTERS, LENGTHS))[0])
