"""Teleoperation commands as trajectory_msgs/JointTrajectory."""

from __future__ import annotations

from typing import Any

import numpy as np
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from mode_ros.control.takeover import TeleopCommand, TeleopRefused
from mode_ros.messages.stamps import to_nanoseconds, to_time


def encode_teleop(command: TeleopCommand) -> JointTrajectory:
    """One point whose positions are the action, and none at the moment when the deadman is let go.

    joint_names: the action names; stamp: now.
    """
    message = JointTrajectory(joint_names=list(command.names))
    message.header.stamp = to_time(command.stamp)
    if command.action is not None:
        message.points = [JointTrajectoryPoint(positions=command.action.tolist())]
    return message


def decode_teleop(message: Any) -> TeleopCommand:
    """The command in a message; raises TeleopRefused for more than one point. `check_command` does the rest."""
    if len(message.points) > 1:
        raise TeleopRefused('shape', f'it has {len(message.points)} points, expected one')
    action = np.array(message.points[0].positions, dtype=np.float64) if message.points else None
    return TeleopCommand(to_nanoseconds(message.header.stamp), tuple(message.joint_names), action)
