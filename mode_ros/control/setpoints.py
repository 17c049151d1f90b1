"""What a command asks for in each control period after it: a target at once, or the course of a trajectory.

Planners send one trajectory of many points, teleoperation a point per period. Both are a Setpoint: a recording and the
nodes that follow commands ask it the same question, so that they never differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Setpoint:
    """Targets of one group by the time since their start.

    times: int64 [p], nanoseconds, rising; positions: float64 [p, n]; velocities: the same shape in units per second,
    None where they are not given.
    """

    times: NDArray[np.int64]
    positions: NDArray[np.float64]
    velocities: NDArray[np.float64] | None = None

    @classmethod
    def at_once(cls, values: Vector) -> Setpoint:
        """One target [n], in force from the start."""
        return cls(np.zeros(1, np.int64), np.asarray(values, np.float64)[None])

    @property
    def final(self) -> Vector:
        """Where it ends, [n]."""
        return self.positions[-1]

    def in_period(self, elapsed: int, period: int, start: Vector | None) -> Vector:
        """The target [n] of the control period that ends `elapsed` nanoseconds after the start.

        The n-th period of a trajectory is given what is to be reached n periods after its start: a point due within
        one period is the target at once, as for whoever sends such a point in every period. So is the end of one that
        takes two periods at most: who sends those in every period, as controller_node does, gives the driver time over.
        """
        if self.times[-1] <= 2 * period:
            return self.final
        return self.at(max(1, -(-elapsed // period)) * period, start)

    def at(self, elapsed: int, start: Vector | None) -> Vector:
        """The position [n] `elapsed` nanoseconds after the start.

        start: what was in force before, from where it sets out; None where nobody knows: then the first point is taken.
        Between two points that both have velocities it moves on a cubic, else on a straight line; after the last point
        it stays there.
        """
        after = int(np.searchsorted(self.times, elapsed, side='left'))
        if after >= len(self.times):
            return self.positions[-1]
        if after == 0:
            if start is None or self.times[0] == 0:
                return self.positions[0]
            return start + (self.positions[0] - start) * (max(elapsed, 0) / float(self.times[0]))
        span = float(self.times[after] - self.times[after - 1])
        share = float(elapsed - self.times[after - 1]) / span
        a, b = self.positions[after - 1], self.positions[after]
        if self.velocities is None:
            return np.asarray(a + (b - a) * share)
        va, vb = self.velocities[after - 1] * span / 1e9, self.velocities[after] * span / 1e9
        s2, s3 = share * share, share**3
        return np.asarray(
            a * (2 * s3 - 3 * s2 + 1) + va * (s3 - 2 * s2 + share) + b * (3 * s2 - 2 * s3) + vb * (s3 - s2)
        )
