"""Which action of a chunk belongs to which moment, as somebody who listens to requests and chunks can tell it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.chunk import Chunk
from mode_ros.control.request import ChunkRequest, prefix_of

Vector = NDArray[np.float64]

# A chunk answers one of the last few requests.
REMEMBERED = 16


@dataclass(frozen=True)
class Planned:
    """A chunk in time. first: when its action 0 is issued, nanoseconds; period: nanoseconds; actions: [n, d];
    committed: so many of the first ones were decided before it was planned.
    """

    first: int
    period: int
    actions: Vector
    committed: int

    def passed(self, now: int) -> int:
        """How many of its actions are issued before `now`."""
        return min(max(-((self.first - now) // self.period), 0), len(self.actions))

    def ahead(self, now: int) -> tuple[Vector, int]:
        """The actions [m, d] that are issued from `now` on, and how many of them were decided before."""
        passed = self.passed(now)
        return self.actions[passed:], max(self.committed - passed, 0)


class Schedule:
    """The plan that plays, from what is heard. Chunks that the controller will not play give none: those that answer
    no request, and those that are late.
    """

    def __init__(self, period: int) -> None:
        """period: of the contract's rate, nanoseconds."""
        self._period = period
        self._requests: deque[ChunkRequest] = deque(maxlen=REMEMBERED)
        self.planned: Planned | None = None

    def clear(self) -> None:
        """Everything planned is dropped, as at a stop."""
        self.planned = None

    def request(self, request: ChunkRequest) -> None:
        """A request, which is told anew until it is answered."""
        if not any(request.identity == known.identity for known in self._requests):
            self._requests.append(request)

    def chunk(self, chunk: Chunk, now: int) -> None:
        """A chunk that comes at `now`."""
        request = next((known for known in self._requests if known.identity == chunk.identity), None)
        if request is None or chunk.actions.ndim != 2:
            return
        first, committed = now, 0
        if request.times:
            due = request.stamp + request.reserved * self._period
            if now > due + self._period:
                return
            committed = prefix_of(request, chunk.stamp).committed
            first = due - committed * self._period
        elif request.not_before is None:
            # It takes over at once (naive, ensemble): action 0 is that of the first tick that the observation misses.
            first = chunk.stamp + request.delay
        self.planned = Planned(first, self._period, chunk.actions, committed)


class History:
    """What was commanded in the last seconds, in the action's dimensions; NaN in those that nothing was said of."""

    def __init__(self, dimensions: int, span: int) -> None:
        """span: nanoseconds that are kept."""
        self._span = span
        self._rows: deque[tuple[int, Vector]] = deque()
        self._size = dimensions

    def add(self, now: int, place: slice, values: Vector) -> None:
        """A command for the dimensions `place`, heard at `now`."""
        if self._rows and now < self._rows[-1][0]:
            self._rows.clear()  # another clock, or one set back
        row = self._rows[-1][1].copy() if self._rows else np.full(self._size, np.nan)
        row[place] = values
        self._rows.append((now, row))
        while now - self._rows[0][0] > self._span:
            self._rows.popleft()

    def since(self, begin: int) -> tuple[NDArray[np.int64], Vector]:
        """Times [n] in nanoseconds and commands [n, d] from `begin` on."""
        kept = [(time, row) for time, row in self._rows if time >= begin]
        times = np.array([time for time, _ in kept], dtype=np.int64)
        return times, np.array([row for _, row in kept]).reshape(len(kept), self._size)
