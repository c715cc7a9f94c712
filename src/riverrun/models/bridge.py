"""Bridge: from the encoder's last states to the decoder's first ones."""

from __future__ import annotations

import torch
from torch import nn

from riverrun.layers.recurrent import Recurrent
from riverrun.layers.stack import DIRECTIONS, State


class Bridge(nn.Module):
    """What the decoder starts from: for each of its layers a tuple of [B, n].

    copy  the state in which the encoder ended; of two directions their mean
    tanh  s_0 = tanh(W [s of all directions] + b), with weights of its own for each layer and each of the cell's states
    zero  the decoder's own initial state, which is zero or learned

    A decoder layer takes the encoder layer beside it, counted from the top; where the encoder is lower, its lowest.

    Source: Sutskever et al. 2014 (copy), Bahdanau et al. 2015, A.2.2 (tanh).
    """

    def __init__(self, kind: str, encoder: Recurrent, decoder: Recurrent) -> None:
        super().__init__()
        self.kind = kind
        below, above = encoder.stack, decoder.stack
        self.directions = len(DIRECTIONS[below.direction])
        self.sources = [max(0, layer + below.num_layers - above.num_layers) for layer in range(above.num_layers)]
        self.layers = nn.ModuleList()
        if kind == "tanh":
            for _ in self.sources:
                maps = nn.ModuleList(nn.Linear(self.directions * n, n) for n in above.state_sizes)
                for one in maps:
                    assert isinstance(one, nn.Linear)
                    nn.init.xavier_uniform_(one.weight)
                    nn.init.zeros_(one.bias)
                self.layers.append(maps)

    def forward(self, state: State, decoder: Recurrent) -> State:
        """state: the encoder's, as `Recurrent` returns it. Returns the decoder's."""
        if self.kind == "zero":
            return decoder.initial_state(state[0][0].shape[0])
        found = []
        for layer, source in enumerate(self.sources):
            sides = state[source * self.directions : (source + 1) * self.directions]
            if self.kind == "copy":
                found.append(
                    tuple(torch.stack(one).mean(0) if len(one) > 1 else one[0] for one in zip(*sides, strict=True))
                )
                continue
            maps = self.layers[layer]
            assert isinstance(maps, nn.ModuleList)
            joined = (torch.cat(one, -1) for one in zip(*sides, strict=True))  # [B, directions n]
            found.append(tuple(torch.tanh(one(v)) for one, v in zip(maps, joined, strict=True)))
        return tuple(found)
