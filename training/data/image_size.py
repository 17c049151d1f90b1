"""The size of a recorded image, read without decoding it."""

from __future__ import annotations

import struct
from typing import Any

_PNG = b'\x89PNG\r\n\x1a\n'
# JPEG's start-of-frame markers: all of C0 to CF but the tables DHT, JPG and DAC.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Tables and comments precede the frame header; nothing useful lies further in.
_HEAD_BYTES = 1 << 16


def message_size(message: Any, transport: str) -> tuple[int, int] | None:
    """(width, height) of a sensor_msgs/Image or CompressedImage; None where it cannot be told."""
    if transport == 'raw':
        return int(message.width), int(message.height)
    return encoded_size(bytes(memoryview(message.data)[:_HEAD_BYTES]))


def encoded_size(head: bytes) -> tuple[int, int] | None:
    """(width, height) of a JPEG or PNG from its first bytes; None for anything else."""
    if head.startswith(_PNG) and len(head) >= 24:
        width, height = struct.unpack('>II', head[16:24])
        return width, height
    if not head.startswith(b'\xff\xd8'):
        return None
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack('>HH', head[at + 5 : at + 9])
            return width, height
        at += 2 + int.from_bytes(head[at + 2 : at + 4], 'big')
    return None
