"""Looks at a policy's camera and state messages as they come, for cameras that hang (mode_ros.control.frozen)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import Camera, Contract, State
from mode_ros.control.frozen import FrozenCameras, digest
from mode_ros.control.observation import Unusable
from mode_ros.messages.ingest import is_of
from mode_ros.messages.states import decode_state


class CameraWatch:
    """Of one contract's streams. Not thread-safe: the caller locks."""

    def __init__(self, contract: Contract, spread: Mapping[str, NDArray[np.float64]], periods: int) -> None:
        """spread: of the states in the demonstrations, by stream; periods: of control, 0 looks at nothing."""
        self._period, self._on = contract.period, periods > 0
        shown = {name: moving for name, moving in map(_moving, contract.observation.states) if moving is not None}
        used = {name: np.where(moving, spread[name], 0.0) for name, moving in shown.items() if name in spread}
        self._cameras = FrozenCameras(periods * contract.period, used)
        self._looked: dict[str, int] = {}
        self._used = frozenset(used)

    def push(self, stream: Camera | State, message: Any, now: int) -> None:
        """A message of a stream of the contract; now: when it came, nanoseconds."""
        if not self._on:
            return
        if isinstance(stream, Camera):
            self._cameras.picture(stream.name, now, digest(message.data))
        elif stream.name in self._used and now - self._looked.get(stream.name, -self._period) >= self._period:
            try:  # once in a period is enough, whatever the joints' rate
                if is_of(stream, message):
                    self._cameras.state(stream.name, decode_state(message, stream))
                    self._looked[stream.name] = now
            except Unusable:
                pass  # the observation says so

    def problems(self) -> str:
        """What is wrong, '' when all is well."""
        return '; '.join(self._cameras.problems())

    def clear(self) -> None:
        """Forgets everything, as after a jump of the clock."""
        self._cameras.clear()
        self._looked.clear()


def _moving(state: State) -> tuple[str, NDArray[np.bool_] | None]:
    """Which numbers of a state change when the robot moves, and only then: positions. A force may change at any time,
    and a quaternion has two signs.
    """
    if state.type == 'pose':
        return state.name, np.arange(len(state.names)) < 3
    if state.type == 'joint_state' and state.field == 'position':
        return state.name, np.ones(len(state.names), bool)
    return state.name, None
