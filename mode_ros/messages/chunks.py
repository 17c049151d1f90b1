"""Action chunks and requests for them as trajectory_msgs/JointTrajectory."""

from __future__ import annotations

from typing import Any

import numpy as np
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from mode_ros.control.chunk import Chunk, ChunkRejected
from mode_ros.messages.stamps import to_duration, to_nanoseconds, to_time


def encode_chunk(chunk: Chunk) -> JointTrajectory:
    """joint_names: the action names; stamp: the time of the observation; positions and time_from_start of action i:
    the action and (i + 1) periods.
    """
    message = JointTrajectory(joint_names=list(chunk.names))
    message.header.stamp = to_time(chunk.stamp)
    message.points = [
        JointTrajectoryPoint(positions=action.tolist(), time_from_start=to_duration(time))
        for action, time in zip(chunk.actions, chunk.times, strict=True)
    ]
    return message


def decode_chunk(message: Any) -> Chunk:
    """The chunk in a message; raises ChunkRejected where points differ in length. `check_chunk` does the rest."""
    rows = [list(point.positions) for point in message.points]
    if len({len(row) for row in rows}) > 1:
        raise ChunkRejected('shape', f'its actions differ in length: {[len(row) for row in rows]}')
    return Chunk(
        stamp=to_nanoseconds(message.header.stamp),
        names=tuple(message.joint_names),
        times=tuple(to_nanoseconds(point.time_from_start) for point in message.points),
        actions=np.array(rows, dtype=np.float64).reshape(len(rows), -1) if rows else np.zeros((0, 0)),
    )


def encode_request(still_since: int, names: tuple[str, ...]) -> JointTrajectory:
    """Asks for a chunk planned from an observation stamped at or after `still_since` (nanoseconds).

    Its points are the actions that will still be executed from then on: none, while chunks are played one by one.
    """
    message = JointTrajectory(joint_names=list(names))
    message.header.stamp = to_time(still_since)
    return message


def decode_request(message: Any) -> int:
    """The time, in nanoseconds, from which an observation will do."""
    return to_nanoseconds(message.header.stamp)
