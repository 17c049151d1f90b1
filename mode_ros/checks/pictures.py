"""Cameras that hang: the same picture again while the robot moves."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from mode_ros.checks.finding import Finding

# A camera of 15 Hz at 20 frames per second repeats every fourth; above this share it hangs.
FROZEN_SHARE = 0.4
_STEP = 4


class RepeatCount:
    """Counts pictures of one camera that repeat the one before; keeps one small picture."""

    def __init__(self) -> None:
        self._last: NDArray[np.uint8] | None = None
        self.pairs = self.repeats = 0
        self.longest = self._run = 0

    def begin(self) -> None:
        """A new episode: its first picture repeats nothing."""
        self._last, self._run = None, 0

    def add(self, image: NDArray[np.uint8], moving: bool = True) -> None:
        """image: [height, width, 3]; moving: whether the robot moves, so that another picture is to be expected."""
        small = image[::_STEP, ::_STEP].copy()
        if self._last is not None and moving:
            same = np.array_equal(small, self._last)
            self.pairs += 1
            self.repeats += same
            self._run = self._run + 1 if same else 0
            self.longest = max(self.longest, self._run)
        self._last = small


def frozen(counts: Iterable[tuple[str, RepeatCount]], rate: float, where: str) -> list[Finding]:
    """counts: by camera; rate: frames per second."""
    return [
        Finding(
            'frozen',
            f'{where}: {count.repeats / count.pairs:.0%} of the pictures of {camera} repeat the one before while the '
            f'robot moves, {count.longest / rate:.1f} s at the longest: the camera hangs, or is slower than the '
            'contract.',
        )
        for camera, count in counts
        if count.pairs and count.repeats / count.pairs > FROZEN_SHARE
    ]
