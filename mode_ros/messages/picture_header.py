"""What a compressed picture says of itself in its first bytes: size, depth and channels, read before it is decoded.

A header costs nothing; the picture that it promises may cost all memory. So these are read first.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

_PNG = b'\x89PNG\r\n\x1a\n'
# Channels by PNG's colour type: grey, RGB, palette, grey with alpha, RGBA.
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
# JPEG's start-of-frame markers: all of C0 to CF but the tables DHT, JPG and DAC.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Tables and comments precede the frame header; nothing useful lies further in.
_HEAD_BYTES = 1 << 16
# What compressed_depth_image_transport puts before its picture: a format number and two of its quantisation.
COMPRESSED_DEPTH_HEADER = 12
# A camera may pad its JPEG; the end marker lies within this much of the end.
_TAIL_BYTES = 4096


@dataclass(frozen=True)
class PictureHeader:
    """kind: 'jpeg', 'png' or 'webp'; width, height: pixels; bits: per number; channels: numbers per pixel."""

    kind: str
    width: int
    height: int
    bits: int
    channels: int


def message_size(message: Any, transport: str) -> tuple[int, int] | None:
    """(width, height) of a sensor_msgs/Image or CompressedImage; None where it cannot be told."""
    if transport in ('raw', 'ffmpeg'):
        size = int(message.width), int(message.height)
        return None if transport == 'ffmpeg' and size == (0, 0) else size
    head = bytes(memoryview(message.data)[:_HEAD_BYTES])
    if 'compressedDepth' in str(message.format):
        head = head[COMPRESSED_DEPTH_HEADER:]
    header = picture_header(head)
    return None if header is None else (header.width, header.height)


def picture_header(head: bytes) -> PictureHeader | None:
    """What the first bytes of a picture say; None for anything but JPEG, PNG and WebP."""
    if head.startswith(_PNG) and len(head) >= 26:
        width, height, bits, colour = struct.unpack('>IIBB', head[16:26])
        return PictureHeader('png', width, height, bits, _PNG_CHANNELS.get(colour, 0))
    if head.startswith(b'RIFF') and head[8:12] == b'WEBP':
        return _webp(head)
    return _jpeg(head) if head.startswith(b'\xff\xd8') else None


def is_cut_off(data: memoryview, kind: str) -> bool:
    """Whether the end of a picture is missing, which decoders paint grey in silence."""
    tail = bytes(data[-_TAIL_BYTES:])
    if kind == 'jpeg':
        return b'\xff\xd9' not in tail
    return kind == 'png' and b'IEND' not in tail


def _jpeg(head: bytes) -> PictureHeader | None:
    at = 2
    while at + 10 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if marker in _JPEG_FRAMES:
            bits, height, width, channels = struct.unpack('>BHHB', head[at + 4 : at + 10])
            return PictureHeader('jpeg', width, height, bits, channels)
        if marker == 0xFF:  # padding before a marker
            at += 1
            continue
        at += 2 + max(2, int.from_bytes(head[at + 2 : at + 4], 'big'))
    return None


def _webp(head: bytes) -> PictureHeader | None:
    kind, body = head[12:16], head[20:]
    if kind == b'VP8X' and len(body) >= 10:
        width = 1 + int.from_bytes(body[4:7], 'little')
        height = 1 + int.from_bytes(body[7:10], 'little')
    elif kind == b'VP8L' and len(body) >= 5:
        packed = int.from_bytes(body[1:5], 'little')
        width, height = 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)
    elif kind == b'VP8 ' and len(body) >= 10:
        width, height = (int.from_bytes(body[at : at + 2], 'little') & 0x3FFF for at in (6, 8))
    else:
        return None
    return PictureHeader('webp', width, height, 8, 3)
