"""The figures of a "step" event: added up over the steps since the one before, and not told too often."""

from __future__ import annotations

import math
from typing import Any

PAUSE = 0.5  # seconds between events at the beginning
EVENTS = 2000  # a long run tells about so many in all


class Tally:
    """Nats and tokens since the last event; `last` is the mean that was told last.

    >>> tally = Tally(tokens=0, seconds=0.0)
    >>> tally.add(nats=30.0, tokens=10)
    >>> tally.flush(tokens=10, seconds=2.0)
    {'tokens': 10, 'nats': 3.0, 'tokens_per_second': 5.0}
    """

    def __init__(self, tokens: int, seconds: float) -> None:
        self._tokens, self._seconds = tokens, seconds  # at the last event
        self._nats, self._count = 0.0, 0
        self.last: float | None = None

    def add(self, nats: float, tokens: int) -> None:
        """Take in a step; one whose loss is not finite does not count."""
        if math.isfinite(nats):
            self._nats, self._count = self._nats + nats, self._count + tokens

    def due(self, seconds: float) -> bool:
        """Whether it is time to tell."""
        return seconds - self._seconds >= max(PAUSE, seconds / EVENTS)

    def flush(self, tokens: int, seconds: float) -> dict[str, Any]:
        """The figures, and a new beginning. tokens, seconds: of the whole run so far."""
        self.last = self._nats / self._count if self._count else self.last
        speed = (tokens - self._tokens) / max(seconds - self._seconds, 1e-9)
        self._tokens, self._seconds, self._nats, self._count = tokens, seconds, 0.0, 0
        return {"tokens": tokens, "nats": self.last, "tokens_per_second": round(speed, 1)}


def plain(value: float) -> float | None:
    """The value for JSON, which knows no NaN and no infinity."""
    return value if math.isfinite(value) else None
