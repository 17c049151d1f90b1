"""What is measured to state vectors, joints, poses, forces, arrays and single numbers; the first three also back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, WrenchStamped
from numpy.typing import NDArray
from sensor_msgs.msg import FluidPressure, JointState, Range, Temperature
from std_msgs.msg import Float64, Float64MultiArray

from mode_ros.control.contract import State
from mode_ros.control.observation import Unusable
from mode_ros.messages.stamps import to_time

MESSAGE_TYPES = {
    'joint_state': JointState,
    'pose': PoseStamped,
    'wrench': WrenchStamped,
    'array': Float64MultiArray,
    'number': Float64,
    'temperature': Temperature,
    'pressure': FluidPressure,
    'range': Range,
}
# Where a message of one number has it.
_SCALAR_FIELDS = {'number': 'data', 'temperature': 'temperature', 'pressure': 'fluid_pressure', 'range': 'range'}


# How far a quaternion may be from length 1 and still be one.
_LENGTH = (0.9, 1.1)


def concerns(message: Any, state: State) -> bool:
    """Whether a message is one of this stream: of a joint state, whether it names any of the stream's joints.

    Drivers of arm and gripper often share a topic, each naming its own joints; the other's messages are no fault.
    """
    if state.type != 'joint_state':
        return True
    return not set(state.names).isdisjoint(getattr(message, 'name', ()))


def decode_state(message: Any, state: State) -> NDArray[np.float64]:
    """float64 [n] in the contract's order and unit.

    message: of the state's type in rclpy, or any object with the same fields. Joints are found by name, whatever their
    order; joints that the contract does not name are left out. An array is as long as its names. Raises Unusable for a
    joint that is missing or named twice, a field shorter than its names, a quaternion that is none, and values that are
    not finite; nothing else, whatever has arrived.
    """
    try:
        values = _read(message, state)
    except (TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise Unusable(f'it is no {state.message_type}: {type(error).__name__}: {error}') from error
    if not np.isfinite(values).all():
        index = int(np.flatnonzero(~np.isfinite(values))[0])
        raise Unusable(f'{state.names[index]} is {values[index]}')
    if state.type == 'pose' and not _LENGTH[0] < np.linalg.norm(values[3:]) < _LENGTH[1]:
        raise Unusable(f'its orientation {values[3:].tolist()} has the length {np.linalg.norm(values[3:]):.3g}, not 1')
    scale, offset = state.conversion
    measured = slice(0, 3) if state.type == 'pose' else slice(None)
    values[measured] = values[measured] * scale + offset
    return values


def _read(message: Any, state: State) -> NDArray[np.float64]:
    if state.type == 'joint_state':
        return _joint_values(message, state)
    if state.type == 'pose':
        return _pose_values(message)
    if state.type == 'wrench':
        return _wrench_values(message)[: len(state.names)]
    if state.type == 'array':
        values = np.asarray(message.data, dtype=np.float64)
        if values.shape != (len(state.names),):
            raise Unusable(f'it has {values.size} numbers, and {len(state.names)} are named: {list(state.names)}')
        return values.copy()
    return np.array([float(getattr(message, _SCALAR_FIELDS[state.type]))])


def _wrench_values(message: Any) -> NDArray[np.float64]:
    parts = (message.wrench.force, message.wrench.torque)
    return np.array([getattr(part, axis) for part in parts for axis in 'xyz'], dtype=np.float64)


def _joint_values(message: Any, state: State) -> NDArray[np.float64]:
    names = list(message.name)
    missing = [name for name in state.names if name not in names]
    if missing:
        raise Unusable(f'the joints {missing} are missing (message has {names})')
    twice = [name for name in state.names if names.count(name) > 1]
    if twice:
        raise Unusable(f'the joints {twice} are named twice (message has {names})')
    values = np.asarray(getattr(message, state.field), dtype=np.float64)
    if values.ndim != 1 or len(values) != len(names):
        raise Unusable(f'its field {state.field!r} has {values.size} values for {len(names)} joints')
    return values[[names.index(name) for name in state.names]]


def _pose_values(message: Any) -> NDArray[np.float64]:
    position, orientation = message.pose.position, message.pose.orientation
    return np.array(
        [position.x, position.y, position.z, orientation.x, orientation.y, orientation.z, orientation.w],
        dtype=np.float64,
    )


def encode_joint_state(
    names: Sequence[str],
    positions: NDArray[np.float64],
    velocities: NDArray[np.float64],
    stamp: int,
    efforts: Sequence[float] | NDArray[np.float64] = (),
) -> JointState:
    """A JointState stamped in nanoseconds; positions, velocities and efforts [n] in the order of names, or none."""
    message = JointState(name=list(names), position=positions.tolist(), velocity=velocities.tolist())
    message.effort = [float(value) for value in efforts]
    message.header.stamp = to_time(stamp)
    return message


def encode_pose(
    position: NDArray[np.float64], orientation: NDArray[np.float64], stamp: int, frame_id: str
) -> PoseStamped:
    """A PoseStamped; position [3] in metres, orientation [4] as quaternion x, y, z, w."""
    message = PoseStamped()
    message.header.stamp, message.header.frame_id = to_time(stamp), frame_id
    for axis, value in zip('xyz', position, strict=True):
        setattr(message.pose.position, axis, float(value))
    for axis, value in zip('xyzw', orientation, strict=True):
        setattr(message.pose.orientation, axis, float(value))
    return message


def encode_wrench(values: NDArray[np.float64], stamp: int, frame_id: str) -> WrenchStamped:
    """A WrenchStamped of [6] numbers: force in N, then torque in Nm, along x, y and z of the frame."""
    message = WrenchStamped()
    message.header.stamp, message.header.frame_id = to_time(stamp), frame_id
    for part, numbers in ((message.wrench.force, values[:3]), (message.wrench.torque, values[3:])):
        for axis, value in zip('xyz', numbers, strict=True):
            setattr(part, axis, float(value))
    return message
