"""Reading an MCAP file that was never closed: no footer, no index, the last record torn.

After the format's specification: 8 bytes of magic, then records of an opcode, a length and a content; chunks are
records that hold records. Reads one chunk at a time, whatever the file's length.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

MAGIC = b'\x89MCAP0\r\n'
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = 0x03, 0x04, 0x05, 0x06
_PREFIX = struct.Struct('<BQ')
_MESSAGE_HEAD = struct.Struct('<HIQQ')


class Unsalvageable(Exception):
    """Nothing can be read; the message says why, as the end of a sentence."""


@dataclass(frozen=True)
class SalvagedTopic:
    """A declared topic. type: such as 'sensor_msgs/msg/Image'."""

    name: str
    type: str


def salvaged_topics(path: Path) -> list[SalvagedTopic]:
    """The topics that are declared in the legible part of the file; raises Unsalvageable where that has none."""
    topics = [item for item in _scan(path) if isinstance(item, SalvagedTopic)]
    if not topics:
        raise Unsalvageable('nothing of its bag had reached the disk')
    return topics


def salvaged_messages(path: Path) -> Iterator[tuple[str, int, bytes]]:
    """Topic, time in nanoseconds and serialised content of every whole message, in the order of the file."""
    for item in _scan(path):
        if not isinstance(item, SalvagedTopic):
            yield item


def _scan(path: Path) -> Iterator[SalvagedTopic | tuple[str, int, bytes]]:
    schemas: dict[int, str] = {}
    channels: dict[int, str] = {}
    for opcode, content in _records(path):
        if opcode == _SCHEMA:
            (number,) = struct.unpack_from('<H', content)
            schemas[number] = _string(content, 2)[0]
        elif opcode == _CHANNEL:
            number, schema = struct.unpack_from('<HH', content)
            if number not in channels:
                channels[number] = _string(content, 4)[0]
                yield SalvagedTopic(channels[number], schemas.get(schema, ''))
        elif opcode == _MESSAGE:
            number, _, time_ns, _ = _MESSAGE_HEAD.unpack_from(content)
            if number in channels:
                yield channels[number], time_ns, bytes(content[_MESSAGE_HEAD.size :])


def _records(path: Path) -> Iterator[tuple[int, memoryview]]:
    """Whole records, those inside chunks too, and those of the last chunk as far as it goes."""
    with path.open('rb') as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise Unsalvageable('its file does not begin like MCAP')
        while len(prefix := file.read(_PREFIX.size)) == _PREFIX.size:
            opcode, length = _PREFIX.unpack(prefix)
            content, whole = _content(file, length)
            if opcode == _CHUNK:
                yield from _inside(content)
            elif whole:
                yield opcode, content


def _content(file: IO[bytes], length: int) -> tuple[memoryview, bool]:
    # A torn length may be anything: never ask for more than the file has.
    position = file.tell()
    left = file.seek(0, 2) - position
    file.seek(position)
    content = file.read(min(length, left))
    return memoryview(content), len(content) == length


def _inside(chunk: memoryview) -> Iterator[tuple[int, memoryview]]:
    # start, end, size: 8 bytes each; crc: 4; compression: a text; length of the records: 8.
    if len(chunk) < 32:
        return
    compression, offset = _string(chunk, 28)
    if compression:
        raise Unsalvageable(f'its chunks are compressed ({compression})')
    offset += 8
    while offset + _PREFIX.size <= len(chunk):
        opcode, length = _PREFIX.unpack_from(chunk, offset)
        offset += _PREFIX.size
        if offset + length > len(chunk):
            return
        yield opcode, chunk[offset : offset + length]
        offset += length


def _string(content: memoryview, offset: int) -> tuple[str, int]:
    (length,) = struct.unpack_from('<I', content, offset)
    start = offset + 4
    return bytes(content[start : start + length]).decode('utf-8', 'replace'), start + length
