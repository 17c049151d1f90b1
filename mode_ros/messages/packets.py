"""Packets of ffmpeg_image_transport to pictures: one decoder per stream, since a packet means nothing by itself.

A packet that completes a picture gives a Picture, which stands for a message of the stream from then on. What comes
before the first key frame, or between a packet that was lost and the next key frame, gives none, and is counted: a
decoder would paint grey, or yesterday's picture, without a word.
"""

from __future__ import annotations

import importlib
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import Camera, State
from mode_ros.control.observation import Unusable
from mode_ros.errors import UserError, in_words
from mode_ros.messages.pixels import check_size

PACKAGE = 'ffmpeg_image_transport_msgs'
# Of the packet's flags, as libavcodec has them.
_KEY = 1
# Packets whose pictures a decoder may still hold back.
_HELD_BACK = 64
# What the first word of `encoding` contains: a codec or, from older publishers, an encoder.
_CODECS = {'h264': 'h264', 'x264': 'h264', 'hevc': 'hevc', 'x265': 'hevc', 'h265': 'hevc', 'av1': 'av1'}
# What decodes a codec: libavcodec's own decoder of AV1 needs a graphics card that can.
_DECODERS = {'av1': ('libdav1d', 'libaom-av1', 'av1')}


class Picture:
    """What a packet showed. header: of its message; width, height: pixels."""

    def __init__(self, header: Any, frame: Any, problem: str = '') -> None:
        self.header, self._frame, self._problem = header, frame, problem
        self.width, self.height = (0, 0) if frame is None else (int(frame.width), int(frame.height))

    def rgb(self) -> NDArray[np.uint8]:
        """[height, width, 3]; raises Unusable with what was wrong with the packet."""
        if self._problem:
            raise Unusable(self._problem)
        check_size(self.width, self.height)  # a message may say another size than its video has
        return np.asarray(self._frame.to_ndarray(format='rgb24'), np.uint8)


class PacketDecoder:
    """One stream's packets in the order in which they were sent. Not thread-safe.

    early: packets before the first key frame; lost: packets that gave no picture because one before them was missing.
    """

    def __init__(self) -> None:
        self._decoder: Any = None
        self._codec = ''
        self._headers: OrderedDict[int, Any] = OrderedDict()
        self._waiting, self._begun = True, False
        self._last: int | None = None
        # The distance of two packets' numbers; None until it is known, 0 where they do not count upwards.
        self._step: int | None = None
        self.early = self.lost = 0

    def feed(self, message: Any) -> list[Picture]:
        """The pictures that a packet completes: mostly one, which is its own.

        message: an FFMPEGPacket, or any object with its fields. A packet that is none gives a Picture that is unusable
        and says why. Raises UserError where PyAV is not installed.
        """
        try:
            codec, number, data = codec_of(message), int(message.pts), bytes(message.data)
            is_key = bool(int(message.flags) & _KEY)
            check_size(int(message.width), int(message.height))
        except Unusable as error:
            return [self._broken(message, str(error))]
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            return [self._broken(message, f'it is no FFMPEGPacket: {type(error).__name__}: {error}')]
        if codec != self._codec:
            try:
                self._open(codec)
            except ValueError as error:
                return [self._broken(message, f'nothing here decodes {codec}: {in_words(error)}')]
        if self._missed(number) and not is_key:
            self._restart()
        self._last = number
        if self._waiting and not is_key:
            if self._begun:
                self.lost += 1
            else:
                self.early += 1
            return []
        self._waiting, self._begun = False, True
        return self._decode(message.header, number, data)

    def _decode(self, header: Any, number: int, data: bytes) -> list[Picture]:
        av = _av()
        self._headers[number] = header
        while len(self._headers) > _HELD_BACK:
            self._headers.popitem(last=False)
        packet = av.Packet(data)
        packet.pts = packet.dts = number
        try:
            frames = self._decoder.decode(packet)
        except (av.FFmpegError, ValueError) as error:
            self._restart()
            self._headers.clear()
            return [
                Picture(
                    header, None, f'its {self._codec} packet of {len(data)} bytes cannot be decoded: {in_words(error)}'
                )
            ]
        pictures = []
        for frame in frames:
            own = self._headers.pop(frame.pts, header)
            problem = 'its video is damaged: a part of the picture is missing' if frame.is_corrupt else ''
            pictures.append(Picture(own, frame, problem))
        return pictures

    def _missed(self, number: int) -> bool:
        """Whether packets between the last one and this are missing, by how they are numbered."""
        if self._last is None:
            return False
        step = number - self._last
        if step <= 0:  # numbered anew, or pictures out of order: their numbers say nothing then
            self._step = 0
            return False
        if self._step == 0:
            return False
        known, self._step = self._step, step if self._step is None else min(step, self._step)
        return known is not None and step > known

    def _open(self, codec: str) -> None:
        self._decoder = _decoder(_av(), codec)
        self._codec = codec
        # More threads would hold back a picture each.
        self._decoder.thread_count = 1
        self._waiting = True
        self._headers.clear()

    def _restart(self) -> None:
        """Nothing is shown until the next key frame."""
        self._open(self._codec)

    def _broken(self, message: Any, why: str) -> Picture:
        return Picture(getattr(message, 'header', None), None, why)


class Incoming:
    """Messages as they come to the pictures and states that are made of them, stream by stream."""

    def __init__(self) -> None:
        self._decoders: dict[str, PacketDecoder] = {}

    def of(self, stream: Camera | State, message: Any) -> list[Any]:
        """What stands for a message of `stream`: itself, or the pictures that a packet completes."""
        if not isinstance(stream, Camera) or stream.transport != 'ffmpeg':
            return [message]
        return [each for each in self._decoder(stream).feed(message) if each.header is not None]

    def missing(self, stream: Camera | State) -> tuple[int, int]:
        """Of a stream's packets: those before its first key frame, and those that were useless without a lost one."""
        found = self._decoders.get(stream.name)
        return (0, 0) if found is None else (found.early, found.lost)

    def clear(self) -> None:
        """Forgets everything, as after a jump of the clock."""
        self._decoders.clear()

    def _decoder(self, stream: Camera) -> PacketDecoder:
        return self._decoders.setdefault(stream.name, PacketDecoder())


def codec_of(message: Any) -> str:
    """Libavcodec's name of a packet's codec; raises Unusable for what is no video of colours."""
    words = str(message.encoding).split(';')
    if len(words) > 3 and words[3].startswith(('bayer', '16', '32FC1', 'mono16')):
        raise Unusable(f'its video {message.encoding!r} holds {words[3]}, which it has mixed up; send colours')
    for word, codec in _CODECS.items():
        if word in words[0].lower():
            return codec
    raise Unusable(f'its video is {message.encoding!r}, and h264, hevc and av1 are read')


def packet_class() -> Any:
    """Rclpy's FFMPEGPacket; UserError where its package is missing."""
    try:
        return importlib.import_module(f'{PACKAGE}.msg').FFMPEGPacket
    except ImportError as error:
        raise UserError(
            f"A camera has 'transport: ffmpeg', and its messages' package is not there ({error}): install "
            f'ros-DISTRO-{PACKAGE.replace("_", "-")} and source the ROS installation, or take another transport.'
        ) from error


def _decoder(av: Any, codec: str) -> Any:
    *first, last = _DECODERS.get(codec, (codec,))
    for name in first:
        try:
            return av.CodecContext.create(name, 'r')
        except ValueError:  # PyAV's FFmpeg was built without it
            continue
    return av.CodecContext.create(last, 'r')


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise UserError(
            f"A camera has 'transport: ffmpeg', which PyAV decodes, and that cannot be imported ({error}): "
            '`pip install av`.'
        ) from error
    return av
