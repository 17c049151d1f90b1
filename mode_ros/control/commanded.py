"""What was commanded in the last ticks, each with the time of its own tick.

A tick may be missed or late, so counting periods back from the last one would date the others wrongly.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


class Commanded:
    """The commands of the last ticks in a row; none from before a tick in which nothing was sent."""

    def __init__(self, remembered: int) -> None:
        """remembered: how many ticks are kept."""
        self._rows: deque[tuple[int, Vector]] = deque(maxlen=remembered)
        self._forgotten: int | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def clear(self) -> None:
        """Nothing was commanded: the robot stands."""
        self._rows.clear()
        self._forgotten = None

    def add(self, now: int, command: Vector) -> None:
        """A tick at `now` (nanoseconds) in which `command` [d] was told; NaN in it: nothing was."""
        if np.isnan(command).any():
            self.clear()
            return
        time = now
        if self._rows:
            # A simulated clock may not have gone on between two ticks, and times in a request rise.
            time = max(now, self._rows[-1][0] + 1)
        if len(self._rows) == self._rows.maxlen:
            self._forgotten = self._rows[0][0]
        self._rows.append((time, command.copy()))

    def correct(self, command: Vector) -> None:
        """What the last tick's command came to, [d], once its period is over."""
        if self._rows and not np.isnan(command).any():
            self._rows[-1] = (self._rows[-1][0], command.copy())

    def recent(self, count: int) -> list[tuple[int, Vector]]:
        """(time, command) of the last `count` ticks at most, oldest first."""
        return list(self._rows)[-count:] if count else []

    def before(self, count: int) -> int | None:
        """The time of the tick before the `count` last ones; None where nothing was commanded before these, so that the
        robot stood.
        """
        if count < len(self._rows):
            return self._rows[-count - 1][0]
        return self._forgotten
