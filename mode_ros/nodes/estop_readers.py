"""Every word on `estop`: what is said now, and what all who speak have latched, asked for anew where needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from std_msgs.msg import Bool

from mode_ros.control.estop import STEP_SECONDS, Copies
from mode_ros.nodes.qos import SubscriptionEventCallbacks, read_latched

ESTOP_TOPIC = 'estop'

# Room for a word of each who speaks: with room for one, the last to be heard takes the others' place.
ESTOP_DEPTH = 100

# Humble's rclpy does not tell when a message was sent; there a word comes once from each reader that hears it.
TELLS_WHEN_SENT = hasattr(Subscription, 'CallbackType')


class EstopReaders:
    """Calls `hear` with each word and whether it is said now, and `step` regularly, whose yes asks everybody again.

    What is said now is told once, though a best-effort reader, where there is one, hears who publishes reliably as
    well: who counts its own words needs that.

    DDS latches a message for every publisher and brings them to a reader in any order, and rclpy does not tell who sent
    one (Humble to Jazzy). A new reader hears them all again: that is how everybody is asked.
    """

    def __init__(self, node: Node, hear: Callable[[bool, bool], None], step: Callable[[], bool]) -> None:
        """hear: (stop, live); step: whether all are to be asked for their latched words by a new reader."""
        self._node, self._hear, self._should_ask = node, hear, step
        live = QoSProfile(depth=ESTOP_DEPTH, reliability=ReliabilityPolicy.RELIABLE)
        # rclpy would warn of those that it does not hear; the other readers do.
        events = SubscriptionEventCallbacks(incompatible_qos=self._on_unheard, use_default_callbacks=False)
        self._copies = Copies()
        ear = self._live_ear('reliable')
        self._live = [node.create_subscription(Bool, ESTOP_TOPIC, ear, live, event_callbacks=events)]
        self._unheard = False
        self._latched = self._ask()
        self._timer = node.create_timer(STEP_SECONDS, self._step, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def close(self) -> None:
        self._node.destroy_timer(self._timer)
        self._node.destroy_subscription(self._latched)
        for reader in self._live:
            self._node.destroy_subscription(reader)

    def _ask(self) -> Subscription:
        return read_latched(self._node, Bool, ESTOP_TOPIC, self._on_latched, ESTOP_DEPTH)

    def _on_unheard(self, event: object) -> None:
        # DDS brings a reliable reader nothing of who publishes best effort, as a button with a sensor's settings does.
        self._unheard = True

    def _live_ear(self, reader: str) -> Callable[..., None]:
        return partial(self._on_sent if TELLS_WHEN_SENT else self._on_live, reader)

    def _on_sent(self, reader: str, message: Bool, told: Mapping[str, Any]) -> None:
        self._on_live(reader, message, told['source_timestamp'])

    def _on_live(self, reader: str, message: Bool, sent: int | None = None) -> None:
        if self._copies.is_new(reader, sent, bool(message.data)):
            self._hear(bool(message.data), True)

    def _on_latched(self, message: Bool) -> None:
        self._hear(bool(message.data), False)

    def _step(self) -> None:
        # Here and not where a word is heard: a reader is not closed from within itself.
        if self._unheard and len(self._live) == 1:
            best_effort = QoSProfile(depth=ESTOP_DEPTH, reliability=ReliabilityPolicy.BEST_EFFORT)
            ear = self._live_ear('best effort')
            self._live.append(self._node.create_subscription(Bool, ESTOP_TOPIC, ear, best_effort))
        if self._should_ask():
            latched, self._latched = self._latched, self._ask()
            self._node.destroy_subscription(latched)
