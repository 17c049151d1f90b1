"""Limits on what is commanded: bounds, largest step, largest change of step. The last thing before the robot.

Absolute dimensions are targets: their step is the difference between two commands. Delta dimensions are steps
themselves. NaN in a command means 'nothing to send': an absolute dimension whose position nobody knows yet.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import ActionGroup, Contract
from mode_ros.control.poses import limit_pose

Vector = NDArray[np.float64]


class ActionLimiter:
    """Turns wished actions into commands that keep the contract's limits, one per control period."""

    def __init__(self, contract: Contract) -> None:
        dimensions = contract.dimensions
        self._delta = contract.delta_mask
        self._lower = np.array([dimension.lower for dimension in dimensions])
        self._upper = np.array([dimension.upper for dimension in dimensions])
        self._max_step = np.array([dimension.max_step or np.inf for dimension in dimensions])
        self._max_change = np.array([dimension.max_step_change or np.inf for dimension in dimensions])
        period = contract.period_seconds
        self._poses: list[tuple[ActionGroup, slice, float, float]] = [
            (
                group,
                contract.group_slices[group.name],
                (group.output.max_speed or np.inf) * period,
                (group.output.max_rotation_speed or np.inf) * period,
            )
            for group in contract.action
            if group.output.adapter == 'pose'
        ]
        self._command: Vector = np.where(self._delta, 0.0, np.nan)
        self._step: Vector = np.zeros(len(dimensions))

    @property
    def moving(self) -> bool:
        """Whether the last command moved the robot."""
        return bool(np.any(self._step != 0.0))

    @property
    def rest(self) -> Vector:
        """The action [d] that changes nothing: no displacement, the last target (NaN where there was none)."""
        return np.where(self._delta, 0.0, self._command)

    def start_from(self, positions: Vector | float) -> None:
        """Forgets the past: the robot stands at `positions` [d] (NaN where unknown; ignored for deltas)."""
        self._command = np.where(self._delta, 0.0, positions)
        self._step = np.zeros_like(self._step)

    def pause(self) -> None:
        """Nothing was sent for a while: the robot has reached its last targets and stands there. Displacements are left
        as they are: whether a driver went on with the last one, nobody here knows.
        """
        self._step = np.where(self._delta, self._step, 0.0)

    def apply(self, action: Vector, pull_in: bool = True) -> tuple[Vector, Vector]:
        """The command [d] nearest to `action` [d] that the limits allow, and the amount taken off each dimension.

        Bounds win over steps, steps over changes of step. A target that is far away is approached with a step that
        can still be braked in time, so that limiting the change of step never overshoots.

        pull_in: bring a robot that is found beyond a bound back to it; else it stays until `action` moves it inwards.
        """
        wished = np.clip(action, self._lower, self._upper) if pull_in else self._bounded(self._command, action)
        known = ~np.isnan(self._command)
        before = np.where(self._delta | ~known, 0.0, self._command)
        step = wished - before
        allowed = np.minimum(np.abs(step), self._max_step)
        braked = np.minimum(allowed, _stoppable(np.abs(step), self._max_change))
        step = np.sign(step) * np.where(self._delta, allowed, braked)
        step = np.clip(step, self._step - self._max_change, self._step + self._max_change)
        # Where nobody knows the position there is no step to limit (the contract demands feedback where it limits).
        command = np.where(known | self._delta, self._bounded(before, before + step), wished)
        for group, place, distance, angle in self._poses:
            # A rotation's speed is no matter of its three numbers one by one.
            if known[place].all():
                command[place] = limit_pose(before[place], command[place], group, distance, angle)
        self._advance(command)
        return command, np.abs(action - command)

    def rest_after(self, action: Vector, pull_in: bool = True) -> Vector:
        """Where a stop right after `action` would end, [d]; of displacements their sum. Changes nothing."""
        kept = self._command, self._step
        end = self.apply(action, pull_in)[0]
        while self.moving:
            command = self.hold()
            end = np.where(self._delta, end + command, command)
        self._command, self._step = kept
        return end

    def hold(self) -> Vector:
        """The next command [d] of a stop: steps shrink to nothing as fast as the limits allow."""
        step = np.sign(self._step) * np.maximum(np.abs(self._step) - self._max_change, 0.0)
        before = np.where(self._delta, 0.0, self._command)
        command = self._bounded(before, before + step)
        self._advance(command)
        return command

    def _bounded(self, before: Vector, command: Vector) -> Vector:
        """Within the bounds, or no further out than before: a robot found beyond a bound must not jump back."""
        return np.clip(command, np.fmin(self._lower, before), np.fmax(self._upper, before))

    def _advance(self, command: Vector) -> None:
        step = np.where(self._delta, command, command - self._command)
        self._step = np.nan_to_num(step, nan=0.0)
        self._command = command


def _stoppable(distance: Vector, max_change: Vector) -> Vector:
    """The largest step from which steps shrinking by `max_change` a period stop within `distance`.

    The steps s, s - m, s - 2m, ... down to r = s - n m sum to m n (n + 1) / 2 + (n + 1) r.
    """
    change = np.where(np.isinf(max_change), 1.0, max_change)
    n = np.floor((np.sqrt(1 + 8 * distance / change) - 1) / 2)
    rest = (distance - change * n * (n + 1) / 2) / (n + 1)
    return np.where(np.isinf(max_change), np.inf, n * change + rest)
