"""Messages into an ObservationBuffer: the one way in for live topics and for bags."""

from __future__ import annotations

from functools import partial
from typing import Any

from mode_ros.control.contract import Camera, State
from mode_ros.control.observation import ObservationBuffer
from mode_ros.messages.images import decode_image
from mode_ros.messages.packets import codec_of
from mode_ros.messages.stamps import to_nanoseconds
from mode_ros.messages.states import concerns, decode_state


def is_of(stream: Camera | State, message: Any) -> bool:
    """Whether a message on the stream's topic is one of the stream, and not another publisher's."""
    return isinstance(stream, Camera) or concerns(message, stream)


def stamp_of(stream: Camera | State, message: Any, received: int) -> int:
    """The time of a message in nanoseconds, as the contract says where it is from."""
    return received if stream.stamps == 'reception' else to_nanoseconds(message.header.stamp)


def check_message(stream: Camera | State, message: Any) -> None:
    """Raises Unusable where a single message of the stream cannot be used. Of a packet of video, what can be told."""
    if not isinstance(stream, Camera):
        decode_state(message, stream)
    elif stream.transport == 'ffmpeg':
        codec_of(message)
    else:
        decode_image(message, stream)


def ingest(
    buffer: ObservationBuffer, stream: Camera | State, message: Any, received: int, now: int | None = None
) -> None:
    """Adds a message of `stream` under its time; it is decoded when an observation needs it.

    message: of a stream of video, a picture (mode_ros.messages.packets.Incoming); received: nanoseconds, when it came;
    now: live, the time of the stamps' clock. A message of another publisher on the same topic is none of the stream.
    """
    if not is_of(stream, message):
        return
    decode = (
        partial(decode_image, message, stream) if isinstance(stream, Camera) else partial(decode_state, message, stream)
    )
    buffer.push(stream.name, stamp_of(stream, message, received), decode, now)
