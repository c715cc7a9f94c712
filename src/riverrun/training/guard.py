"""The guard that looks at loss and gradient norm before every update, so that no bad number reaches the weights."""

from __future__ import annotations

import math
from dataclasses import dataclass

from riverrun.errors import Diverged

LIMIT = 5  # bad batches in a row that end the run


@dataclass
class Guard:
    """Counts the batches whose loss or gradient was not finite: one is skipped, `LIMIT` in a row end the run."""

    skipped: int = 0
    in_a_row: int = 0

    def passes(self, nats: float, norm: float, *, step: int, batch: str) -> bool:
        """Whether the update may be made.

        nats, norm: the loss and the gradient's norm, before clipping; batch: where it came from, in words.
        Raises Diverged, naming the batch, at the last of `LIMIT` bad ones in a row.
        """
        if math.isfinite(nats) and math.isfinite(norm):
            self.in_a_row = 0
            return True
        self.skipped += 1
        self.in_a_row += 1
        if self.in_a_row >= LIMIT:
            which = f"the loss ({nats})" if not math.isfinite(nats) else f"the gradient's norm ({norm})"
            raise Diverged(
                f"Training diverged at step {step}: {which} was not finite in "
                f"{LIMIT} batches in a row, the last of them {batch}. Expected finite numbers. The weights of the last "
                "checkpoint are from before. Lower --lr, clip the gradient (--clip-norm 1, or less), or set "
                "--precision float32."
            )
        return False
