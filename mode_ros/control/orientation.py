"""One sign for quaternions: q and -q are the same orientation, and a policy must not see both.

A driver may flip the sign whenever it likes. The first quaternion of a stream gets the sign on the side of a fixed
direction, each later message that which is nearer to the one before, whether an observation holds them or not: a pose
that stands still stays one point, one that turns moves without a jump. Over many episodes that memory goes astray: a
hand that has gone once around comes home with the other sign. So an episode's first observation is put on the side of
the fixed direction again, and the others of the episode are turned with it. Recorded and live streams, and what is
imported, go through the same code.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import Contract

# Of x, y, z, w. Chosen far from a right angle to every orientation that robots are built in (all that turn axes onto
# axes or onto diagonals: |dot| > 0.09), so that noise does not decide the sign at the start of an episode.
_REFERENCE = np.array([0.897, 0.229, -0.096, 0.366])

Vector = NDArray[np.float64]


def continuous(pose: Vector, before: Vector | None) -> Vector:
    """`pose` [7] (x, y, z, qx, qy, qz, qw) with the sign of its quaternion that is nearer to that of `before` [7], or
    to the fixed direction where that is None. Not changed in place.
    """
    reference = _REFERENCE if before is None else before[3:]
    return pose if float(pose[3:] @ reference) >= 0.0 else _turned(pose)


class EpisodeSigns:
    """Chooses the sign of each pose once an episode, by its first observation."""

    def __init__(self, contract: Contract) -> None:
        self._poses = [state.name for state in contract.observation.states if state.type == 'pose']
        self._goal = ''
        self._turned: dict[str, bool] = {}

    def begin(self) -> None:
        """An episode begins with the next observation."""
        self._turned.clear()

    def of(self, states: Mapping[str, Vector], goal: str) -> Mapping[str, Vector]:
        """The states of an observation, whose poses are continuous from one observation to the next, with the
        episode's signs. Another goal than the last is another episode.
        """
        if goal != self._goal:
            self._goal = goal
            self.begin()
        for name in self._poses:
            if name not in self._turned:
                self._turned[name] = continuous(states[name], None) is not states[name]
        return {name: _turned(values) if self._turned.get(name) else values for name, values in states.items()}


def _turned(pose: Vector) -> Vector:
    return np.concatenate([pose[:3], -pose[3:]])
