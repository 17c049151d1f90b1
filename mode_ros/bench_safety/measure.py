"""From the commands that a driver received to when they stopped and what they exceeded. Pure: times are arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import ActionGroup

Vector = NDArray[np.float64]

# Commands that were sent this many periods apart belong to two motions; the second begins where the arm is measured.
GAP_PERIODS = 3.0
# Up to so much more (periods) either may be meant: the controller decides before it sends, and sending takes a moment.
GAP_DOUBT = 0.5
# How far from the measured position a motion may begin (rad or m): noise and lag of an arm that stands.
START_TOLERANCE = 2e-3
# A command brakes when it is slower than the one before by more than noise.
SLOWER = 0.99
# What rounding of nanoseconds and of velocities adds to a step.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Limits:
    """What a group may command, per dimension [d]; infinite where the contract says nothing.

    step and step_change: per control period; velocity, acceleration and jerk: per second, second², second³.
    absolute: whether commands are targets, whose step is the difference between two.
    """

    absolute: bool
    period: float
    lower: Vector
    upper: Vector
    step: Vector
    step_change: Vector
    velocity: Vector
    acceleration: Vector
    jerk: Vector

    @classmethod
    def of(cls, group: ActionGroup, period: float) -> Limits:
        """The contract's limits of `group`. period: seconds from one command to the next."""

        def each(key: str, missing: float = np.inf) -> Vector:
            # Some of the limits are optional keys of the contract.
            values = [getattr(dimension, key, None) for dimension in group.dimensions]
            return np.array([missing if value is None else value for value in values], dtype=np.float64)

        return cls(
            absolute=group.kind == 'absolute',
            period=period,
            lower=each('lower'),
            upper=each('upper'),
            step=each('max_step'),
            step_change=each('max_step_change'),
            velocity=each('max_velocity'),
            acceleration=each('max_acceleration'),
            jerk=each('max_jerk'),
        )


@dataclass(frozen=True)
class Commands:
    """What arrived, in order. times: seconds [n]; values: commands [n, d]; measured: where the arm was then [n, d];
    sent: when the controller sent them, seconds [n], None where that is as they arrived.
    """

    times: Vector
    values: Vector
    measured: Vector
    sent: Vector | None = None

    def gaps(self, period: float) -> Vector:
        """[n]: periods since the command before was sent; 0 for the first."""
        sent = self.times if self.sent is None else self.sent
        return np.diff(sent, prepend=sent[:1]) / period


@dataclass(frozen=True)
class Stop:
    """When the commands came to rest after a fault, in seconds from it; None where they did not."""

    first: float | None
    rest: float | None


def steps(commands: Commands, limits: Limits) -> Vector:
    """[n, d]: how far each command moves the arm.

    The first command of a motion counts from the arm or from the last command, whichever is nearer; before the very
    first nothing is known, so it counts as none.
    """
    if not limits.absolute:
        return commands.values
    moved = np.diff(commands.values, axis=0, prepend=commands.values[:1])
    away = commands.values - commands.measured
    begins = commands.gaps(limits.period) > GAP_PERIODS + GAP_DOUBT
    nearer = begins & (np.abs(away).max(axis=1) < np.abs(moved).max(axis=1))
    moved[nearer] = np.where(np.abs(away[nearer]) <= START_TOLERANCE, 0.0, away[nearer])
    return moved


def stop_after(commands: Commands, limits: Limits, fault: float) -> Stop:
    """The first command after `fault` that brakes to the rest in which the commands end, and the first of the rest.

    A command after which nothing more came is no rest while it moves the arm. Where nothing came after the fault, and
    the last command before it moved nothing, the arm has rested from the fault on.
    """
    speed = np.linalg.norm(steps(commands, limits), axis=1)
    after = np.flatnonzero(commands.times > fault)
    if not len(after):
        return Stop(0.0, 0.0) if len(speed) and speed[-1] <= 1e-9 else Stop(None, None)
    # The rest begins behind the last command that moves.
    moving = after[speed[after] > 1e-9]
    rest = int(moving[-1]) + 1 if len(moving) else int(after[0])
    if rest >= len(speed):
        return Stop(None, None)
    first = rest
    while first > after[0] and speed[first - 1] < SLOWER * speed[max(first - 2, 0)]:
        first -= 1
    return Stop(float(commands.times[first] - fault), float(commands.times[rest] - fault))


def excesses(commands: Commands, limits: Limits) -> Mapping[str, float]:
    """By how much each limit was exceeded, as a share of it (of the range, for the bounds); 0.0 where it was kept."""
    if len(commands.times) < 4:
        return {}
    moved, change = _motion(commands, limits)
    span = limits.upper - limits.lower
    outside = np.maximum(limits.lower - commands.values, commands.values - limits.upper) / span
    found = {
        'bounds': float(outside.max()),
        'step': _over(moved, limits.step),
        'step change': _over(change, limits.step_change),
        'velocity': _over(moved / limits.period, limits.velocity),
        'acceleration': _over(change / limits.period**2, limits.acceleration),
        'jerk': _over(np.diff(change, axis=0) / limits.period**3, limits.jerk),
    }
    return {name: value if value > ROUNDING else 0.0 for name, value in found.items()}


def is_moving(commands: Commands, limits: Limits, now: float, count: int, speed: float) -> bool:
    """Whether the last `count` commands all moved the arm by more than `speed` a period, the last a moment ago."""
    if len(commands.times) <= count or now - commands.times[-1] > GAP_PERIODS * limits.period:
        return False
    return bool(np.all(np.linalg.norm(steps(commands, limits)[-count:], axis=1) > speed))


def worst(commands: Commands, limits: Limits, fault: float) -> str:
    """Where a limit was exceeded most, in words: the change of step before and after, and when; '' where none was."""
    if not any(excesses(commands, limits).values()):
        return ''
    moved, change = _motion(commands, limits)
    over = np.maximum(np.abs(change) / limits.step_change, np.abs(moved[1:]) / limits.step).max(axis=1)
    row = int(np.argmax(over))
    dimension = int(np.argmax(np.abs(change[row]) / limits.step_change))
    place = len(commands.times) - len(change) + row
    late = commands.times[place] - (commands.times if commands.sent is None else commands.sent)[place]
    return (
        f'worst in dimension {dimension}: {moved[row, dimension]:.4f}, then {moved[row + 1, dimension]:.4f} a period, '
        f'{(commands.times[place] - fault) / limits.period:.1f} periods after the fault, sent '
        f'{commands.gaps(limits.period)[place]:.2f} periods after the one before, heard {1000 * late:.0f} ms later'
    )


def _motion(commands: Commands, limits: Limits) -> tuple[Vector, Vector]:
    """Steps [m, d] and changes of step [m - 1, d]."""
    moved = steps(commands, limits)[0 if not limits.absolute else 1 :]
    change = np.diff(moved, axis=0)
    if not limits.absolute:
        return moved, change  # what velocities were before a silence nobody takes back
    # A motion begins with an arm that stands.
    gaps = commands.gaps(limits.period)[-len(change) :]
    smaller = np.abs(moved[1:]).max(axis=1) < np.abs(change).max(axis=1)
    begins = (gaps > GAP_PERIODS) & ((gaps > GAP_PERIODS + GAP_DOUBT) | smaller)
    return moved, np.where(begins[:, None], moved[1:], change)


def _over(values: Vector, limit: Vector) -> float:
    return float((np.abs(values) / limit).max()) - 1.0
