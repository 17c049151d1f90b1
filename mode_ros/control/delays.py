"""How many periods chunks take, and how many are reserved for the next one."""

from __future__ import annotations

import math
from collections import deque

# Delays that count, and the percentile of them that is reserved.
RECENT = 50
PERCENTILE = 95.0


class Delays:
    """Delays in whole periods. The first one is left out as soon as there is another: it pays for warming up."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._recent: deque[int] = deque(maxlen=RECENT)

    def add(self, periods: int) -> None:
        if self._first is None:
            self._first = periods
        else:
            self._recent.append(periods)

    @property
    def reserve(self) -> int | None:
        """Periods to reserve, at least 1; None before anything was measured."""
        if self._first is None:
            return None
        return max(self.of(PERCENTILE) or self._first, 1)

    def of(self, percentile: float) -> int | None:
        """The smallest delay that so many percent of the recent ones do not exceed; None before the second chunk."""
        if not self._recent:
            return None
        ordered = sorted(self._recent)
        return ordered[max(math.ceil(percentile / 100.0 * len(ordered)) - 1, 0)]
