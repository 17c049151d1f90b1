"""How pictures are kept: size against error and decoding, for encoder settings and distances of key frames."""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mode_ros.bench_data.outcome import Outcome
from mode_ros.errors import UserError

NAME = 'video'
HELP = 'size, error and decoding of h264 for quality, speed of the encoder and distance of key frames'

PRESETS = ('ultrafast', 'superfast', 'veryfast')
QUALITIES = (18, 23, 28)
KEY_FRAMES = (2, 8, 30)
# What lerobot's own writer takes, for comparison: encoder, crf, distance of key frames.
LEROBOT = ('libsvtav1', 30, 2)
# Single pictures that are decoded by seeking to the key frame before each.
SOUGHT = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the benchmark's own options."""
    parser.add_argument(
        '--pictures', type=Path, help='a data set with pictures as recorded (--codec png); without it they are made up'
    )
    parser.add_argument('--count', type=int, default=240, help='pictures of its first camera (default 240)')
    parser.add_argument('--picture-size', default='640x480', help='of made-up pictures (default 640x480)')


def measure(arguments: argparse.Namespace) -> Outcome:
    """Encodes the same pictures in every way."""
    if arguments.count < 2:
        raise UserError(f'--count {arguments.count} is too small; give 2 or more.')
    if arguments.pictures is None:
        images = _made_up(arguments.picture_size, arguments.count)
    else:
        images = _images(arguments.pictures, arguments.count)
    rows = [('pictures', f'{len(images)} of {images[0].shape[1]}x{images[0].shape[0]}')]
    numbers: dict[str, object] = {'pictures': len(images)}
    with tempfile.TemporaryDirectory(prefix='mode_ros_bench_') as name:
        ways = [('libx264', *way) for way in itertools.product(PRESETS, QUALITIES, KEY_FRAMES)]
        for encoder, preset, quality, distance in [*ways, (LEROBOT[0], 'as lerobot', *LEROBOT[1:])]:
            found = _one(Path(name) / 'video.mp4', images, encoder, preset, quality, distance)
            label = f'{preset} crf {quality} key {distance}'
            rows.append(
                (
                    label,
                    f'{found["KB"]:.1f} KB per picture, PSNR {found["PSNR (dB)"]:.1f} dB, encoding '
                    f'{found["encode (ms)"]:.2f} ms, decoding {found["decode (ms)"]:.2f} ms of a core, '
                    f'one by seeking {found["seek (ms)"]:.1f} ms',
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


def _made_up(size: str, count: int) -> list[NDArray[np.uint8]]:
    """A moving pattern with a camera's noise, 640x480, shrunk to `size` as conversion shrinks."""
    from mode_ros.bench_data.bag import pictures
    from mode_ros.control.images import fit

    width, _, height = size.partition('x')
    if not (width.isdigit() and height.isdigit() and 16 <= int(width) <= 640 and 16 <= int(height) <= 480):
        raise UserError(f'--picture-size {size!r} is no size up to 640x480, such as 128x128.')
    if count > 600:
        raise UserError(f'--count {count} made-up pictures would fill the memory; give 600 or fewer.')
    return [fit(image, int(width), int(height)) for image in pictures(count, 640, 480)]


def _one(
    path: Path, images: Sequence[NDArray[np.uint8]], encoder: str, preset: str, quality: int, distance: int
) -> dict[str, float]:
    import av  # not everywhere: the whole command is built from this module's options

    from mode_ros.training.data.video import read_video

    begin = time.process_time()
    with av.open(str(path), 'w') as container:
        stream: Any = container.add_stream(encoder, rate=Fraction(20))
        stream.width, stream.height, stream.pix_fmt = images[0].shape[1], images[0].shape[0], 'yuv420p'
        stream.codec_context.gop_size = distance
        stream.codec_context.thread_count = 1
        stream.options = {'crf': str(quality)}
        if encoder == 'libx264':
            stream.options |= {'preset': preset, 'bf': '0', 'sc_threshold': '0'}
        else:
            stream.options |= {'svtav1-params': 'lp=1'}
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format='rgb24')))
        container.mux(stream.encode())
    encoded = time.process_time()
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = 'NONE'
        decoded = [frame.to_ndarray(format='rgb24') for frame in container.decode(video=0)]
    done = time.process_time()
    for number in np.random.default_rng(0).integers(len(images), size=SOUGHT):
        next(read_video(path, start=int(number) / 20))
    sought = time.process_time()
    error = np.mean([np.square(a.astype(float) - b).mean() for a, b in zip(images, decoded, strict=True)])
    return {
        'KB': path.stat().st_size / 1e3 / len(images),
        'PSNR (dB)': float(10 * np.log10(255**2 / max(float(error), 1e-12))),
        'encode (ms)': 1e3 * (encoded - begin) / len(images),
        'decode (ms)': 1e3 * (done - encoded) / len(images),
        'seek (ms)': 1e3 * (sought - done) / SOUGHT,
    }
