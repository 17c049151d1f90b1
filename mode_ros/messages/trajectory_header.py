"""How many points a serialised trajectory_msgs/JointTrajectory has, read from its first bytes.

Decoding is slow, and costs the more the longer a message is; a control loop looks here before it decodes.
"""

from __future__ import annotations

import struct

# The encapsulation: its second byte tells the order of bytes, and alignment counts from behind it.
ENCAPSULATION = 4
# Names of joints that are looked through to find the points.
MAX_NAMES = 4096


def count_points(data: bytes) -> int:
    """Points of the message in CDR; raises ValueError for bytes that are none."""
    return find_points(data)[1]


def find_points(data: bytes) -> tuple[int, int]:
    """Where the count of the points stands, and the count."""
    if len(data) < ENCAPSULATION or data[0] != 0 or data[1] not in (0, 1):
        raise ValueError('it is not in plain CDR')
    order = '<' if data[1] == 1 else '>'
    place = ENCAPSULATION + 8  # the stamp

    def number() -> int:
        nonlocal place
        place += -(place - ENCAPSULATION) % 4
        if place + 4 > len(data):
            raise ValueError('it is cut off')
        (value,) = struct.unpack_from(f'{order}I', data, place)
        place += 4
        return int(value)

    def text() -> None:
        nonlocal place
        length = number()  # which moves `place` itself
        place += length

    text()  # frame_id
    names = number()
    if names > MAX_NAMES:
        raise ValueError(f'it names {names} joints')
    for _ in range(names):
        text()
    count = number()
    return place - 4, count
