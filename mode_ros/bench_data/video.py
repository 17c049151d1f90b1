"""How pictures are kept: size against error and decoding, for encoder settings and distances of key frames."""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from mode_ros.bench_data.outcome import Outcome
from mode_ros.errors import UserError

NAME = 'video'
HELP = 'size, error and decoding of h264 for quality, speed of the encoder and distance of key frames'

PRESETS = ('ultrafast', 'veryfast')
QUALITIES = (18, 23, 28)
KEY_FRAMES = (2, 8, 32)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the benchmark's own options."""
    parser.add_argument('--pictures', type=Path, help='a data set with pictures as recorded (--codec png)')
    parser.add_argument('--count', type=int, default=240, help='pictures of its first camera (default 240)')


def measure(arguments: argparse.Namespace) -> Outcome:
    """Encodes the same pictures in every way."""
    if arguments.pictures is None:
        raise UserError('Name a data set with pictures: --pictures DATASET.')
    if arguments.count < 2:
        raise UserError(f'--count {arguments.count} is too small; give 2 or more.')
    images = _images(arguments.pictures, arguments.count)
    rows = [('pictures', f'{len(images)} of {images[0].shape[1]}x{images[0].shape[0]}')]
    numbers: dict[str, object] = {'pictures': len(images)}
    with tempfile.TemporaryDirectory(prefix='mode_ros_bench_') as name:
        for preset, quality, distance in itertools.product(PRESETS, QUALITIES, KEY_FRAMES):
            found = _one(Path(name) / 'video.mp4', images, preset, quality, distance)
            label = f'{preset} crf {quality} key {distance}'
            rows.append(
                (
                    label,
                    f'{found["KB"]:.1f} KB per picture, PSNR {found["PSNR (dB)"]:.1f} dB, encoding '
                    f'{found["encode (ms)"]:.2f} ms, decoding {found["decode (ms)"]:.2f} ms of a core',
                )
            )
            numbers[label] = found
    return Outcome(tuple(rows), numbers, True)


def _images(root: Path, count: int) -> list[NDArray[np.uint8]]:
    from mode_ros.training.data.data_files import DataFiles
    from mode_ros.training.data.pictures_of import pictures_of

    files = DataFiles(root)
    if not files.cameras:
        raise UserError(f'The data set {root} has no pictures.')
    camera = next(iter(files.cameras))
    found = (image for episode in files.episodes for image in pictures_of(files, episode, camera))
    return list(itertools.islice(found, count))


def _one(path: Path, images: Sequence[NDArray[np.uint8]], preset: str, quality: int, distance: int) -> dict[str, float]:
    begin = time.process_time()
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=Fraction(20))
        stream.width, stream.height, stream.pix_fmt = images[0].shape[1], images[0].shape[0], 'yuv420p'
        stream.codec_context.gop_size = distance
        stream.codec_context.thread_count = 1
        stream.options = {'crf': str(quality), 'preset': preset, 'bf': '0', 'sc_threshold': '0'}
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format='rgb24')))
        container.mux(stream.encode())
    encoded = time.process_time()
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = 'NONE'
        decoded = [frame.to_ndarray(format='rgb24') for frame in container.decode(video=0)]
    done = time.process_time()
    error = np.mean([np.square(a.astype(float) - b).mean() for a, b in zip(images, decoded, strict=True)])
    return {
        'KB': path.stat().st_size / 1e3 / len(images),
        'PSNR (dB)': float(10 * np.log10(255**2 / max(float(error), 1e-12))),
        'encode (ms)': 1e3 * (encoded - begin) / len(images),
        'decode (ms)': 1e3 * (done - encoded) / len(images),
    }
