"""Command messages to Setpoints: how a command is followed, in a recording as by the nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import ActionGroup, Leader
from mode_ros.control.observation import Unusable
from mode_ros.control.setpoints import Setpoint
from mode_ros.messages.commands import decode_command, from_message
from mode_ros.messages.stamps import to_nanoseconds

# Ten minutes at 100 points a second: what claims more is damaged.
MAX_POINTS = 60_000


def names_any(message: Any, group: ActionGroup) -> bool:
    """Whether a command names any of the group's joints; others share the topic, and theirs are no fault."""
    if group.output.adapter != 'joint_trajectory':
        return True
    names = getattr(message, 'joint_names', ())
    return not len(names) or not set(group.names).isdisjoint(names)


def is_action_of(message: Any, group: ActionGroup) -> bool:
    """Whether a message of the topic that a recording's actions are read from is about the group."""
    if group.leader is None:
        return names_any(message, group)
    names = getattr(message, 'name', ())
    return not len(names) or not set(group.leader.names or group.names).isdisjoint(names)


def decode_action(message: Any, group: ActionGroup, period: float) -> Setpoint:
    """What a recording holds as the action of `group`: a command, or where its leader arm is. Raises Unusable."""
    if group.leader is None:
        return decode_setpoint(message, group, period)
    return Setpoint.at_once(_led(message, group, group.leader))


def decode_setpoint(message: Any, group: ActionGroup, period: float) -> Setpoint:
    """What the message asks of `group`; raises Unusable, and nothing else, whatever has arrived.

    A trajectory may name other joints besides the group's: arm and gripper in one.
    """
    if group.output.adapter != 'joint_trajectory':
        return Setpoint.at_once(decode_command(message, group, period))
    try:
        return _trajectory(message, group)
    except (TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise Unusable(f'a command that is no trajectory: {type(error).__name__}: {error}') from error


def _led(message: Any, group: ActionGroup, leader: Leader) -> NDArray[np.float64]:
    """Where the leader's joints are, as an action [n]."""
    try:
        names, positions = list(message.name), np.asarray(message.position, np.float64)
        wanted = leader.names or group.names
        missing = [name for name in wanted if names.count(name) != 1]
        if missing:
            raise Unusable(f'the leader does not tell {missing} once (message has {names})')
        if positions.shape != (len(names),):
            raise Unusable(f'the leader tells {positions.size} positions for {len(names)} joints')
        values = positions[[names.index(name) for name in wanted]]
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise Unusable(f'a leader that tells no JointState: {type(error).__name__}: {error}') from error
    if not np.isfinite(values).all():
        raise Unusable(f'a leader that is at {values.tolist()}')
    scale, offset = leader.scale or np.ones(len(values)), leader.offset or np.zeros(len(values))
    return np.asarray(values * np.array(scale) + np.array(offset))


def _trajectory(message: Any, group: ActionGroup) -> Setpoint:
    names, points = list(message.joint_names), message.points
    missing = [name for name in group.names if names.count(name) != 1]
    if missing or not len(points):
        raise Unusable(f'a command for {names} with {len(points)} points, expected one for {list(group.names)}')
    if len(points) > MAX_POINTS:
        raise Unusable(f'a trajectory of {len(points)} points, more than {MAX_POINTS}')
    places = [names.index(name) for name in group.names]
    positions = _rows([point.positions for point in points], places, len(names), 'positions')
    if positions is None:
        raise Unusable('a trajectory without positions; one of velocities or efforts alone is no target')
    times = np.array([to_nanoseconds(point.time_from_start) for point in points], np.int64)
    if times[0] < 0 or (np.diff(times) <= 0).any():
        raise Unusable(f'a trajectory whose times do not rise: {(times / 1e9).round(3).tolist()[:8]} s')
    velocities = None
    if len(points) > 1:
        velocities = _rows([point.velocities for point in points], places, len(names), 'velocities')
    values = from_message(positions, group)
    if velocities is not None:
        scale = np.array([dimension.conversion[0] for dimension in group.dimensions])
        velocities = velocities * scale
    return Setpoint(times, values, velocities)


def _rows(rows: list[Any], places: list[int], width: int, what: str) -> NDArray[np.float64] | None:
    """[points, group]; None where no point has such numbers."""
    lengths = {len(row) for row in rows}
    if lengths == {0}:
        return None
    if lengths != {width}:
        if what == 'velocities' and lengths == {0, width}:
            return None  # given for some points only: then for none
        raise Unusable(f'a trajectory with {sorted(lengths)} {what} per point for {width} joints')
    found = np.array([np.asarray(row, np.float64) for row in rows])[:, places]
    if not np.isfinite(found).all():
        raise Unusable(f'a command of {found[~np.isfinite(found).all(1)][0].tolist()}')
    return found
