"""PairBatch: pairs of a source and a target sequence, as an encoder-decoder sees them. This file imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from riverrun.sequences import Sequences

# The first ids of every vocabulary, on both sides; a side's own tokens follow from FIRST on.
BEGIN = 0  # what the decoder reads before the first token of a target; never a target itself
END = 1  # ends every target
UNKNOWN = 2  # a token that the training part lacks
FIRST = 3


class PairBatch(NamedTuple):
    """B pairs, time first.

    source: [S, B] int64 ids and their lengths. What stands in the padding of either side is never read.
    target: [T, B] int64 ids and their lengths; each ends with END, and BEGIN is not in it.
    copies: [S, B] int64, for each source token its id as a target: that of the target's vocabulary, or for what this
        lacks one from its size on, numbered within the source; -1 where it has none; None where the model copies
        nothing. Such an id may stand among the targets, too.
    tokens: how many targets are predicted: the sum of the target's lengths.
    position: where in its epoch the batch stands, for messages.
    scale: what the learning rate is multiplied with.
    """

    source: Sequences
    target: Sequences
    copies: Tensor | None
    tokens: int
    position: int
    scale: float = 1.0
