"""Messages into an ObservationBuffer: the one way in for live topics and for bags."""

from __future__ import annotations

from functools import partial
from typing import Any

from mode_ros.control.contract import Camera, State
from mode_ros.control.observation import ObservationBuffer
from mode_ros.messages.images import decode_image
from mode_ros.messages.stamps import to_nanoseconds
from mode_ros.messages.states import decode_state


def ingest(buffer: ObservationBuffer, stream: Camera | State, message: Any) -> None:
    """Adds a message of `stream` under its header stamp; it is decoded when an observation needs it."""
    decode = (
        partial(decode_image, message, stream) if isinstance(stream, Camera) else partial(decode_state, message, stream)
    )
    buffer.push(stream.name, to_nanoseconds(message.header.stamp), decode)
