"""The time that the fake arm stamps with: the machine's own, or a simulated one that can stop, run and jump."""

from __future__ import annotations

import threading
import time
from typing import Any

from rosgraph_msgs.msg import Clock as ClockMessage

from mode_ros.control.contract import NANOSECONDS
from mode_ros.messages.stamps import to_time

# Simulated time begins here (seconds): a stamp of zero means 'not stamped'.
START = 1000.0
# Messages on /clock per second.
RATE = 200.0


class WallClock:
    """The machine's time."""

    simulated = False

    def now(self) -> int:
        """Nanoseconds."""
        return time.time_ns()

    def close(self) -> None:
        """Nothing to end."""


class SimulatedClock:
    """Publishes /clock from a thread of its own."""

    simulated = True

    def __init__(self, node: Any) -> None:
        self._publisher = node.create_publisher(ClockMessage, '/clock', 10)
        self._lock = threading.Lock()
        self._simulated, self._wall, self._speed = START, time.monotonic(), 1.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name='clock', daemon=True)
        self._thread.start()

    def now(self) -> int:
        """Nanoseconds."""
        with self._lock:
            return round((self._simulated + (time.monotonic() - self._wall) * self._speed) * NANOSECONDS)

    def set_speed(self, speed: float) -> None:
        """From now on as many seconds per second; at 0.0 the clock stands and nothing is published."""
        self._set(speed, 0.0)

    def jump(self, seconds: float) -> None:
        """On by so many seconds, or back."""
        self._set(self._speed, seconds)

    def _set(self, speed: float, seconds: float) -> None:
        with self._lock:
            wall = time.monotonic()
            self._simulated += (wall - self._wall) * self._speed + seconds
            self._wall, self._speed = wall, speed

    def _run(self) -> None:
        while not self._ended.wait(1.0 / RATE):
            if self._speed != 0.0:
                self._publisher.publish(ClockMessage(clock=to_time(self.now())))

    def close(self) -> None:
        """Falls silent."""
        self._ended.set()
        self._thread.join(1.0)


Clock = WallClock | SimulatedClock
