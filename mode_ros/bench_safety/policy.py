"""A policy that is not there: it answers the controller's requests with a path around a circle.

`python -m mode_ros.bench_safety.policy ROBOT SIMULATED` runs it as a process of its own, which can be killed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from trajectory_msgs.msg import JointTrajectory

from mode_ros.bench_safety.path import circle, turning
from mode_ros.control.chunk import make_chunk
from mode_ros.control.contract import Contract
from mode_ros.messages.chunks import encode_chunk
from mode_ros.messages.stamps import to_nanoseconds
from mode_ros.nodes.qos import COMMAND

LENGTH = 20  # actions in a chunk
THINKING = 0.08  # s

Spoil = Callable[[JointTrajectory], Sequence[JointTrajectory]]


class FakePolicy:
    """Its faults: `silent`, `thinking` (seconds per chunk) and `spoil`, which turns a good chunk into what is sent."""

    def __init__(
        self, node: Any, contract: Contract, now: Callable[[], int], position: Callable[[], NDArray[np.float64] | None]
    ) -> None:
        """now: nanoseconds; position: the last command [d], or where the arm is, or None."""
        self._contract, self._now, self._position = contract, now, position
        self._absolute = contract.action[0].kind == 'absolute'
        self._node = node
        self._asked: tuple[float, JointTrajectory] | None = None
        self._answered: tuple[str, int] | None = None
        self.silent = False
        self.thinking = THINKING
        self.spoil: Spoil | None = None
        self.publisher: Any = None
        self.appear()
        node.create_subscription(JointTrajectory, 'chunk_request', self._ask, COMMAND)

    def appear(self) -> None:
        """Its publisher is there (again)."""
        if self.publisher is None:
            self.publisher = self._node.create_publisher(JointTrajectory, 'action_chunk', COMMAND)

    def vanish(self) -> None:
        """Its publisher is gone, as when the process ended."""
        publisher, self.publisher = self.publisher, None
        if publisher is not None:
            self._node.destroy_publisher(publisher)

    def reset_faults(self) -> None:
        """A good policy again."""
        self.silent, self.thinking, self.spoil = False, THINKING, None
        self._asked = self._answered = None
        self.appear()

    def chunk(self, request: JointTrajectory, length: int = LENGTH) -> JointTrajectory:
        """The answer to a request."""
        start = self._position()
        if start is None:
            start = np.zeros(len(self._contract.action_names))
        actions = circle(start, length) if self._absolute else turning(start, length)
        message = encode_chunk(
            make_chunk(self._contract, max(self._now(), to_nanoseconds(request.header.stamp)), actions)
        )
        message.header.frame_id = _identity(request)[0]
        return message

    def step(self) -> None:
        """Answers a request that has been thought about long enough."""
        if self._asked is None or time.monotonic() < self._asked[0]:
            return
        request, self._asked = self._asked[1], None
        self._answered = _identity(request)
        publisher = self.publisher
        if self.silent or publisher is None:
            return
        good = self.chunk(request)
        for message in [good] if self.spoil is None else self.spoil(good):
            publisher.publish(message)

    def _ask(self, request: JointTrajectory) -> None:
        if self._asked is None and _identity(request) != self._answered:
            self._asked = time.monotonic() + self.thinking, request


def _identity(request: JointTrajectory) -> tuple[str, int]:
    words = dict(word.split('=', 1) for word in request.header.frame_id.split() if '=' in word)
    if 'identity' in words:
        return words['identity'], 0
    return request.header.frame_id, to_nanoseconds(request.header.stamp)
