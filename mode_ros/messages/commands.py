"""The contract's output adapters: action groups to command messages, and back for simulators and recordings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, TwistStamped
from numpy.typing import NDArray
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from mode_ros.control.contract import ActionGroup, Contract
from mode_ros.control.observation import Unusable
from mode_ros.control.poses import pose_vector, split_pose
from mode_ros.messages.stamps import to_duration, to_time
from mode_ros.messages.states import encode_pose

MESSAGE_TYPES = {
    'joint_trajectory': JointTrajectory,
    'forward_command': Float64MultiArray,
    'twist': TwistStamped,
    'pose': PoseStamped,
    'gripper_command': JointState,
}

_TWIST_FIELDS = (
    ('linear', 'x'),
    ('linear', 'y'),
    ('linear', 'z'),
    ('angular', 'x'),
    ('angular', 'y'),
    ('angular', 'z'),
)


# A trajectory with velocities is to be reached after so many periods, and at rest after so many: the next one comes
# before, so that one that is late by half a period changes nothing, and one that does not come ends in rest.
REACHED_AFTER, AT_REST_AFTER = 1.5, 2.0


def encode_command(
    values: NDArray[np.float64],
    group: ActionGroup,
    period: float,
    stamp: int,
    velocities: NDArray[np.float64] | None = None,
) -> Any:
    """The message that commands `values` [n] of `group` for one control period.

    period: seconds; stamp: nanoseconds; velocities: [n] per second, of a joint trajectory. A twist carries velocities,
    displacement / period; a joint trajectory one point to be reached when the period ends, or with velocities a point
    to be passed after one and a half periods and, where that is in motion, the same positions at rest after two. The
    message of a gripper command only tells what is commanded, so that it
    can be recorded; the action's goal is the business of mode_ros.drivers.gripper.
    """
    adapter = group.output.adapter
    values = to_message(values, group)
    if adapter == 'twist':
        twist = TwistStamped()
        twist.header.stamp, twist.header.frame_id = to_time(stamp), group.output.frame_id
        for (part, axis), value in zip(_TWIST_FIELDS, values, strict=False):
            setattr(getattr(twist.twist, part), axis, float(value) / period)
        return twist
    if adapter == 'joint_trajectory':
        # A zero stamp means 'from now on' to joint_trajectory_controller, which so needs no synchronised clock.
        scaled = None if velocities is None else _scaled(velocities, group)
        return JointTrajectory(joint_names=list(group.names), points=_points(values, scaled, period))
    if adapter == 'pose':
        position, quaternion = split_pose(values)
        return encode_pose(position, quaternion, stamp, group.output.frame_id)
    if adapter == 'gripper_command':
        told = JointState(name=list(group.names), position=values.tolist())
        told.header.stamp = to_time(stamp)
        return told
    return Float64MultiArray(data=values.tolist())


def encode_commands(
    commands: Mapping[str, NDArray[np.float64]],
    contract: Contract,
    period: float,
    stamp: int,
    velocities: Mapping[str, NDArray[np.float64]] | None = None,
) -> Iterator[tuple[str, tuple[ActionGroup, ...], Any]]:
    """(topic, groups, message) of each topic on which `commands` leave; arguments as of `encode_command`, by group.

    Groups that share a topic leave in one message: a trajectory of all their joints, or one array. It is sent when all
    of them have a command, since a driver takes it whole or not at all.
    """
    moving = velocities or {}
    for topic, groups in contract.outputs.items():
        if any(group.name not in commands for group in groups):
            continue
        if len(groups) == 1 and groups[0].output.joints is None:
            (group,) = groups
            yield topic, groups, encode_command(commands[group.name], group, period, stamp, moving.get(group.name))
            continue
        names = [name for group in groups for name in group.names]
        values = np.concatenate([to_message(commands[group.name], group) for group in groups])
        joints = groups[0].output.joints
        if joints is not None:
            yield topic, groups, Float64MultiArray(data=[float(values[names.index(name)]) for name in joints])
            continue
        scaled = None
        if all(group.name in moving for group in groups):
            scaled = np.concatenate([_scaled(moving[group.name], group) for group in groups])
        yield topic, groups, JointTrajectory(joint_names=names, points=_points(values, scaled, period))


def _scaled(velocities: NDArray[np.float64], group: ActionGroup) -> NDArray[np.float64]:
    """Velocities in the messages' units: as positions, without the offset."""
    return to_message(velocities, group) - to_message(np.zeros(len(velocities)), group)


def _points(
    values: NDArray[np.float64], scaled: NDArray[np.float64] | None, period: float
) -> list[JointTrajectoryPoint]:
    """Both in the messages' units."""
    positions = values.tolist()
    if scaled is None:
        return [JointTrajectoryPoint(positions=positions, time_from_start=to_duration(round(period * 1e9)))]
    points = [(REACHED_AFTER, scaled)]
    if np.any(scaled != 0.0):
        # It must end at rest: since Jazzy a joint_trajectory_controller takes no other.
        points.append((AT_REST_AFTER, np.zeros(len(scaled))))
    return [
        JointTrajectoryPoint(
            positions=positions, velocities=v.tolist(), time_from_start=to_duration(round(after * period * 1e9))
        )
        for after, v in points
    ]


def decode_command(message: Any, group: ActionGroup, period: float) -> NDArray[np.float64]:
    """The values [n] that `encode_command` was given; raises Unusable for a message of another shape.

    Of a trajectory of several points, the last: see `decode_setpoint` for how it gets there.
    """
    try:
        values = from_message(_values(message, group, period), group)
    except (TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise Unusable(f'a command that is no {group.output.message_type}: {type(error).__name__}: {error}') from error
    if not np.isfinite(values).all():
        raise Unusable(f'a command of {values.tolist()}')
    return values


def _values(message: Any, group: ActionGroup, period: float) -> NDArray[np.float64]:
    adapter = group.output.adapter
    if adapter == 'twist':
        velocities = [getattr(getattr(message.twist, part), axis) for part, axis in _TWIST_FIELDS]
        values = np.array(velocities[: len(group.names)], dtype=np.float64) * period
    elif adapter == 'joint_trajectory':
        names = list(message.joint_names)
        if any(names.count(name) != 1 for name in group.names) or not message.points:
            raise Unusable(
                f'a command for {names} with {len(message.points)} points, expected one for {list(group.names)}'
            )
        positions = np.asarray(message.points[-1].positions, dtype=np.float64)
        if positions.shape != (len(names),):
            raise Unusable(f'a trajectory with {positions.size} positions for {len(names)} joints')
        values = positions[[names.index(name) for name in group.names]]
    elif adapter == 'pose':
        values = _decode_pose(message, group)
    elif adapter == 'gripper_command':
        names, positions = list(message.name), np.asarray(message.position, dtype=np.float64)
        if names != list(group.names) or len(positions) != len(names):
            raise Unusable(f'a command of {len(positions)} positions for {names}, expected {list(group.names)}')
        values = positions
    else:
        values = np.asarray(message.data, dtype=np.float64)
        joints = group.output.joints or group.names
        if values.shape != (len(joints),):
            raise Unusable(f'a command of {values.size} values, expected {len(joints)}')
        values = values[[joints.index(name) for name in group.names]]
    return values


def _decode_pose(message: Any, group: ActionGroup) -> NDArray[np.float64]:
    frame = message.header.frame_id
    if frame and frame != group.output.frame_id:
        raise Unusable(f'a pose in the frame {frame!r}, expected {group.output.frame_id!r}')
    point, orientation = message.pose.position, message.pose.orientation
    quaternion = np.array([orientation.x, orientation.y, orientation.z, orientation.w], dtype=np.float64)
    try:
        return pose_vector(np.array([point.x, point.y, point.z], dtype=np.float64), quaternion, group)
    except ValueError as error:
        raise Unusable(f'a pose with {error}') from error


def from_message(values: NDArray[np.float64], group: ActionGroup) -> NDArray[np.float64]:
    """From the messages' units to the contract's; the last axis is the group's dimensions."""
    scale, offset = np.array([dimension.conversion for dimension in group.dimensions]).T
    return np.asarray(values * scale + offset)


def to_message(values: NDArray[np.float64], group: ActionGroup) -> NDArray[np.float64]:
    scale, offset = np.array([dimension.conversion for dimension in group.dimensions]).T
    return np.asarray((values - offset) / scale)
