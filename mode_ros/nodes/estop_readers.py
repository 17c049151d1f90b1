"""Every word on `estop`: what is said now, and what all who speak have latched, asked for anew where needed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from std_msgs.msg import Bool

from mode_ros.control.estop import STEP_SECONDS
from mode_ros.nodes.qos import SubscriptionEventCallbacks, read_latched

ESTOP_TOPIC = 'estop'

# Room for a word of each who speaks: with room for one, the last to be heard takes the others' place.
ESTOP_DEPTH = 100


class EstopReaders:
    """Calls `hear` with each word and whether it is said now, and `step` regularly, whose yes asks everybody again.

    DDS latches a message for every publisher and brings them to a reader in any order, and rclpy does not tell who sent
    one (Humble to Jazzy). A new reader hears them all again: that is how everybody is asked.
    """

    def __init__(self, node: Node, hear: Callable[[bool, bool], None], step: Callable[[], bool]) -> None:
        """hear: (stop, live); step: whether all are to be asked for their latched words by a new reader."""
        self._node, self._hear, self._should_ask = node, hear, step
        live = QoSProfile(depth=ESTOP_DEPTH, reliability=ReliabilityPolicy.RELIABLE)
        # rclpy would warn of those that it does not hear; the other readers do.
        events = SubscriptionEventCallbacks(incompatible_qos=self._on_unheard, use_default_callbacks=False)
        on_live = partial(self._on_word, live=True)
        self._live = [node.create_subscription(Bool, ESTOP_TOPIC, on_live, live, event_callbacks=events)]
        self._unheard = False
        self._latched = self._ask()
        self._timer = node.create_timer(STEP_SECONDS, self._step, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def close(self) -> None:
        self._node.destroy_timer(self._timer)
        self._node.destroy_subscription(self._latched)
        for reader in self._live:
            self._node.destroy_subscription(reader)

    def _ask(self) -> Subscription:
        return read_latched(self._node, Bool, ESTOP_TOPIC, partial(self._on_word, live=False), ESTOP_DEPTH)

    def _on_unheard(self, event: object) -> None:
        # DDS brings a reliable reader nothing of who publishes best effort, as a button with a sensor's settings does.
        self._unheard = True

    def _on_word(self, message: Bool, live: bool) -> None:
        self._hear(bool(message.data), live)

    def _step(self) -> None:
        # Here and not where a word is heard: a reader is not closed from within itself.
        if self._unheard and len(self._live) == 1:
            best_effort = QoSProfile(depth=ESTOP_DEPTH, reliability=ReliabilityPolicy.BEST_EFFORT)
            on_live = partial(self._on_word, live=True)
            self._live.append(self._node.create_subscription(Bool, ESTOP_TOPIC, on_live, best_effort))
        if self._should_ask():
            latched, self._latched = self._latched, self._ask()
            self._node.destroy_subscription(latched)
