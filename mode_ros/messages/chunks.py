"""Action chunks and requests for them as trajectory_msgs/JointTrajectory."""

from __future__ import annotations

from typing import Any

import numpy as np
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from mode_ros.control.chunk import Chunk, ChunkRejected
from mode_ros.control.request import ChunkRequest, check_request
from mode_ros.errors import UserError
from mode_ros.messages.stamps import to_duration, to_nanoseconds, to_time

# Words of a request's header that are whole numbers.
_NUMBERS = ('reserved', 'period', 'delay', 'begun', 'not_before')


def encode_chunk(chunk: Chunk) -> JointTrajectory:
    """joint_names: the action names; stamp: the time of the observation; frame_id: the identity of the request that it
    answers; positions and time_from_start of action i: the action and (i + 1) periods.
    """
    message = JointTrajectory(joint_names=list(chunk.names))
    message.header.frame_id = chunk.identity
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
        identity=str(message.header.frame_id),
    )


def encode_request(request: ChunkRequest, names: tuple[str, ...]) -> JointTrajectory:
    """joint_names: the action names; stamp: the tick that asks; positions and time_from_start of each point: a known
    action and when it is issued, after the stamp (negative for what has been commanded).

    header.frame_id carries the rest as 'identity=ID reserved=PERIODS period=NS delay=NS begun=NS not_before=NS', the
    last only where the robot stands still.
    """
    message = JointTrajectory(joint_names=list(names))
    message.header.stamp = to_time(request.stamp)
    parts = [f'identity={request.identity}', f'reserved={request.reserved}', f'period={request.period}']
    parts += [f'delay={request.delay}', f'begun={request.begun}']
    if request.not_before is not None:
        parts.append(f'not_before={request.not_before}')
    message.header.frame_id = ' '.join(parts)
    message.points = [
        JointTrajectoryPoint(positions=action.tolist(), time_from_start=to_duration(time))
        for action, time in zip(request.actions, request.times, strict=True)
    ]
    return message


def decode_request(message: Any) -> ChunkRequest:
    """The request in a message; raises UserError for one that no chunk can answer."""
    words = dict(word.split('=', 1) for word in str(message.header.frame_id).split() if '=' in word)
    try:
        numbers = {name: int(words[name]) for name in _NUMBERS if name in words}
    except ValueError as error:
        raise UserError(f'The request {message.header.frame_id!r} cannot be read: {error}.') from error
    names = len(message.joint_names)
    rows = [list(point.positions) for point in message.points]
    if any(len(row) != names for row in rows):
        raise UserError(f'The request tells actions of {sorted({len(row) for row in rows})} numbers, expected {names}.')
    request = ChunkRequest(
        identity=words.get('identity', ''),
        stamp=to_nanoseconds(message.header.stamp),
        not_before=numbers.get('not_before'),
        reserved=numbers.get('reserved', 0),
        times=tuple(to_nanoseconds(point.time_from_start) for point in message.points),
        actions=np.array(rows, dtype=np.float64).reshape(len(rows), names),
        period=numbers.get('period', 0),
        delay=numbers.get('delay', 0),
        begun=numbers.get('begun', 0),
    )
    check_request(request, names)
    return request
