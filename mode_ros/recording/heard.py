"""What is known of a topic from its serialised messages, while they pass by undecoded."""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass
from statistics import median_low

from mode_ros.control.contract import UNSTAMPED_TYPES, Camera, State
from mode_ros.recording.liveness import header_stamp

# Offsets that are kept to tell how stamps and reception lie to each other.
_KEPT = 25
# Publishers of one joint topic whose last messages are kept.
_PUBLISHERS = 16
# A header is at offset 4; its frame_id at 12; what follows is aligned to four bytes.
_FRAME_ID = 12


@dataclass(frozen=True)
class Last:
    """A message and when it came (nanoseconds)."""

    data: bytes
    received: int

    def stamp(self, stream: Camera | State) -> int | None:
        """Its time as the contract has it; None where it is too short to have one."""
        return self.received if stream.stamps == 'reception' else header_stamp(self.data)


class Heard:
    """The last message of a topic, and of each of the publishers that name other joints on it."""

    def __init__(self, message_type: str) -> None:
        """message_type: such as 'sensor_msgs/msg/JointState', of which several drivers may share one topic."""
        self._joint_states = message_type == 'sensor_msgs/msg/JointState'
        # The first bytes of a plain number or array would be read as a time that never was.
        self._stamped = message_type not in UNSTAMPED_TYPES
        self._by_names: dict[tuple[str, ...], Last] = {}
        self._offsets: deque[int] = deque(maxlen=_KEPT)
        self.last: Last | None = None

    def add(self, data: bytes, received: int) -> None:
        """A message has come."""
        self.last = Last(data, received)
        stamp = header_stamp(data) if self._stamped else None
        if stamp:
            self._offsets.append(received - stamp)
        if self._joint_states:
            names = joint_names(data)
            if names not in self._by_names and len(self._by_names) >= _PUBLISHERS:
                self._by_names.clear()
            self._by_names[names] = self.last

    def of(self, stream: Camera | State) -> Last | None:
        """The last message of a stream; another publisher's on the same topic are none of it.

        Where no message names any of a state's joints, the last of all: it says what is named instead.
        """
        if not self._joint_states or not isinstance(stream, State):
            return self.last
        own = [last for names, last in self._by_names.items() if not set(names).isdisjoint(stream.names)]
        return max(own, key=lambda last: last.received, default=self.last)

    @property
    def offset(self) -> float | None:
        """Reception minus stamp in seconds, the median of the last messages; None without stamps."""
        return median_low(self._offsets) / 1e9 if self._offsets else None


def joint_names(data: bytes) -> tuple[str, ...]:
    """The names in a serialised sensor_msgs/JointState, () where it is none."""
    order = '<' if len(data) > 1 and data[1] & 1 else '>'
    try:
        (length,) = struct.unpack_from(f'{order}I', data, _FRAME_ID)
        at = _aligned(_FRAME_ID + 4 + length)
        (count,) = struct.unpack_from(f'{order}I', data, at)
        at += 4
        names = []
        for _ in range(min(count, len(data) // 4)):
            at = _aligned(at)
            (length,) = struct.unpack_from(f'{order}I', data, at)
            names.append(bytes(data[at + 4 : at + 3 + length]).decode('utf-8', 'replace'))
            at += 4 + length
    except struct.error:
        return ()
    return tuple(names)


def _aligned(at: int) -> int:
    return at + -at % 4
