"""What demonstrations of other benchmarks have in common: arrays instead of messages, one row per control period."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import Contract, differences
from mode_ros.control.images import fit
from mode_ros.control.observation import Observation
from mode_ros.control.orientation import continuous
from mode_ros.training.data.frames import Frame
from mode_ros.training.data.recordings import RecordingProblem

Floats = NDArray[np.float64]
# What an array should be; None is any size.
Shape = tuple[int | None, ...]
PICTURE: Shape = (None, None, 3)

# A contract may ask for another image size than the benchmark's: images are resized, as everywhere.
_SIZE = re.compile(r'^observation\.cameras\.\w+\.(width|height): ')


def check_same_robot(contract: Contract, own: Contract) -> None:
    """RecordingProblem unless `contract` is the benchmark's own, up to image sizes."""
    found = [line for line in differences(contract, own) if not _SIZE.match(line)]
    if found:
        raise RecordingProblem(f'the contract does not fit. Given, and needed: {"; ".join(found)}')


def check_array(name: str, found: Any, shape: Shape) -> None:
    """RecordingProblem for what is no array of numbers in this shape, or has nothing in it; pictures are of bytes."""
    pictures = shape[-len(PICTURE) :] == PICTURE
    sizes, kind = getattr(found, 'shape', ()), getattr(found, 'dtype', None)
    fits = len(sizes) == len(shape) and all(
        size > 0 if n is None else size == n for size, n in zip(sizes, shape, strict=True)
    )
    if not fits or not (kind == np.uint8 if pictures else np.issubdtype(kind, np.number)):
        wanted = ', '.join('n' if n is None else str(n) for n in shape)
        raise RecordingProblem(
            f'{name} has the shape {list(sizes)} of {kind}, and should have [{wanted}] of '
            f'{"uint8" if pictures else "numbers"}'
        )


def make_observation(
    contract: Contract, row: int, images: dict[str, NDArray[np.uint8]], states: dict[str, Floats]
) -> Observation:
    """The observation of the given row; images are brought to the contract's size. RecordingProblem for a NaN."""
    for name, values in states.items():
        if not np.isfinite(values).all():
            raise RecordingProblem(f'{name}: row {row} has values that are not finite')
    sized = {
        camera.name: fit(images[camera.name], camera.width, camera.height) for camera in contract.observation.cameras
    }
    return Observation(stamp=row * contract.period, images=sized, states=states)


def one_sign(frames: Iterator[Frame], stream: str) -> Iterator[Frame]:
    """The frames of one recording, whose pose `stream` has the signs that a running policy sees (its angles have none,
    and jump by a full turn).
    """
    before = None
    for frame in frames:
        before = continuous(frame.observation.states[stream], before)
        states = {**frame.observation.states, stream: before}
        yield replace(frame, observation=replace(frame.observation, states=states))


def quaternion(axis_angle: Floats) -> Floats:
    """x, y, z, w of a rotation vector [3] in rad."""
    angle = float(np.linalg.norm(axis_angle))
    if angle < 1e-9:
        return np.array([0.0, 0.0, 0.0, 1.0])
    return np.append(axis_angle / angle * np.sin(angle / 2), np.cos(angle / 2))


def quaternion_from_euler(angles: Floats) -> Floats:
    """x, y, z, w of rotations [3] in rad about the fixed axes x, then y, then z."""
    sx, sy, sz = np.sin(angles / 2)
    cx, cy, cz = np.cos(angles / 2)
    return np.array(
        [
            sx * cy * cz - cx * sy * sz,
            cx * sy * cz + sx * cy * sz,
            cx * cy * sz - sx * sy * cz,
            cx * cy * cz + sx * sy * sz,
        ]
    )
