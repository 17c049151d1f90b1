"""Reading an MCAP file record by record: also one that was never closed, without a footer, an index and a whole end.

After the format's specification: 8 bytes of magic, then records of an opcode, a length and a content; chunks are
records that hold records. Holds one chunk at a time in memory, whatever the file's length.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from rosbags.rosbag2.storage_mcap import decompress

MAGIC = b'\x89MCAP0\r\n'
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = 0x03, 0x04, 0x05, 0x06
_PREFIX = struct.Struct('<BQ')
_MESSAGE_HEAD = struct.Struct('<HIQQ')
_CHUNK_HEAD = struct.Struct('<QQQI')
# Messages outside of chunks are read together up to this size.
_STRETCH_BYTES = 1 << 20


class Unsalvageable(Exception):
    """Nothing can be read; the message says why, as the end of a sentence."""


class Damaged(Exception):
    """A chunk is not what its writer wrote; the message says why."""


@dataclass(frozen=True)
class SalvagedTopic:
    """A declared topic. type: such as 'sensor_msgs/msg/Image'; channel: its number in the file; encoding: of its
    messages, 'cdr' in ROS 2; metadata: the channel's, as in the file.
    """

    name: str
    type: str
    channel: int
    encoding: str
    metadata: bytes


@dataclass(frozen=True)
class Stretch:
    """A part of the file that is read at once: a chunk, or messages in a row that are in none.

    offset, stop: bytes of the file, without stop; first, last: nanoseconds; counts: messages by channel.
    """

    offset: int
    stop: int
    first: int
    last: int
    counts: Mapping[int, int]


def salvaged_topics(path: Path) -> list[SalvagedTopic]:
    """The topics that are declared in the legible part of the file; raises Unsalvageable where that has none."""
    topics = [item for item in survey(path) if isinstance(item, SalvagedTopic)]
    if not topics:
        raise Unsalvageable('nothing of its bag had reached the disk')
    return topics


def salvaged_messages(path: Path) -> Iterator[tuple[str, int, bytes]]:
    """Topic, time in nanoseconds and serialised content of every whole message, in the order of the file."""
    names: dict[int, str] = {}
    with path.open('rb') as file:
        for item in survey(path):
            if isinstance(item, SalvagedTopic):
                names[item.channel] = item.name
            else:
                for channel, time_ns, data in stretch_messages(file, item.offset, item.stop):
                    if channel in names:
                        yield names[channel], time_ns, data


def survey(path: Path) -> Iterator[SalvagedTopic | Stretch]:
    """What the file holds, up to its end or to the first damage; a topic comes before the messages on it.

    Raises Unsalvageable for a file that is no MCAP.
    """
    schemas: dict[int, str] = {}
    channels: set[int] = set()
    with path.open('rb') as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise Unsalvageable('its file does not begin like MCAP')
        loose = _Tally(len(MAGIC))
        for record in _records(file, len(MAGIC)):
            tally = _Tally(record.offset) if record.opcode == _CHUNK else loose
            try:
                for opcode, content in _parts(record):
                    if opcode == _SCHEMA:
                        (number,) = struct.unpack_from('<H', content)
                        schemas[number] = _string(content, 2)[0]
                    elif opcode == _CHANNEL:
                        topic = _topic(content, schemas)
                        if topic.channel not in channels:
                            channels.add(topic.channel)
                            yield topic
                    elif opcode == _MESSAGE:
                        number, _, time_ns, _ = _MESSAGE_HEAD.unpack_from(content)
                        if number in channels:
                            tally.add(number, time_ns)
            except (Damaged, struct.error):
                break
            if tally is not loose:
                yield from tally.stretches(record.stop)
            if tally is not loose or record.stop - loose.offset > _STRETCH_BYTES:
                yield from loose.stretches(record.offset if tally is not loose else record.stop)
                loose = _Tally(record.stop)
        yield from loose.stretches(file.seek(0, 2))


def stretch_messages(file: IO[bytes], offset: int, stop: int) -> Iterator[tuple[int, int, bytes]]:
    """Channel, time in nanoseconds and content of the whole messages from one byte of the file to before another.

    Raises Damaged for a chunk that cannot be unpacked.
    """
    for record in _records(file, offset, stop):
        for opcode, content in _parts(record):
            if opcode == _MESSAGE:
                channel, _, time_ns, _ = _MESSAGE_HEAD.unpack_from(content)
                yield channel, time_ns, bytes(content[_MESSAGE_HEAD.size :])


class _Tally:
    """Messages of a stretch, counted."""

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self._counts: Counter[int] = Counter()
        self._first = self._last = 0

    def add(self, channel: int, time_ns: int) -> None:
        self._first = min(self._first, time_ns) if self._counts else time_ns
        self._last = max(self._last, time_ns)
        self._counts[channel] += 1

    def stretches(self, stop: int) -> list[Stretch]:
        """The stretch, none where it has no message."""
        return [Stretch(self.offset, stop, self._first, self._last, dict(self._counts))] if self._counts else []


@dataclass(frozen=True)
class _Record:
    """offset, stop: bytes of the file, without stop; whole: False where the file ends within it."""

    opcode: int
    offset: int
    stop: int
    content: memoryview
    whole: bool


def _records(file: IO[bytes], offset: int, stop: int | None = None) -> Iterator[_Record]:
    """The records from `offset` on, the last one as far as the file goes."""
    end = file.seek(0, 2)
    while stop is None or offset < stop:
        file.seek(offset)
        prefix = file.read(_PREFIX.size)
        if len(prefix) < _PREFIX.size:
            return
        opcode, length = _PREFIX.unpack(prefix)
        if opcode == 0:  # no record begins so; a file system leaves zeros where it had not written yet
            return
        start = offset + _PREFIX.size
        # A torn length may be anything: never ask for more than the file has.
        content = file.read(min(length, end - start))
        whole = len(content) == length
        yield _Record(opcode, offset, start + len(content), memoryview(content), whole)
        if not whole:
            return
        offset = start + length


def _parts(record: _Record) -> Iterator[tuple[int, memoryview]]:
    """Opcode and content of the whole records in a chunk, as far as it goes; or of the record that is no chunk."""
    if record.opcode != _CHUNK:
        if record.whole:
            yield record.opcode, record.content
        return
    if len(record.content) < _CHUNK_HEAD.size + 4:
        return
    _, _, size, checksum = _CHUNK_HEAD.unpack_from(record.content)
    compression, offset = _string(record.content, _CHUNK_HEAD.size)
    inside = record.content[offset + 8 :]
    if record.whole:
        (length,) = struct.unpack_from('<Q', record.content, offset)
        inside = _unpacked(inside[:length], compression, size, checksum)
    elif compression:
        return
    yield from _inside(inside)


def _unpacked(data: memoryview, compression: str, size: int, checksum: int) -> memoryview:
    try:
        return memoryview(decompress(cast('bytes', data), compression, size, checksum))
    except Exception as error:
        raise Damaged(f'a chunk cannot be unpacked ({error})') from error


def _inside(content: memoryview) -> Iterator[tuple[int, memoryview]]:
    offset = 0
    while offset + _PREFIX.size <= len(content):
        opcode, length = _PREFIX.unpack_from(content, offset)
        offset += _PREFIX.size
        if offset + length > len(content):
            return
        yield opcode, content[offset : offset + length]
        offset += length


def _topic(content: memoryview, schemas: Mapping[int, str]) -> SalvagedTopic:
    channel, schema = struct.unpack_from('<HH', content)
    name, offset = _string(content, 4)
    encoding, offset = _string(content, offset)
    (length,) = struct.unpack_from('<I', content, offset)
    metadata = bytes(content[offset + 4 : offset + 4 + length])
    return SalvagedTopic(name, schemas.get(schema, ''), channel, encoding, metadata)


def _string(content: memoryview, offset: int) -> tuple[str, int]:
    (length,) = struct.unpack_from('<I', content, offset)
    start = offset + 4
    return bytes(content[start : start + length]).decode('utf-8', 'replace'), start + length
