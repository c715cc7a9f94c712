"""Convolution over time: against loops in NumPy, whatever the padding holds and whoever the neighbours are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tolerances import TOLERANCE

from riverrun.errors import OptionError
from riverrun.layers.convolution import Convolution, greatest, shortened
from riverrun.sequences import Sequences

VALUE, GRADIENT = TOLERANCE[torch.float64, "value"], TOLERANCE[torch.float64, "gradient"]
INVARIANCE = TOLERANCE[torch.float64, "invariance"]
LENGTHS = torch.tensor([6, 1, 0, 4])


def layer(widths, rectify=True) -> Convolution:
    torch.manual_seed(3)
    made = Convolution(3, 2, widths, rectify=rectify).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.uniform_(-0.9, 0.9)
    return made


def ragged(padding: float = float("nan"), extra: int = 1) -> Sequences:
    torch.manual_seed(4)
    sequences = Sequences(torch.randn(6, 4, 3, dtype=torch.float64), LENGTHS)
    data = torch.where(sequences.valid()[..., None], sequences.data, torch.tensor(padding, dtype=torch.float64))
    return Sequences(torch.cat([data, data.new_full((extra, 4, 3), padding)]), LENGTHS)


def by_loops(made: Convolution, rows: np.ndarray, rectify: bool) -> np.ndarray:
    """One sequence, [L, I] -> [L, n], straight from the equation."""
    columns = []
    for filters in made.filters:
        weight, bias = filters.weight.detach().numpy(), filters.bias.detach().numpy()  # [C, I, K], [C]
        width = weight.shape[2]
        found = np.tile(bias, (len(rows), 1))
        for t in range(len(rows)):
            for k in range(width):
                place = t + k - (width - 1) // 2
                if 0 <= place < len(rows):
                    found[t] += weight[:, :, k] @ rows[place]
        columns.append(np.maximum(found, 0) if rectify else found)
    return np.concatenate(columns, 1)


@pytest.mark.parametrize("rectify", [True, False])
@pytest.mark.parametrize("widths", [(1,), (2,), (3,), (2, 5), (9,)])
def test_a_filter_reads_its_sequence_and_zeros_around_it(widths, rectify):
    made, sequences = layer(widths, rectify), ragged()
    output = made(sequences).data
    assert output.shape == (7, 4, made.output_width)
    for row, length in enumerate(LENGTHS.tolist()):
        expected = by_loops(made, sequences.data[:length, row].numpy(), rectify)
        np.testing.assert_allclose(output[:length, row].detach().numpy(), expected, **VALUE)
        assert (output[length:, row] == 0).all()


def test_padding_reaches_neither_values_nor_gradients():
    found = []
    for padding, extra in ((0.0, 0), (float("nan"), 5), (1e9, 1)):
        made, (data, lengths) = layer((2, 3)), ragged(padding, extra)
        data.requires_grad_()
        output = made(Sequences(data, lengths)).data[:6]
        (output**2).sum().backward()
        valid = Sequences(data, lengths).valid()
        assert (data.grad[~valid] == 0).all()
        found.append([output, data.grad[valid], *(parameter.grad for parameter in made.parameters())])
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            torch.testing.assert_close(one, two, **INVARIANCE)


def test_a_row_alone_gives_what_it_gives_in_company():
    made, sequences = layer((3, 4)), ragged()
    together = made(sequences).data
    for row, length in enumerate(LENGTHS.tolist()):
        alone = made(Sequences(sequences.data[:length, row : row + 1], LENGTHS[row : row + 1])).data
        torch.testing.assert_close(alone[:, 0], together[:length, row], **INVARIANCE)


def test_max_over_time_is_each_sequences_own_greatest_value():
    sequences = ragged()
    found = greatest(sequences)
    for row, length in enumerate(LENGTHS.tolist()):
        own = sequences.data[:length, row].numpy()
        np.testing.assert_array_equal(found[row].numpy(), own.max(0) if length else np.zeros(3))
    assert greatest(Sequences(torch.zeros(0, 2, 3), torch.zeros(2, dtype=torch.int64))).tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("factor", [1, 2, 3, 10])
def test_shortening_keeps_the_greatest_of_each_group_and_reads_no_padding(factor):
    sequences = ragged()
    short = shortened(sequences, factor)
    for row, length in enumerate(LENGTHS.tolist()):
        groups = [sequences.data[b : min(b + factor, length), row].amax(0) for b in range(0, length, factor)]
        assert short.lengths[row] == len(groups)
        for step, group in enumerate(groups):
            assert (short.data[step, row] == group).all()
    if factor > 1:
        assert (short.data[~short.valid()] == 0).all()


def test_sizes_that_make_no_sense_are_refused():
    for sizes in ((0, 2, [3]), (2, 0, [3]), (2, 2, []), (2, 2, [0])):
        with pytest.raises(OptionError):
            Convolution(*sizes)
    with pytest.raises(OptionError, match="expected \\[T, B, 3\\]"):
        layer((3,))(Sequences(torch.zeros(2, 2, 4), torch.tensor([1, 1])))
    with pytest.raises(OptionError, match="at least 1"):
        shortened(ragged(), 0)
