"""A simulated robot's readings as the messages that a real one would publish."""

from __future__ import annotations

from typing import Any

from mode_ros.messages.states import encode_joint_state, encode_pose, encode_wrench
from mode_ros.simulated import Joints, Pose, Reading

FRAME = 'world'


def encode_reading(reading: Reading, stamp: int) -> Any:
    """The JointState, PoseStamped or WrenchStamped of a reading, stamped in nanoseconds, in the world frame."""
    if isinstance(reading, Joints):
        return encode_joint_state(reading.names, reading.positions, reading.velocities, stamp, reading.efforts)
    if isinstance(reading, Pose):
        return encode_pose(reading.position, reading.orientation, stamp, FRAME)
    return encode_wrench(reading.values, stamp, FRAME)
