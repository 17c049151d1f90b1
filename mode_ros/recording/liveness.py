"""Whether a stream is worth recording: it speaks, on the right topic type, with stamps of this clock."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from mode_ros.control.contract import NANOSECONDS
from mode_ros.control.freshness import StreamAge

_STAMP = {1: struct.Struct('<iI'), 0: struct.Struct('>iI')}


def header_stamp(data: bytes) -> int | None:
    """Nanoseconds of the stamp in a serialised message that begins with a std_msgs/Header; None for one too short.

    The four bytes before it tell the byte order (second byte: 1 for little endian, 0 for big).
    """
    if len(data) < 12:
        return None
    seconds, nanoseconds = _STAMP[data[1] & 1].unpack_from(data, 4)
    return int(seconds) * NANOSECONDS + int(nanoseconds)


def stream_problem(
    stream: str, topic: str, message_type: str, stamp: int | None, now: int, max_age: float, published: Sequence[str]
) -> str:
    """What keeps a stream from being recorded, '' when nothing does.

    stamp: of its last message, None before the first; max_age: seconds; published: the types that are published on
    its topic.
    """
    if stamp == 0:
        return f'{stream}: the stamps on {topic} are zero, so its messages cannot be aligned; let its driver stamp them'
    if stamp is None:
        others = sorted(set(published) - {message_type})
        if others and message_type not in published:
            return f'{stream}: {topic} carries {", ".join(others)}, the contract says {message_type}'
        return f'{stream}: {"no message yet" if published else "nobody publishes"} on {topic} ({message_type})'
    return StreamAge(stream, now - stamp, round(max_age * NANOSECONDS)).problem
