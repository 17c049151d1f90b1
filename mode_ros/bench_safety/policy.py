"""A policy that is not there: it answers the controller's requests with a path around a circle."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from trajectory_msgs.msg import JointTrajectory

from mode_ros.bench_safety.path import circle, turning
from mode_ros.control.chunk import make_chunk
from mode_ros.control.contract import Contract
from mode_ros.control.request import ChunkRequest, prefix_of
from mode_ros.messages.chunks import decode_request, encode_chunk
from mode_ros.nodes.qos import COMMAND

LENGTH = 20  # actions in a chunk
THINKING = 0.08  # s

# A good chunk and how many of its actions were decided before, to what is sent instead.
Spoil = Callable[[JointTrajectory, int], Sequence[JointTrajectory | bytes]]


@dataclass
class _Asked:
    """A request, when it was looked for it (nanoseconds) and when it is answered (time.monotonic)."""

    request: ChunkRequest
    seen: int | None = None
    due: float = 0.0


class FakePolicy:
    """Its faults: `silent`, `thinking` (seconds per chunk) and `spoil`, which turns a good chunk into what is sent."""

    def __init__(
        self,
        node: Any,
        contract: Contract,
        now: Callable[[], int],
        position: Callable[[], NDArray[np.float64] | None],
        absent: bool = False,
    ) -> None:
        """now: nanoseconds; position: the last command [d], or where the arm is, or None; absent: a real one is there
        instead.
        """
        self._contract, self._now, self._position = contract, now, position
        self._absolute = contract.action[0].kind == 'absolute'
        self._node = node
        self._asked: _Asked | None = None
        self._answered = ''
        self.silent = False
        self.thinking, self.length = THINKING, LENGTH
        self.spoil: Spoil | None = None
        self.publisher: Any = None
        self._absent = absent
        self.appear()
        node.create_subscription(JointTrajectory, 'chunk_request', self._ask, COMMAND)

    def appear(self) -> None:
        """Its publisher is there (again)."""
        if self.publisher is None and not self._absent:
            self.publisher = self._node.create_publisher(JointTrajectory, 'action_chunk', COMMAND)

    def vanish(self) -> None:
        """Its publisher is gone, as when the process ended."""
        publisher, self.publisher = self.publisher, None
        if publisher is not None:
            self._node.destroy_publisher(publisher)

    def reset_faults(self) -> None:
        """A good policy again."""
        self.silent, self.thinking, self.spoil = False, THINKING, None
        self._asked, self._answered = None, ''
        self.appear()

    def chunk(self, request: ChunkRequest, stamp: int, length: int = LENGTH) -> JointTrajectory:
        """The answer to a request, from an observation at `stamp` (nanoseconds): it continues what is decided."""
        plan = prefix_of(request, stamp)
        decided = plan.actions[: plan.committed].reshape(plan.committed, len(self._contract.action_names))
        known = decided[-1] if len(decided) else self._position()
        start = np.zeros(len(self._contract.action_names)) if known is None else known
        count = max(length - len(decided), 1)
        onward = circle(start, count) if self._absolute else turning(start, count)
        actions = np.vstack([decided, onward])
        return encode_chunk(make_chunk(self._contract, stamp, actions, request.identity))

    def step(self) -> None:
        """Looks, thinks and answers."""
        asked = self._asked
        if asked is None:
            return
        if asked.seen is None:
            # An observation from before the robot stood still would not do.
            if asked.request.not_before is None or self._now() >= asked.request.not_before:
                asked.seen, asked.due = self._now(), time.monotonic() + self.thinking
            return
        if time.monotonic() < asked.due:
            return
        self._asked, self._answered = None, asked.request.identity
        publisher = self.publisher
        if self.silent or publisher is None:
            return
        good = self.chunk(asked.request, asked.seen, self.length)
        decided = prefix_of(asked.request, asked.seen).committed
        messages: Sequence[JointTrajectory | bytes] = [good] if self.spoil is None else self.spoil(good, decided)
        for message in messages:
            publisher.publish(message)

    def _ask(self, message: JointTrajectory) -> None:
        request = decode_request(message)
        if self._asked is None and request.identity != self._answered:
            self._asked = _Asked(request)
