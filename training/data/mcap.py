"""rosbags' reader of MCAP files, with what its own lacks: little memory for long files, and torn files.

rosbags keeps 1 KB for each chunk, and a raw camera fills a chunk with one or two images: after ten minutes that index
is larger than the images at work. Here a chunk takes 40 bytes.
"""

from __future__ import annotations

import heapq
from array import array
from collections import Counter
from collections.abc import Collection, Generator, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinition, MessageDefinitionFormat
from rosbags.rosbag2 import Reader
from rosbags.rosbag2.reader import DirectoryReader
from rosbags.rosbag2.storage_mcap import ChunkInfo, McapReader, get_qos

from mode_ros.recording.salvage import MAGIC, SalvagedTopic, Stretch, Unsalvageable, stretch_messages, survey
from mode_ros.recording.storage_names import PACKED_SUFFIXES
from mode_ros.training.data.unpacking import unpack


class ChunkTable:
    """Where the chunks of a file are and what they hold. Stands where rosbags has a list of ChunkInfo."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """As of a list."""
        self._offset, self._stop = array('q'), array('q')
        self._first, self._last = array('q'), array('q')
        self._kind = array('L')
        # Few mixtures of channels and counts make up all chunks of a file.
        self._kinds: list[Mapping[int, int]] = []
        self._numbers: dict[tuple[tuple[int, int], ...], int] = {}

    def __len__(self) -> int:
        return len(self._offset)

    def append(self, chunk: ChunkInfo) -> None:
        """As of a list; called while rosbags reads the index of a file."""
        start, length = chunk.chunk_start_offset, chunk.chunk_length
        span = chunk.message_start_time, chunk.message_end_time
        self.add(Stretch(start, start + length, *span, chunk.channel_count))

    def add(self, stretch: Stretch) -> None:
        """Adds a chunk, or what is read like one."""
        self._offset.append(stretch.offset)
        self._stop.append(stretch.stop)
        self._first.append(stretch.first)
        self._last.append(stretch.last)
        key = tuple(sorted(stretch.counts.items()))
        if key not in self._numbers:
            self._numbers[key] = len(self._kinds)
            self._kinds.append(dict(stretch.counts))
        self._kind.append(self._numbers[key])

    def __iter__(self) -> Iterator[ChunkInfo]:
        """What rosbags needs of them to count the messages of a file that does not say how many it has."""
        for number in range(len(self)):
            span = self._first[number], self._last[number]
            yield ChunkInfo(*span, 0, 0, {}, 0, '', 0, 0, dict(self._kinds[self._kind[number]]))

    def in_order(self, channels: Collection[int]) -> Iterator[Stretch]:
        """The chunks with messages of these channels, by the time of their first message."""
        wanted = [any(kind.get(channel, 0) for channel in channels) for kind in self._kinds]
        for number in np.argsort(np.array(self._first, np.int64), kind='stable'):
            kind = self._kind[number]
            if wanted[kind]:
                place = self._offset[number], self._stop[number], self._first[number], self._last[number]
                yield Stretch(*place, self._kinds[kind])


class McapStorage(McapReader):
    """One MCAP file. torn: its end is missing, and what can be read of the rest is here; readable: messages in that."""

    def __init__(self, path: Any) -> None:
        super().__init__(path)
        self._file = Path(path)
        self.chunks: Any = ChunkTable()
        self.torn = False
        self.readable = 0

    def open(self) -> None:
        """As in rosbags, and for torn files; raises ReaderError where nothing can be read."""
        try:
            super().open()
        except OSError:
            raise
        except Exception:
            if _is_closed(self._file) or not self._open_torn():
                raise

    def _open_torn(self) -> bool:
        counts: Counter[int] = Counter()
        topics: list[SalvagedTopic] = []
        first, last = 2**63 - 1, 0
        try:
            for item in survey(self._file):
                if isinstance(item, SalvagedTopic):
                    topics.append(item)
                else:
                    self.chunks.add(item)
                    counts.update(item.counts)
                    first, last = min(first, item.first), max(last, item.last)
        except (Unsalvageable, OSError):
            return False
        if not counts:
            return False
        self.torn, self.readable = True, counts.total()
        self.bio = self._file.open('rb')
        self.connections = [_connection(topic, counts[topic.channel], self) for topic in topics]
        self.metadata = self.metadata._replace(
            duration=last + 1 - first, start_time=first, end_time=last + 1, message_count=self.readable
        )
        return True

    def messages(
        self, connections: Collection[Connection], start: int | None = None, stop: int | None = None
    ) -> Generator[tuple[Connection, int, bytes], None, None]:
        """As in rosbags: in the order of time, however the chunks overlap. Holds only chunks that do overlap."""
        if not self.chunks:
            yield from super().messages(connections, start, stop)
            return
        wanted = {connection.id: connection for connection in connections}
        assert self.bio is not None
        ahead: list[tuple[int, int, int, bytes]] = []  # time, number, channel, content
        number = 0
        for stretch in self.chunks.in_order(wanted):
            while ahead and ahead[0][0] < stretch.first:
                time, _, channel, data = heapq.heappop(ahead)
                yield wanted[channel], time, data
            for channel, time, data in stretch_messages(self.bio, stretch.offset, stretch.stop):
                if channel in wanted and (start is None or time >= start) and (stop is None or time < stop):
                    number += 1
                    heapq.heappush(ahead, (time, number, channel, data))
        while ahead:
            time, _, channel, data = heapq.heappop(ahead)
            yield wanted[channel], time, data


class _Folder(DirectoryReader):
    STORAGE_PLUGINS: Mapping[str, Any] = {**DirectoryReader.STORAGE_PLUGINS, 'mcap': McapStorage}


class BagReader(Reader):
    """rosbags' reader of folders and files with McapStorage for MCAP, and of files that are compressed as a whole."""

    STORAGE_PLUGINS: Mapping[str, Any] = {**Reader.STORAGE_PLUGINS, 'dir': _Folder, '.mcap': McapStorage}

    def __init__(self, path: Path) -> None:
        # Where a file that comes without its folder is unpacked; of a folder, rosbags does that.
        self._room: TemporaryDirectory[str] | None = None
        if path.suffix in PACKED_SUFFIXES and path.is_file():
            self._room = TemporaryDirectory(prefix='mode_ros_bag_')
            try:
                path = unpack(path, Path(self._room.name))
            except BaseException:
                self._room.cleanup()
                raise
        super().__init__(path)

    def open(self) -> None:
        """As in rosbags."""
        try:
            super().open()
        except BaseException:
            self._clear()
            raise

    def close(self) -> None:
        """As in rosbags."""
        try:
            super().close()
        finally:
            self._clear()

    def _clear(self) -> None:
        if self._room is not None:
            self._room.cleanup()

    @property
    def files(self) -> list[Any]:
        """The readers of the bag's files."""
        return list(getattr(self.storage, 'storages', [self.storage]))


def _is_closed(path: Path) -> bool:
    """Whether the file ends as its writer ended it; whatever is wrong with it is no torn end."""
    with path.open('rb') as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - len(MAGIC)))
        # A file of nothing but its first 8 bytes is not closed.
        return size > len(MAGIC) and file.read() == MAGIC


def _connection(topic: SalvagedTopic, count: int, owner: Any) -> Connection:
    definition = MessageDefinition(MessageDefinitionFormat.NONE, '')
    extension = ConnectionExtRosbag2(topic.encoding, get_qos(topic.metadata))
    return Connection(topic.channel, topic.name, topic.type, definition, '', count, extension, owner)
