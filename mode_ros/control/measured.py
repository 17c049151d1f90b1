"""What the robot's states say: how old they are, where the robot is, and what is too far from there."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import NANOSECONDS, Contract
from mode_ros.control.feedback import measured_action
from mode_ros.control.freshness import StreamAge
from mode_ros.control.safety import describe_far, tracking_limits

Vector = NDArray[np.float64]

# A state may be stamped ahead of the clock by so many periods, as when a simulation's clock arrives after it, and by
# this in any case (nanoseconds): more is another clock.
AHEAD_PERIODS = 2
AHEAD = 20_000_000


class Measured:
    """The newest message of each state stream. Stamps are nanoseconds of the robot's clock."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._limits = tracking_limits(contract)
        self._ahead = max(AHEAD_PERIODS * contract.period, AHEAD)
        self._newest: dict[str, tuple[int, Vector]] = {}

    def update(self, stream: str, stamp: int, values: Vector) -> bool:
        """Takes a message [n] of the contract's stream; False for one that is not finite, which is none."""
        if not np.isfinite(values).all():
            return False
        self._newest[stream] = (stamp, values)
        return True

    def clear(self) -> None:
        """Nothing is known any more, as after a jump of the clock."""
        self._newest.clear()

    @property
    def values(self) -> Mapping[str, Vector]:
        """What each stream said last."""
        return {stream: values for stream, (_, values) in self._newest.items()}

    def ages(self, now: int) -> list[StreamAge]:
        """How old each state is at `now`, by its own stamp."""
        return [
            StreamAge(
                state.name,
                None if state.name not in self._newest else now - self._newest[state.name][0],
                round(state.max_age * NANOSECONDS),
                min(self._ahead, round(state.max_age * NANOSECONDS)),
            )
            for state in self._contract.observation.states
        ]

    def older_than(self, stamp: int) -> str:
        """'' or which of the states that tell where a group is are from before `stamp`, when the robot last moved."""
        names = sorted({group.feedback for group in self._contract.action if group.feedback in self._newest})
        old = [name for name in names if self._newest[name][0] < stamp]
        return '; '.join(f'{name}: no message since the robot last moved' for name in old)

    def far(self, wished: Vector) -> str:
        """'' or which dimension of `wished` [d] is too far from where it is measured."""
        return describe_far(self._contract.action_names, self._limits, wished, self.positions)

    @property
    def positions(self) -> Vector:
        """Where the robot is, [d]; NaN where the contract names no feedback, or nothing was measured."""
        positions = np.full(len(self._contract.dimensions), np.nan)
        for group in self._contract.action:
            if group.feedback is not None and group.feedback in self._newest:
                state = self._contract.state(group.feedback)
                values = self._newest[group.feedback][1]
                positions[self._contract.group_slices[group.name]] = measured_action(group, state, values)
        return positions
