"""The running graph, asked through a node of its own, so that asking works inside callbacks and before spinning."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import rclpy
from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from rclpy.qos import qos_profile_sensor_data

# A driver that runs answers in milliseconds, on a busy machine later; then it is taken as silent (seconds).
ANSWER_SECONDS = 2.0

# Discovery finds a subscriber before the name of its node, which comes within this (seconds).
NAME_SECONDS = 1.0
UNNAMED = '_NODE_NAME_UNKNOWN_'

# Who listens to commands and is no driver: nodes of mode_ros, recorders, displays, and `ros2 topic` (_ros2cli...).
_ONLOOKERS = {
    'controller_node',
    'policy_node',
    'recorder_node',
    'goals_node',
    'page_node',
    'teleop_node',
    'view_node',
    'rosbag2_recorder',
    'rosbridge_websocket',
}
_ONLOOKERS_BEGIN = ('_', 'foxglove_bridge', 'plotjuggler', 'rqt', 'rviz')


def is_onlooker(node: str) -> bool:
    """Whether the node of this full name only listens, so that it says nothing about the driver of a topic."""
    name = node.rsplit('/', 1)[1]
    return name in _ONLOOKERS or name.startswith(_ONLOOKERS_BEGIN)


class LiveGraph:
    """A `Graph`; use as a context manager."""

    def __init__(self, node: Node) -> None:
        """node: the one whose names, namespace and clock count."""
        self._asker = node
        self._node = rclpy.create_node(
            f'_{node.get_name()}_drivers',
            context=node.context,
            namespace=node.get_namespace(),
            use_global_arguments=False,
        )
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(self._node)

    def __enter__(self) -> LiveGraph:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown(timeout_sec=1.0)
        self._node.destroy_node()

    @property
    def sim_time(self) -> bool:
        return bool(self._asker.get_parameter('use_sim_time').value)

    def resolve(self, name: str) -> str:
        return self._asker.resolve_topic_name(name)

    def listeners(self, topic: str) -> list[str]:
        def found() -> list[str]:
            return [
                f'{info.node_namespace.rstrip("/")}/{info.node_name}'
                for info in self._node.get_subscriptions_info_by_topic(topic)
            ]

        if any(name.endswith(UNNAMED) for name in found()):
            self.wait_until(lambda: not any(name.endswith(UNNAMED) for name in found()), NAME_SECONDS)
        # Whoever has no name by now is going or hidden, and could not be asked anyhow.
        return sorted({name for name in found() if not is_onlooker(name)})

    def publishers(self, topic: str) -> int:
        """How many publishers a topic has."""
        return len(self._node.get_publishers_info_by_topic(topic))

    def topics(self) -> dict[str, tuple[str, ...]]:
        """All topics with their types."""
        return {name: tuple(types) for name, types in self._node.get_topic_names_and_types()}

    def parameters(self, node: str) -> Mapping[str, Any] | None:
        listed = self.call(ListParameters, f'{node}/list_parameters', ListParameters.Request())
        if listed is None:
            return None
        names = list(listed.result.names)
        answer = self.call(GetParameters, f'{node}/get_parameters', GetParameters.Request(names=names))
        if answer is None or len(answer.values) != len(names):
            return None
        return {name: parameter_value_to_python(value) for name, value in zip(names, answer.values, strict=True)}

    def has_service(self, name: str) -> bool:
        return any(found == name for found, _ in self._node.get_service_names_and_types())

    def call(self, service_type: Any, name: str, request: Any) -> Any:
        client = self._node.create_client(service_type, name)
        try:
            if not self.wait_until(client.service_is_ready, ANSWER_SECONDS):
                return None
            future = client.call_async(request)
            self._executor.spin_until_future_complete(future, timeout_sec=ANSWER_SECONDS)
            return future.result() if future.done() and future.exception() is None else None
        finally:
            self._node.destroy_client(client)

    def actions(self, name: str) -> tuple[str, ...]:
        kind = self.all_actions().get(name)
        return () if kind is None else (kind,)

    def all_actions(self) -> dict[str, str]:
        """All action servers and their types."""
        # An action is known by its services; rclpy.action would need the compiled types of all others.
        ends = '/_action/send_goal'
        return {
            name.removesuffix(ends): kinds[0].removesuffix('_SendGoal')
            for name, kinds in self._node.get_service_names_and_types()
            if name.endswith(ends) and kinds
        }

    def listen(self, message_type: Any, topic: str, callback: Callable[[Any], None], qos: Any = None) -> None:
        """Calls back with the messages of a topic while `wait_until` waits."""
        self._node.create_subscription(message_type, topic, callback, qos or qos_profile_sensor_data)

    def wait_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Spins until the condition holds; False after `seconds` of wall time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            self._executor.spin_once(timeout_sec=0.02)
        return True
