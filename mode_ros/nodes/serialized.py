"""Messages in bytes, looked into before they are decoded."""

from __future__ import annotations

from rclpy.serialization import deserialize_message
from trajectory_msgs.msg import JointTrajectory

from mode_ros.control.chunk import Chunk, ChunkRejected
from mode_ros.messages.chunks import decode_chunk
from mode_ros.messages.trajectory_header import count_points

# Bytes of a serialised chunk beside its numbers, and of each of its points beside four numbers per dimension.
HEAD_BYTES = 16_384
POINT_BYTES = 64


def decode_serialized_chunk(data: bytes, longest: int, dimensions: int) -> Chunk:
    """The chunk in a serialised message; one of more than `longest` actions is refused before it is decoded, which
    would take longer than a control period.

    Raises ChunkRejected as `decode_chunk` does, and for bytes that are no such message.
    """
    most = HEAD_BYTES + longest * (POINT_BYTES + 4 * 8 * dimensions)
    try:
        count = count_points(data)
        if count > longest or len(data) > most:
            raise ChunkRejected(
                'length',
                f"it has {count} actions in {len(data)} bytes, more than the contract's max_chunk_length {longest}",
            )
        message = deserialize_message(data, JointTrajectory)
    except ChunkRejected:
        raise
    except Exception as error:  # whatever the middleware's decoder raises
        raise ChunkRejected('bytes', f'it cannot be decoded: {error}') from error
    return decode_chunk(message)
