"""Hearing `estop` so that a stop is not overlooked for somebody else's word."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from std_msgs.msg import Bool

from mode_ros.control.estop import STEP_SECONDS, StopSaid
from mode_ros.nodes.qos import read_latched

ESTOP_TOPIC = 'estop'

# Room for a word of each who speaks: with room for one, the last to be heard takes the others' place.
ESTOP_DEPTH = 100


class EstopListener:
    """Calls `engage` with whether anybody says stop, and `beat` at each word that is said now, not at a latched one.

    DDS latches a message for every publisher and brings them to a reader in any order, and rclpy does not tell who sent
    one (Humble to Jazzy). A new reader hears them all again: that is how everybody is asked.
    """

    def __init__(self, node: Node, engage: Callable[[bool], None], beat: Callable[[], None]) -> None:
        self._node, self._engage, self._beat = node, engage, beat
        self._said = StopSaid()
        self._told = False
        live = QoSProfile(depth=ESTOP_DEPTH, reliability=ReliabilityPolicy.RELIABLE)
        self._live = node.create_subscription(Bool, ESTOP_TOPIC, self._on_live, live)
        self._latched = self._ask()
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(STEP_SECONDS, self._step, clock=steady)

    def close(self) -> None:
        self._node.destroy_timer(self._timer)
        self._node.destroy_subscription(self._latched)
        self._node.destroy_subscription(self._live)

    def _ask(self) -> Subscription:
        return read_latched(self._node, Bool, ESTOP_TOPIC, partial(self._hear, live=False), ESTOP_DEPTH)

    def _on_live(self, message: Bool) -> None:
        self._beat()
        self._hear(message, live=True)

    def _hear(self, message: Bool, live: bool) -> None:
        stop = bool(message.data)
        alone = not stop and self._said.engaged and self._node.count_publishers(ESTOP_TOPIC) <= 1
        still = self._said.hear(stop, alone, live)
        self._tell()
        if still:
            self._node.get_logger().warning(
                f'{ESTOP_TOPIC}: a stop was taken back, and {self._speakers()} still says stop',
                throttle_duration_sec=5.0,
            )

    def _step(self) -> None:
        # Here and not where a word is heard: a reader is not closed from within itself.
        if self._said.step(time.monotonic_ns()):
            latched, self._latched = self._latched, self._ask()
            self._node.destroy_subscription(latched)
        self._tell()

    def _tell(self) -> None:
        engaged = self._said.engaged
        if engaged != self._told:
            self._told = engaged
            self._node.get_logger().warning(f'emergency stop {"engaged" if engaged else "released"}')
            self._engage(engaged)

    def _speakers(self) -> str:
        infos = self._node.get_publishers_info_by_topic(self._node.resolve_topic_name(ESTOP_TOPIC))
        return ' or '.join(sorted({f'{info.node_namespace.rstrip("/")}/{info.node_name}' for info in infos}))
