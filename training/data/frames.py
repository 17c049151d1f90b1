"""What a recording becomes: frames, and the spans that gave none."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.observation import Observation


@dataclass(frozen=True)
class Frame:
    """One row of a data set. action: float64 [d]; goal: the task in words; intervention: whether a person drove."""

    observation: Observation
    action: NDArray[np.float64]
    goal: str
    intervention: bool


@dataclass
class LeftOut:
    """A span without frames, in nanoseconds of the stamps' clock. fault: something is wrong, not just the beginning
    or end of a demonstration.
    """

    start: int
    stop: int
    reason: str
    fault: bool = True


class Steps:
    """A value that changes at times. Ask for times in rising order."""

    def __init__(self, initial: Any) -> None:
        self._value = initial
        self._changes: deque[tuple[int, Any]] = deque()

    def add(self, time: int, value: Any) -> None:
        self._changes.append((time, value))

    def settle(self) -> None:
        """Takes what has come as past: times from here on are of another clock."""
        if self._changes:
            self._value = self._changes[-1][1]
            self._changes.clear()

    def at(self, time: int) -> Any:
        while self._changes and self._changes[0][0] <= time:
            self._value = self._changes.popleft()[1]
        return self._value
