"""Qualities of service, and a subscription that hears latched and unlatched publishers alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

# Best effort hears reliable and best-effort publishers; a late frame is worth nothing, the next one is on its way.
SENSOR = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
COMMAND = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def read_latched(
    node: Node, message_type: Any, topic: str, callback: Callable[[Any], None], depth: int = 1
) -> Subscription:
    """A reader of what is latched alone, beside one that hears the others."""
    qos = QoSProfile(depth=depth, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    # rclpy would warn that it does not hear an ordinary publisher; the other reader does.
    silent = SubscriptionEventCallbacks(use_default_callbacks=False)
    return node.create_subscription(message_type, topic, callback, qos, event_callbacks=silent)


def subscribe_latched(node: Node, message_type: Any, topic: str, callback: Callable[[Any], None]) -> list[Subscription]:
    """Subscribes to a latched topic so that an ordinary publisher (`ros2 topic pub`) is heard too.

    DDS matches no transient-local reader with a volatile writer, so there is one reader for each. A latched message
    arrives twice: callbacks must not mind.
    """
    volatile = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
    return [
        read_latched(node, message_type, topic, callback),
        node.create_subscription(message_type, topic, callback, volatile),
    ]
