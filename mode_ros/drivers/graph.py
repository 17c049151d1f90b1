"""What drivers are asked through: who listens, with which parameters, and services. ROS's own is in `live`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


def that_are_set(parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    """Without those that a node has declared and nobody has set, which have the value None."""
    return {name: value for name, value in (parameters or {}).items() if value is not None}


class Graph(Protocol):
    """The running graph, as far as it concerns drivers. Names are full, such as '/servo_node'."""

    def resolve(self, name: str) -> str:
        """The full name that `name` of a contract has for the node that asks."""

    def listeners(self, topic: str) -> list[str]:
        """Full names of the nodes that subscribe to the full name `topic`."""

    def publishers(self, topic: str) -> int:
        """How many publishers the full name `topic` has, those of the node that asks among them."""

    def parameters(self, node: str) -> Mapping[str, Any] | None:
        """All parameters of a node by name; None if it does not answer."""

    def has_service(self, name: str) -> bool:
        """Whether a service of this full name is offered."""

    def call(self, service_type: Any, name: str, request: Any) -> Any:
        """The answer of a service; None if none came in time."""

    def actions(self, name: str) -> tuple[str, ...]:
        """Types, such as 'control_msgs/action/GripperCommand', of the action servers of this full name."""

    @property
    def sim_time(self) -> bool:
        """Whether the node that asks lives by /clock."""
