"""Convolution: a one-dimensional convolution over the steps of sequences, which never reads padding.

    y_t = f(b + sum_k W_k x_{t + k - floor((K - 1) / 2)}),  k = 0 ... K - 1

where x is zero before a sequence begins and after it has ended, so a sequence is as long as before, and what it gives
depends neither on how far it is padded nor on its neighbours. Widths beside one another (3, 4, 5 in Kim 2014) lie side
by side in the output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from riverrun.errors import OptionError
from riverrun.sequences import Sequences


class Convolution(nn.Module):
    """Filters over neighbouring steps, with a rectifier after them.

    input_size: I. channels: C, filters of each width. widths: how many steps a filter sees, K; each has filters of its
    own.
    rectify: f = max(0, .); else f is the identity.

    Weights start at He's normal (with a rectifier) or Glorot's uniform, biases at zero.

    >>> layer = Convolution(3, 5, [2, 3])
    >>> layer(Sequences(torch.zeros(7, 2, 3), torch.tensor([7, 4]))).data.shape
    torch.Size([7, 2, 10])
    """

    def __init__(self, input_size: int, channels: int, widths: Sequence[int] = (3,), *, rectify: bool = True) -> None:
        super().__init__()
        if input_size < 1 or channels < 1:
            raise OptionError("channels", f"expected sizes of at least 1, got {input_size} and {channels}.")
        if not widths or min(widths) < 1:
            raise OptionError("widths", f"expected one width or more, each of at least 1, got {list(widths)}.")
        self.input_size, self.rectify = input_size, rectify
        self.filters = nn.ModuleList(nn.Conv1d(input_size, channels, width) for width in widths)
        for layer in self._layers:
            assert layer.bias is not None
            if rectify:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            else:
                nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    @property
    def output_width(self) -> int:
        """n, the channels of all widths together."""
        return sum(layer.out_channels for layer in self._layers)

    @property
    def _layers(self) -> list[nn.Conv1d]:
        return [cast(nn.Conv1d, layer) for layer in self.filters]

    def forward(self, sequences: Sequences) -> Sequences:
        """[T, B, I] -> [T, B, n], zero at padding; the lengths stay."""
        data, lengths = sequences
        if data.dim() != 3 or data.shape[2] != self.input_size:
            raise OptionError("sequences", f"expected [T, B, {self.input_size}], time first, came {list(data.shape)}.")
        valid = sequences.valid().to(data.device)[..., None]  # [T, B, 1]
        if not data.shape[0] or not data.shape[1]:
            return Sequences(data.new_zeros(*data.shape[:2], self.output_width), lengths)
        rows = torch.where(valid, data, data.new_zeros(())).permute(1, 2, 0)  # [B, I, T]
        parts = []
        for layer in self._layers:
            before = (layer.kernel_size[0] - 1) // 2
            padded = functional.pad(rows, (before, layer.kernel_size[0] - 1 - before))
            parts.append(functional.conv1d(padded, layer.weight, layer.bias))
        output = torch.cat(parts, 1).permute(2, 0, 1)  # [T, B, n]
        if self.rectify:
            output = functional.relu(output)
        return Sequences(torch.where(valid, output, output.new_zeros(())), lengths)


def shortened(sequences: Sequences, factor: int) -> Sequences:
    """Every `factor` neighbouring steps as one, their greatest values: [T, B, n] -> [ceil(T / factor), B, n].

    The last group of a sequence may have fewer steps; padding is never read, and is zero in the result.

    >>> short = shortened(Sequences(torch.tensor([[[1.0]], [[-2.0]], [[-3.0]]]), torch.tensor([3])), 2)
    >>> short.data.flatten().tolist(), short.lengths.tolist()
    ([1.0, -3.0], [2])
    """
    data, lengths = sequences
    if factor < 1:
        raise OptionError("factor", f"expected at least 1, got {factor}.")
    if factor == 1 or not data.shape[0]:
        return sequences
    steps = -(-data.shape[0] // factor)
    low = torch.where(sequences.valid().to(data.device)[..., None], data, data.new_full((), -torch.inf))
    low = functional.pad(low, (0, 0, 0, 0, 0, steps * factor - data.shape[0]), value=-torch.inf)
    groups = low.view(steps, factor, *data.shape[1:]).amax(1)  # [ceil(T / factor), B, n]
    short = Sequences(groups, (lengths + factor - 1) // factor)
    return short._replace(data=torch.where(short.valid().to(data.device)[..., None], groups, groups.new_zeros(())))


def greatest(sequences: Sequences) -> Tensor:
    """Max-over-time pooling: [T, B, n] -> [B, n], the greatest value of each channel; zero for a sequence of length 0.

    Source: Collobert et al. 2011, "Natural language processing (almost) from scratch", section 3.3.2.

    >>> greatest(Sequences(torch.tensor([[[1.0]], [[9.0]]]), torch.tensor([1]))).tolist()
    [[1.0]]
    """
    data, lengths = sequences
    if not data.shape[0]:
        return data.new_zeros(data.shape[1:])
    low = torch.where(sequences.valid().to(data.device)[..., None], data, data.new_full((), -torch.inf))
    return torch.where((lengths > 0).to(data.device)[:, None], low.amax(0), data.new_zeros(()))
