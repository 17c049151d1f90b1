"""Saying a goal so that who comes late hears the one that was said last, whoever said it."""

from __future__ import annotations

import threading
from collections import deque

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import String

from mode_ros.nodes.qos import LATCHED

# The node's own words that have not come back to it yet: more than are said before its executor looks again.
DEPTH = 10


class OwnGoal:
    """What this node said last, for as long as nobody has said another goal since."""

    def __init__(self) -> None:
        self.last = ''
        self._on_their_way: deque[str] = deque(maxlen=DEPTH)

    def said(self, goal: str) -> None:
        """Comes back to the node as well, after what it had said before."""
        self.last = goal
        self._on_their_way.append(goal)

    def heard(self, goal: str) -> bool:
        """Whether somebody else has said another goal, and the node's own no longer counts."""
        if goal in self._on_their_way:
            while self._on_their_way.popleft() != goal:
                pass
            return False
        if not self.last or goal == self.last:
            return False
        self.last = ''
        return True


class GoalSpeaker:
    """Publishes goals latched, and takes its own back when somebody else says another.

    DDS latches a message for every publisher, and brings them to who comes late in any order: a policy that is loaded
    after a person has told a goal would as soon pursue the one that the simulator said at its start.
    """

    def __init__(self, node: Node, topic: str) -> None:
        self._node, self._topic = node, topic
        self._own, self._lock = OwnGoal(), threading.Lock()
        self._publisher = self._make_publisher()
        # Not latched: what others said before this node was there is older than all that it will say.
        live = QoSProfile(depth=DEPTH, reliability=ReliabilityPolicy.RELIABLE)
        node.create_subscription(String, topic, self._hear, live)

    @property
    def latched(self) -> str:
        """The goal that this node brings to who comes late, '' for none."""
        with self._lock:
            return self._own.last

    def say(self, goal: str) -> None:
        """From any thread."""
        with self._lock:
            self._own.said(goal)
            self._publisher.publish(String(data=goal))

    def _make_publisher(self) -> Publisher:
        return self._node.create_publisher(String, self._topic, LATCHED)

    def _hear(self, message: String) -> None:
        with self._lock:
            if self._own.heard(message.data):
                # What a publisher has latched goes with it. The new one is there before it is needed: who does not
                # listen latched hears only a publisher that it has found.
                self._node.destroy_publisher(self._publisher)
                self._publisher = self._make_publisher()
