"""How many periods chunks take, and how many are reserved for the next one."""

from __future__ import annotations

import math
from collections import deque

# Delays that count, and the percentile of them that is reserved.
RECENT = 50
PERCENTILE = 95.0

# A first delay that leaves nothing of a chunk is doubted where half of the chunk is so many actions.
WORTH_GUESSING = 3


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
        """Periods to reserve for chunks of any length, at least 1; None before anything was measured."""
        if self._first is None:
            return None
        return max(self.of(PERCENTILE) or self._first, 1)

    def reserve_for(self, length: int, lag: int) -> int | None:
        """Periods to reserve for chunks of `length` actions from observations `lag` periods old; None where it is
        better to play a chunk to its end, and plan the next one from rest.

        A chunk plays length - reserve - lag actions of its own. Are they fewer than the reserve, the robot stands until
        the next one comes; a late one costs its delay and another from rest. The reserve, up to the high percentile, is
        the one with the fewest periods of standing per action: where chunks are long that is the percentile itself.

        Where the first delay is all that is known, and leaves nothing, half a chunk is reserved: it may have waited for
        a policy that was not there yet. See `guessed`.
        """
        most = self.reserve
        if most is None:
            return None
        seen = list(self._recent) or [most]
        usual = self.of(50.0) or most
        best, best_cost = None, sum(seen) / len(seen) / max(length, 1)
        for reserve in sorted({max(delay, 1) for delay in seen if delay <= most}):
            own = length - reserve - lag
            if own < 1:
                break
            late = [delay for delay in seen if delay > reserve]
            standing = (1 - len(late) / len(seen)) * max(reserve - own, 0) + sum(late) / len(seen)
            cost = (standing + usual * len(late) / len(seen)) / own
            if cost <= best_cost:
                best, best_cost = reserve, cost
        if best is None and not self._recent and (length - lag) // 2 >= WORTH_GUESSING:
            return (length - lag) // 2
        return best

    def guessed(self, reserve: int) -> bool:
        """Whether the reserve is less than the only delay that is known: then it is to be tried as soon as possible, so
        that a policy that does take so long has answered before the chunk is over.
        """
        return not self._recent and self._first is not None and reserve < self._first

    def of(self, percentile: float) -> int | None:
        """The smallest delay that so many percent of the recent ones do not exceed; None before the second chunk."""
        if not self._recent:
            return None
        ordered = sorted(self._recent)
        return ordered[max(math.ceil(percentile / 100.0 * len(ordered)) - 1, 0)]
