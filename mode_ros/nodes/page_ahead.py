"""What the robot is about to do, for the page: the rest of the chunk that plays, as view_node shows it."""

from __future__ import annotations

from typing import Any

from trajectory_msgs.msg import JointTrajectory

from mode_ros.ahead.schedule import Schedule
from mode_ros.control.chunk import ChunkRejected, check_chunk
from mode_ros.control.contract import Contract
from mode_ros.errors import UserError
from mode_ros.messages.chunks import decode_request
from mode_ros.nodes.serialized import decode_serialized_chunk

# More actions than this are not looked at one by one.
SHOWN = 32


class PageAhead:
    """Heard on one thread, told on any."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._schedule = Schedule(contract.period)

    def dimensions(self) -> list[dict[str, Any]]:
        """Name, unit and bounds of each, in the order of the actions."""
        return [
            {'name': each.name, 'unit': each.unit, 'lower': each.lower, 'upper': each.upper}
            for each in self._contract.dimensions
        ]

    def request(self, message: JointTrajectory) -> None:
        """A message of chunk_request; what is none is the policy's to tell."""
        try:
            self._schedule.request(decode_request(message))
        except UserError:
            return

    def chunk(self, data: bytes, now: int) -> None:
        """A message of action_chunk, as serialised. now: nanoseconds of the node's clock."""
        contract = self._contract
        try:
            chunk = decode_serialized_chunk(data, contract.max_chunk_length, len(contract.action_names))
            check_chunk(chunk, contract)
        except ChunkRejected:
            return  # the controller says so
        self._schedule.chunk(chunk, now)

    def clear(self) -> None:
        """The robot is stopped: nothing of it is played."""
        self._schedule.clear()

    def told(self, now: int) -> dict[str, Any] | None:
        """Keys: period (s), decided (so many before the chunk came), values [d][m]; None where nothing is planned."""
        planned = self._schedule.planned
        if planned is None:
            return None
        actions, decided = planned.ahead(now)
        if not len(actions):
            return None
        values = [[round(float(value), 5) for value in column] for column in actions[:SHOWN].T]
        return {'period': self._contract.period_seconds, 'decided': decided, 'values': values}
