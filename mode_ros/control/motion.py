"""From actions at the contract's rate to commands at its control rate, within its limits: the last thing before the
robot.

Where neither a control rate nor a jerk is given, each action is one command and `limits` alone decides; else the
dimensions follow the curves of `smoothing`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import Contract
from mode_ros.control.limits import ActionLimiter
from mode_ros.control.poses import limit_pose
from mode_ros.control.smoothing import Axis, PlainAxis, PlainSpeedAxis, PositionAxis, SpeedAxis

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """One command. values: [d], targets, and displacements in the time of one command; velocities: [d] per second."""

    values: Vector
    velocities: Vector


class Motion(Protocol):
    """`aim` or `hold` at each action, then `advance` once per command. NaN: nobody knows where the dimension is."""

    @property
    def moving(self) -> bool: ...
    @property
    def rest(self) -> Vector: ...
    def start_from(self, positions: Vector | float) -> None: ...
    def pause(self) -> None: ...
    def aim(self, action: Vector, following: Vector | None = None, pull_in: bool = True) -> tuple[Vector, Vector]: ...
    def rest_after(self, action: Vector, following: Vector | None = None, pull_in: bool = True) -> Vector: ...
    def hold(self) -> None: ...
    def advance(self) -> Sample: ...


def make_motion(contract: Contract) -> Motion:
    """The motion that the contract asks for."""
    jerk = any(dimension.max_jerk is not None for dimension in contract.dimensions)
    return SmoothMotion(contract) if jerk or contract.commands_per_action > 1 else DirectMotion(contract)


class DirectMotion:
    """One command per action."""

    def __init__(self, contract: Contract) -> None:
        self._limiter = ActionLimiter(contract)
        self._delta, self._rate = contract.delta_mask, contract.rate
        self._before = self._command = self._limiter.rest

    @property
    def moving(self) -> bool:
        return self._limiter.moving

    @property
    def rest(self) -> Vector:
        return self._limiter.rest

    def start_from(self, positions: Vector | float) -> None:
        """The robot stands at `positions` [d]."""
        self._limiter.start_from(positions)
        self._before = self._command = self._limiter.rest

    def pause(self) -> None:
        """The robot stands at its last targets, since nothing was sent for a while."""
        self._limiter.pause()

    def aim(self, action: Vector, following: Vector | None = None, pull_in: bool = True) -> tuple[Vector, Vector]:
        """Takes `action` [d]; what the limits leave of it, and what they take off. See `ActionLimiter.apply`."""
        self._before = self._command
        self._command, reduced = self._limiter.apply(action, pull_in)
        return self._command, reduced

    def rest_after(self, action: Vector, following: Vector | None = None, pull_in: bool = True) -> Vector:
        """Where a stop right after `action` would end, [d]; of displacements their sum. Changes nothing."""
        return self._limiter.rest_after(action, pull_in)

    def hold(self) -> None:
        """The next step of a stop."""
        self._before = self._command
        self._command = self._limiter.hold()

    def advance(self) -> Sample:
        """The command of this period."""
        step = np.where(self._delta, self._command, np.nan_to_num(self._command - self._before))
        return Sample(self._command, step * self._rate)


class SmoothMotion:
    """Several commands per action, or limited jerk."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._delta = contract.delta_mask
        self._period, self._seconds = contract.period_seconds, contract.command_seconds
        self._axes: list[Axis] = []
        for dimension, delta in zip(contract.dimensions, self._delta, strict=True):
            kinds = (PlainSpeedAxis, SpeedAxis) if delta else (PlainAxis, PositionAxis)
            self._axes.append(kinds[dimension.max_step_change is not None](dimension, contract))
        self._poses = [
            (group, contract.group_slices[group.name]) for group in contract.action if group.output.adapter == 'pose'
        ]

    @property
    def moving(self) -> bool:
        """Whether the last command moved the robot."""
        return any(axis.velocity != 0.0 for axis in self._axes)

    @property
    def rest(self) -> Vector:
        """The action [d] that changes nothing."""
        return np.where(self._delta, 0.0, [axis.value for axis in self._axes])

    def start_from(self, positions: Vector | float) -> None:
        """The robot stands at `positions` [d]."""
        for axis, position in zip(self._axes, np.broadcast_to(positions, len(self._axes)), strict=True):
            axis.start_from(float(position))

    def pause(self) -> None:
        """The robot stands at its last targets, since nothing was sent for a while."""
        for axis, delta in zip(self._axes, self._delta, strict=True):
            if not delta:
                axis.start_from(axis.value)

    def aim(self, action: Vector, following: Vector | None = None, pull_in: bool = True) -> tuple[Vector, Vector]:
        """Sets off for `action` [d], and `following` after it (None: to rest there); what is reached of it when its
        period ends, and what that lacks.
        """
        onward = action if following is None else following
        reached = np.array(
            [
                axis.aim(float(a), float(f), self._period, pull_in)
                for axis, a, f in zip(self._axes, action, onward, strict=True)
            ]
        )
        return reached, np.abs(action - reached)

    def rest_after(self, action: Vector, following: Vector | None = None, pull_in: bool = True) -> Vector:
        """Where a stop right after `action` would end, [d]; of displacements their sum. Changes nothing."""
        onward = action if following is None else following
        ends = []
        for axis, a, f in zip(self._axes, action, onward, strict=True):
            kept = dict(vars(axis))
            ends.append(axis.rest_after(float(a), float(f), self._period, pull_in))
            vars(axis).update(kept)
        return np.array(ends)

    def hold(self) -> None:
        """From now on to rest."""
        for axis in self._axes:
            axis.stop()

    def advance(self) -> Sample:
        """The next command."""
        before = self.rest
        for axis in self._axes:
            axis.advance(self._seconds)
        values = np.array([axis.value for axis in self._axes])
        values = np.where(self._delta, values * self._seconds, values)
        for group, place in self._poses:
            # A rotation's speed is no matter of its three numbers one by one.
            if not np.isnan(before[place]).any():
                distance = (group.output.max_speed or np.inf) * self._seconds
                angle = (group.output.max_rotation_speed or np.inf) * self._seconds
                limited = limit_pose(before[place], values[place], group, distance, angle)
                if not np.array_equal(limited, values[place]):
                    values[place] = limited
                    for axis, value in zip(self._axes[place], limited, strict=True):
                        axis.value = float(value)
        return Sample(values, np.array([axis.velocity for axis in self._axes]))
