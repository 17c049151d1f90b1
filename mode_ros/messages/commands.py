"""The contract's output adapters: action groups to command messages, and back for simulators and recordings."""

from __future__ import annotations

from typing import Any

import numpy as np
from geometry_msgs.msg import TwistStamped
from numpy.typing import NDArray
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from mode_ros.control.contract import ActionGroup
from mode_ros.control.observation import Unusable
from mode_ros.messages.stamps import to_duration, to_time

MESSAGE_TYPES = {
    'joint_trajectory': JointTrajectory,
    'forward_command': Float64MultiArray,
    'twist': TwistStamped,
}

_TWIST_FIELDS = (
    ('linear', 'x'),
    ('linear', 'y'),
    ('linear', 'z'),
    ('angular', 'x'),
    ('angular', 'y'),
    ('angular', 'z'),
)


def encode_command(values: NDArray[np.float64], group: ActionGroup, period: float, stamp: int) -> Any:
    """The message that commands `values` [n] of `group` for one control period.

    period: seconds; stamp: nanoseconds. A twist carries velocities, displacement / period; a joint trajectory one
    point to be reached when the period ends.
    """
    adapter = group.output.adapter
    if adapter == 'twist':
        twist = TwistStamped()
        twist.header.stamp, twist.header.frame_id = to_time(stamp), group.output.frame_id
        for (part, axis), value in zip(_TWIST_FIELDS, values, strict=False):
            setattr(getattr(twist.twist, part), axis, float(value) / period)
        return twist
    if adapter == 'joint_trajectory':
        point = JointTrajectoryPoint(positions=values.tolist(), time_from_start=to_duration(round(period * 1e9)))
        # A zero stamp means 'from now on' to joint_trajectory_controller, which so needs no synchronised clock.
        return JointTrajectory(joint_names=list(group.names), points=[point])
    return Float64MultiArray(data=values.tolist())


def decode_command(message: Any, group: ActionGroup, period: float) -> NDArray[np.float64]:
    """The values [n] that `encode_command` was given; raises Unusable for a message of another shape."""
    adapter = group.output.adapter
    if adapter == 'twist':
        velocities = [getattr(getattr(message.twist, part), axis) for part, axis in _TWIST_FIELDS]
        values = np.array(velocities[: len(group.names)], dtype=np.float64) * period
    elif adapter == 'joint_trajectory':
        names = list(message.joint_names)
        if sorted(names) != sorted(group.names) or not message.points:
            raise Unusable(
                f'a command for {names} with {len(message.points)} points, expected one for {list(group.names)}'
            )
        positions = np.asarray(message.points[-1].positions, dtype=np.float64)
        values = positions[[names.index(name) for name in group.names]]
    else:
        values = np.asarray(message.data, dtype=np.float64)
        if len(values) != len(group.names):
            raise Unusable(f'a command of {len(values)} values, expected {len(group.names)}')
    if not np.isfinite(values).all():
        raise Unusable(f'a command of {values.tolist()}')
    return values
