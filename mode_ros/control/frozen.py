"""Cameras that repeat one picture while the robot moves: their stamps are fresh, and what they show is not.

A camera's driver that hangs may go on publishing its last picture under new stamps. A real camera's noise makes every
picture another one; a simulated one may show a scene that stands still, but not while the robot in it moves.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import NANOSECONDS

# So many bytes of a picture are looked at, evenly spread: a change that a policy could see touches some of them.
_BYTES_SEEN = 1 << 16
# A state has moved when one of its numbers has gone so far, in units of its spread in the demonstrations.
MOVED = 0.1


def digest(picture: bytes | bytearray | memoryview | NDArray[np.uint8]) -> int:
    """A number that another picture hardly has; picture: a message's bytes, raw or compressed."""
    whole = np.frombuffer(picture, np.uint8)
    step = len(whole) // _BYTES_SEEN | 1  # odd, so that no colour and no column is passed over
    return zlib.crc32(whole[::step].tobytes())


class FrozenCameras:
    """Watches for how long each camera's picture has been the same, and whether the robot moved meanwhile."""

    def __init__(self, patience: int, spread: Mapping[str, NDArray[np.float64]]) -> None:
        """patience: nanoseconds a picture may stay while the robot moves; spread: of the states, by stream, [n].

        A state stream without a spread is not looked at, nor a number whose spread is 0.
        """
        self._patience = patience
        self._spread = {name: np.where(each > 0, each, np.inf) for name, each in spread.items()}
        self._pictures: dict[str, _Picture] = {}
        self._states: dict[str, NDArray[np.float64]] = {}

    def picture(self, camera: str, stamp: int, content: int) -> None:
        """A camera's message; content: its digest."""
        seen = self._pictures.get(camera)
        if seen is None or seen.content != content:
            self._pictures[camera] = _Picture(content, stamp, dict(self._states))
        else:
            seen.latest = max(seen.latest, stamp)

    def state(self, stream: str, values: NDArray[np.float64]) -> None:
        """A state stream's message, in the contract's unit, [n]."""
        spread = self._spread.get(stream)
        if spread is None or np.shape(values) != spread.shape or not np.isfinite(values).all():
            return
        self._states[stream] = values
        for seen in self._pictures.values():
            begun = seen.states.setdefault(stream, values)
            seen.moved = seen.moved or bool((np.abs(values - begun) > MOVED * spread).any())

    def problems(self) -> list[str]:
        """Each camera that is frozen, with what is wrong; it stays until its picture changes."""
        return [
            f'{camera}: its picture has not changed for {(seen.latest - seen.since) / NANOSECONDS:.1f} s while the '
            'robot moved; the camera or its driver hangs'
            for camera, seen in self._pictures.items()
            if seen.moved and seen.latest - seen.since > self._patience
        ]

    def clear(self) -> None:
        """Forgets everything, as after a jump of the clock."""
        self._pictures.clear()
        self._states.clear()


class _Picture:
    def __init__(self, content: int, stamp: int, states: dict[str, NDArray[np.float64]]) -> None:
        self.content, self.since, self.latest = content, stamp, stamp
        self.states = states
        """Where the robot was when the picture came."""
        self.moved = False
