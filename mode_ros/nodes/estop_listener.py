"""Hearing `estop` so that a stop is not overlooked for somebody else's word."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.node import Node

from mode_ros.control.estop import StopSaid
from mode_ros.nodes.estop_readers import ESTOP_TOPIC, EstopReaders
from mode_ros.nodes.publishers import count_publishers


class EstopListener:
    """Calls `engage` with whether anybody says stop, and `beat` at each word that is said now, not at a latched one."""

    def __init__(self, node: Node, engage: Callable[[bool], None], beat: Callable[[], None]) -> None:
        self._node, self._engage, self._beat = node, engage, beat
        self._said = StopSaid()
        self._told = False
        self._readers = EstopReaders(node, self._on_word, self._step)

    def close(self) -> None:
        self._readers.close()

    def _on_word(self, stop: bool, live: bool) -> None:
        if live:
            self._beat()
        alone = not stop and self._said.engaged and count_publishers(self._node, ESTOP_TOPIC) <= 1
        still = self._said.hear(stop, alone, live)
        self._tell()
        if still:
            self._node.get_logger().warning(
                f'{ESTOP_TOPIC}: a stop was taken back, and {self._speakers()} still says stop',
                throttle_duration_sec=5.0,
            )

    def _step(self) -> bool:
        ask = self._said.step(time.monotonic_ns())
        self._tell()
        return ask

    def _tell(self) -> None:
        engaged = self._said.engaged
        if engaged != self._told:
            self._told = engaged
            self._node.get_logger().warning(f'emergency stop {"engaged" if engaged else "released"}')
            self._engage(engaged)

    def _speakers(self) -> str:
        infos = self._node.get_publishers_info_by_topic(self._node.resolve_topic_name(ESTOP_TOPIC))
        return ' or '.join(sorted({f'{info.node_namespace.rstrip("/")}/{info.node_name}' for info in infos}))
