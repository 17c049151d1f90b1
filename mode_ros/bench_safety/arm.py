"""A robot that is not there: it follows its commands with a lag, says where it is, and keeps what it was told."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.qos import QoSProfile

from mode_ros.bench_safety.clock import Clock
from mode_ros.bench_safety.contracts import moved_state
from mode_ros.bench_safety.measure import Commands
from mode_ros.control.contract import Contract, State
from mode_ros.messages import commands, states
from mode_ros.messages.stamps import to_nanoseconds
from mode_ros.messages.states import encode_joint_state, encode_pose

STATE_RATE = 100.0  # Hz
LAG = 0.05  # s, time constant
REACH = 10.0  # m, of an arm that velocities move
NOISE = 1e-5  # rad or m: real sensors never say the same twice
# Commands are kept for this long (seconds).
KEPT_SECONDS = 30.0


def state_message(state: State, values: NDArray[np.float64], stamp: int) -> Any:
    """What a driver says of a joint_state, or of a pose [n] whose hand does not turn; stamp: nanoseconds."""
    if state.type == 'pose':
        return encode_pose(values[:3], np.array([0.0, 0.0, 0.0, 1.0]), max(stamp, 0), 'base')
    return encode_joint_state(state.names, values, np.zeros(len(values)), max(stamp, 0))


class FakeArm:
    """Its faults: `silent`, `frozen` (the same values, fresh stamps), `stalled` (it does not move), `stamp_offset`."""

    def __init__(
        self, node: Any, contract: Contract, clock: Clock, seed: int = 0, start: NDArray[np.float64] | None = None
    ) -> None:
        """start: where it stands at first, [d]; without it at zero."""
        self._group = contract.action[0]
        self._state = moved_state(contract)
        self._absolute = self._group.kind == 'absolute'
        self._period, self._clock = contract.period_seconds, clock
        self._random = np.random.default_rng(seed)
        self._lock = threading.Lock()
        # When the controller sent each of its last commands (nanoseconds): by their stamps, and where they have none,
        # which tells a trajectory controller to begin at once, when they came.
        self.sent: deque[int] = deque(maxlen=10_000)
        self._heard: list[tuple[float, float, NDArray[np.float64], NDArray[np.float64]]] = []
        size = len(self._group.dimensions)
        # Where the arm is: joints, or the position of its hand.
        self._start: NDArray[np.float64] = np.zeros(size)
        if start is not None:
            self._start[: len(start)] = start[:size]
        self.position: NDArray[np.float64] = self._start
        self._target: NDArray[np.float64] | None = None
        self._said: NDArray[np.float64] = self.position
        self.silent = self.frozen = self.stalled = False
        self.stamp_offset = 0  # nanoseconds
        self._node, self._type = node, states.MESSAGE_TYPES[self._state.type]
        self.publisher = node.create_publisher(self._type, self._state.topic, 10)
        message_type = commands.MESSAGE_TYPES[self._group.output.adapter]
        node.create_subscription(message_type, self._group.output.topic, self._obey, QoSProfile(depth=100))

    @property
    def command(self) -> NDArray[np.float64] | None:
        """The last one [d]: targets, or displacements per period."""
        return self._target

    def forget(self) -> None:
        """Before a try: what was commanded so far is not looked at any more."""
        with self._lock:
            self._heard.clear()

    def heard(self) -> Commands:
        """Everything since `forget`, at most KEPT_SECONDS."""
        with self._lock:
            kept = list(self._heard)
        size = len(self.position)
        return Commands(
            np.array([item[0] for item in kept]),
            np.array([item[2] for item in kept]).reshape(-1, size),
            np.array([item[3] for item in kept]).reshape(-1, size),
            np.array([item[1] for item in kept]),
        )

    def reset_faults(self) -> None:
        """A good driver again, and an arm that stands where it is."""
        self.silent = self.frozen = self.stalled = False
        self.stamp_offset = 0

    def step(self, seconds: float) -> None:
        """Moves for so long, and says where it is."""
        target = self._target
        if target is not None and not self.stalled:
            if self._absolute:
                self.position = self.position + (target - self.position) * min(1.0, seconds / LAG)
            else:
                moved = self.position + target * seconds / self._period
                self.position = np.clip(moved, self._start - REACH, self._start + REACH)
        if self.silent:
            return
        if not self.frozen:
            self._said = self.position + self._random.normal(0.0, NOISE, len(self.position))
        self.publisher.publish(self.message(self._said, self._clock.now() + self.stamp_offset))

    def second_publisher(self) -> Any:
        """Another one of the same states, such as a second driver; to be given to `destroy`."""
        return self._node.create_publisher(self._type, self._state.topic, 10)

    def destroy(self, publisher: Any) -> None:
        """The second driver is gone."""
        self._node.destroy_publisher(publisher)

    def message(self, position: NDArray[np.float64], stamp: int) -> Any:
        """What the driver says of an arm at `position` [d]."""
        return state_message(self._state, position, stamp)

    def _obey(self, message: Any, info: Any) -> None:
        values = commands.decode_command(message, self._group, self._period)
        now = time.monotonic()
        # This process shares its core with the rest of the bench: what it hears late was not sent late.
        sent = min(now, now - (time.time_ns() - info['source_timestamp']) / 1e9) if info['source_timestamp'] else now
        self.sent.append(to_nanoseconds(message.header.stamp) or time.time_ns())
        with self._lock:
            self._heard.append((now, sent, values, self.position))
            if now - self._heard[0][0] > KEPT_SECONDS:
                del self._heard[: len(self._heard) // 2]
        self._target = values
