"""One rosbag2 folder with an MCAP file, written with the rosbags library from messages as they came over the wire."""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from rosbags.interfaces import Connection, Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.storage_mcap import McapWriter
from rosbags.typesys import Stores

from mode_ros.recording.definitions import message_types

# Of rosbag2's metadata: the newest that both Humble and Jazzy read.
BAG_VERSION: Literal[8] = 8

# Where a chunk record has the checksum of its content: after opcode, length, two times and its size.
_CHECKSUM_AT = 1 + 8 + 3 * 8

# How rosbag2 writes 'no limit'.
_FOREVER = QosTime(9_223_372_036, 854_775_807)


class _CheckedMcap(McapWriter):
    """rosbags' writer of MCAP, with a checksum for each chunk: a flipped bit is noticed when the bag is read."""

    def close_chunk(self) -> None:
        checksum = zlib.crc32(self.chunk.bio.getbuffer())
        start = self.bio.tell()
        super().close_chunk()
        end = self.bio.tell()
        self.bio.seek(start + _CHECKSUM_AT)
        self.bio.write(struct.pack('<I', checksum))
        self.bio.seek(end)


class _Writer(Writer):
    STORAGE_PLUGINS: Mapping[StoragePlugin, Any] = {**Writer.STORAGE_PLUGINS, StoragePlugin.MCAP: _CheckedMcap}


class Bag:
    """An open bag. Not thread-safe: one thread opens, writes and closes it."""

    def __init__(self, folder: Path) -> None:
        """Makes `folder`, which must not exist."""
        self._writer = _Writer(folder, version=BAG_VERSION, storage_plugin=StoragePlugin.MCAP)
        self._writer.open()
        # Only texts are taken from it: the definitions of standard messages, the same in every distribution.
        self._types = message_types(Stores.ROS2_HUMBLE)
        self._connections: dict[str, Connection] = {}

    def add(self, topic: str, message_type: str, latched: bool = False, publishers: int = 1) -> None:
        """Declares a topic; `ros2 bag play` will publish it as latched or not.

        publishers: how many there are, written as rosbag2 does it, by a profile for each.
        """
        self._connections[topic] = self._writer.add_connection(
            topic, message_type, typestore=self._types, offered_qos_profiles=[_qos(latched)] * max(1, publishers)
        )

    def write(self, topic: str, time: int, data: bytes) -> None:
        """Adds a serialised message that was received at `time` (nanoseconds)."""
        self._writer.write(self._connections[topic], time, data)

    def flush(self) -> None:
        """Hands everything to the operating system, so that the end of this process loses nothing of it."""
        storage = self._writer.storage
        # The library keeps up to 1 MB of messages back: with small messages that is minutes.
        if storage.chunk.bio.tell():  # type: ignore[union-attr]
            storage.close_chunk()  # type: ignore[union-attr]
        storage.bio.flush()  # type: ignore[union-attr]

    def close(self, custom_data: Mapping[str, str]) -> None:
        """Writes index and metadata: the bag is complete."""
        for key, value in custom_data.items():
            self._writer.set_custom_data(key, value)
        self._writer.close()

    def abort(self) -> None:
        """Lets go of the file as it is, without an index."""
        with contextlib.suppress(OSError):  # what could not be written before cannot be written now
            self._writer.abort()


def _qos(latched: bool) -> Qos:
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=1 if latched else 10,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=_FOREVER,
        lifespan=_FOREVER,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=_FOREVER,
        avoid_ros_namespace_conventions=False,
    )
