"""Camera images as video files and back, one picture per control period.

Written with a key frame every KEY_FRAME_EVERY pictures and no frames that wait for later ones, so that any picture is
decoded from a few before it.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import Camera
from mode_ros.errors import UserError, in_words

KEY_FRAME_EVERY = 8
ENCODERS = {'h264': 'libx264', 'av1': 'libsvtav1'}
# Smaller is better and larger on disk. Below 23, x264 spends most bytes on the noise of a camera (docs/data.md).
DEFAULT_QUALITY = {'h264': 23, 'av1': 28}
# Images on their way to an encoder, per camera: enough to keep it busy, few enough to count in memory.
_QUEUE = 2


def refuse_sizes(codec: str, cameras: Iterable[Camera]) -> None:
    """UserError for a camera of a size that the codec has not: SVT-AV1 halves colours, so its sizes are even."""
    for camera in cameras:
        if codec == 'av1' and not camera.is_depth and (camera.width % 2 or camera.height % 2):
            raise UserError(
                f'--codec av1 takes even sizes, and the camera {camera.name!r} has {camera.width}x{camera.height}; '
                'use --codec h264 or png, or another size in the contract.'
            )


class VideoWriter:
    """Encodes uint8 RGB images [height, width, 3] in a thread of its own, so that reading goes on meanwhile."""

    def __init__(
        self, path: Path, codec: str, quality: int | None, size: tuple[int, int], rate: float, threads: int = 1
    ) -> None:
        """size: width, height; rate: pictures per second; threads: 0 leaves the number to the encoder."""
        self._container = av.open(str(path), 'w', options={'movflags': 'faststart'})
        self._period = 1 / Fraction(rate).limit_denominator(1001)
        self._stream = self._open_stream(codec, quality, size, threads)
        self._count = 0
        self._failure: BaseException | None = None
        self._queue: queue.Queue[NDArray[np.uint8] | None] = queue.Queue(_QUEUE)
        self._thread = threading.Thread(target=self._work, name=f'encode {path.stem}', daemon=True)
        self._thread.start()

    def add(self, image: NDArray[np.uint8]) -> None:
        """Takes the next image; waits while the encoder is behind. The array must not change afterwards."""
        self._check()
        self._queue.put(image)

    def close(self) -> None:
        """Waits for the encoder and completes the file."""
        self._queue.put(None)
        self._thread.join()
        self._container.close()
        self._check()

    def _open_stream(self, codec: str, quality: int | None, size: tuple[int, int], threads: int) -> Any:
        try:
            stream: Any = self._container.add_stream(ENCODERS[codec], rate=1 / self._period)
        except (av.FFmpegError, ValueError) as error:
            raise UserError(
                f'This PyAV has no encoder {ENCODERS[codec]!r} for --codec {codec} ({error}); '
                'use another --codec, or PyAV from PyPI.'
            ) from error
        stream.width, stream.height = size
        # Chroma at half resolution needs even sizes.
        stream.pix_fmt = 'yuv420p' if size[0] % 2 == 0 and size[1] % 2 == 0 else 'yuv444p'
        stream.time_base = self._period
        stream.codec_context.gop_size = KEY_FRAME_EVERY
        stream.codec_context.thread_count = threads
        if codec == 'h264':
            # Half the time of 'veryfast' for noisy 640x480 pictures, at the same error and more bytes; and the simplest
            # to decode.
            stream.options = {'crf': str(quality), 'preset': 'ultrafast', 'bf': '0', 'sc_threshold': '0'}
        else:
            os.environ.setdefault('SVT_LOG', '1')  # errors only; else it prints its settings for every file
            stream.options = {'crf': str(quality), 'preset': '10', 'svtav1-params': f'pred-struct=1:lp={threads or 0}'}
        return stream

    def _work(self) -> None:
        # To the end also after a failure: who adds images would wait for ever.
        while (image := self._queue.get()) is not None:
            self._encode(image)
        self._encode(None)

    def _encode(self, image: NDArray[np.uint8] | None) -> None:
        """None: what the encoder still holds."""
        if self._failure is not None:
            return
        try:
            frame = None if image is None else self._frame(image)
            self._container.mux(self._stream.encode(frame))
        except BaseException as error:  # noqa: BLE001 - raised again where images are added
            self._failure = error

    def _frame(self, image: NDArray[np.uint8]) -> Any:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format='rgb24')
        frame.pts, frame.time_base = self._count, self._period
        self._count += 1
        return frame

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure


def read_video(path: Path, start: float = 0.0, count: int | None = None) -> Iterator[NDArray[np.uint8]]:
    """RGB images [height, width, 3] from the one at `start` (seconds) on.

    Raises UserError for a file that cannot be decoded, or that ends before `count` images.
    """
    given = 0
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = 'AUTO'
            half = 0.5 / float(stream.average_rate or 1000)
            if start > 0:
                container.seek(int(start / stream.time_base), stream=stream)
            for frame in container.decode(stream):
                if count is not None and given == count:
                    return
                if frame.pts is None or frame.pts * stream.time_base < start - half:
                    continue
                yield frame.to_ndarray(format='rgb24')
                given += 1
    except (av.FFmpegError, OSError, IndexError) as error:
        raise UserError(
            f'The video {path} cannot be decoded: {in_words(error)}. Convert or copy the data set again.'
        ) from error
    if count is not None and given < count:
        raise UserError(f'The video {path} ends after {given} of {count} pictures. Convert or copy the data set again.')
