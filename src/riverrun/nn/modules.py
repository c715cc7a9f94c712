"""RNN, LSTM and GRU: torch.nn's modules, with the extras that `riverrun.nn` lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from riverrun.layers import Dropouts, Initialisation
from riverrun.nn.call import call
from riverrun.nn.dropin import DropIn


class RNN(DropIn, torch.nn.RNN):
    """torch.nn.RNN and the extras: h_t = tanh(W x_t + b_ih + U h_{t-1} + b_hh), or relu (Elman 1990)."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        proj_size: int | None = None,
        dropouts: Dropouts = Dropouts(),  # noqa: B008  frozen
        norm: bool = False,
        learned_initial: bool = False,
        initialisation: Initialisation | None = None,
    ) -> None:
        refused = {} if proj_size is None else {"proj_size": proj_size}  # torch says why
        super().__init__(
            input_size, hidden_size, num_layers, nonlinearity, bias, batch_first, dropout, bidirectional,
            device=device, dtype=dtype, **refused,
        )  # fmt: skip
        self.extend(dropouts, norm, learned_initial, initialisation)

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Tensor | None = None,
        *,
        lengths: Tensor | None = None,
        resets: Tensor | None = None,
        record: Sequence[str] = (),
        path: str | None = None,
    ) -> Any:
        """(output, h_n), and with `record` a third value, the records. Shapes and errors are torch.nn.RNN's."""
        return call(self, super().forward, input, hx, lengths=lengths, resets=resets, record=record, path=path)


class LSTM(DropIn, torch.nn.LSTM):
    """torch.nn.LSTM and the extras (Hochreiter and Schmidhuber 1997; with proj_size: Sak et al. 2014)."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        dropouts: Dropouts = Dropouts(),  # noqa: B008
        norm: bool = False,
        learned_initial: bool = False,
        initialisation: Initialisation | None = None,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device, dtype
        )
        self.extend(dropouts, norm, learned_initial, initialisation)

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: tuple[Tensor, Tensor] | None = None,
        *,
        lengths: Tensor | None = None,
        resets: Tensor | None = None,
        record: Sequence[str] = (),
        path: str | None = None,
    ) -> Any:
        """(output, (h_n, c_n)), and with `record` a third value, the records. Shapes and errors are torch.nn.LSTM's."""
        return call(self, super().forward, input, hx, lengths=lengths, resets=resets, record=record, path=path)


class GRU(DropIn, torch.nn.GRU):
    """torch.nn.GRU and the extras; its reset gate acts after the product. `Recurrent("gru")` is the papers' GRU."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        proj_size: int | None = None,
        dropouts: Dropouts = Dropouts(),  # noqa: B008
        norm: bool = False,
        learned_initial: bool = False,
        initialisation: Initialisation | None = None,
    ) -> None:
        refused = {} if proj_size is None else {"proj_size": proj_size}  # torch says why
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            device=device, dtype=dtype, **refused,
        )  # fmt: skip
        self.extend(dropouts, norm, learned_initial, initialisation)

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Tensor | None = None,
        *,
        lengths: Tensor | None = None,
        resets: Tensor | None = None,
        record: Sequence[str] = (),
        path: str | None = None,
    ) -> Any:
        """(output, h_n), and with `record` a third value, the records. Shapes and errors are torch.nn.GRU's."""
        return call(self, super().forward, input, hx, lengths=lengths, resets=resets, record=record, path=path)
