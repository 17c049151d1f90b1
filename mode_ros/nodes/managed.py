"""Lifecycle nodes that say why: what rclpy swallows is logged, and every stop carries its reason."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from lifecycle_msgs.msg import State as LifecycleStateMessage
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.node import Node

from mode_ros.errors import UserError

_STATE_ACTIVE = LifecycleStateMessage.PRIMARY_STATE_ACTIVE
_STATE_INACTIVE = LifecycleStateMessage.PRIMARY_STATE_INACTIVE


class ManagedNode(LifecycleNode):
    """Subclasses give configure, activate, deactivate and cleanup, which raise UserError for what a user can mend."""

    autostart = True

    def __init__(self, name: str, **options: Any) -> None:
        """options: of rclpy.node.Node, such as namespace and parameter_overrides."""
        super().__init__(name, automatically_declare_parameters_from_overrides=True, **options)
        self.active = False

    def configure(self) -> None:
        """Loads, checks and prepares everything."""

    def activate(self) -> None:
        """Starts work."""

    def deactivate(self, reason: str) -> None:
        """Refuses new work, brings the robot to a safe stop, and returns within a bound."""

    def cleanup(self) -> None:
        """Gives back what configure took; called after a failed configure too."""

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt('configure', self.configure, undo=self.cleanup)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        super().on_activate(state)
        result = self._attempt('activate', self.activate)
        self.active = result == TransitionCallbackReturn.SUCCESS
        if self.active:
            self.get_logger().info('active')
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._stop('deactivated on request', state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._attempt('clean up', self.cleanup)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        if self.active:
            self._stop('shut down on request', state)
        return self._attempt('clean up', self.cleanup)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.active = False
        return self._attempt('clean up after an error', self.cleanup)

    def close(self) -> None:
        """The end of the process: a safe stop first, whatever state the node is in.

        What fails in the stop is raised when everything is given back.
        """
        try:
            if self.active:
                self.active = False
                self.get_logger().warning('stopping: the process ends')
                self.deactivate('the process ends')
        finally:
            self._attempt('clean up', self.cleanup)

    def _stop(self, reason: str, state: LifecycleState) -> TransitionCallbackReturn:
        # Order matters: no new work, then the stop, then (super) the publishers fall silent.
        self.active = False
        self.get_logger().warning(f'stopping: {reason}')
        result = self._attempt('deactivate', lambda: self.deactivate(reason))
        super().on_deactivate(state)
        return result

    def _attempt(
        self, what: str, action: Callable[[], None], undo: Callable[[], None] | None = None
    ) -> TransitionCallbackReturn:
        try:
            action()
            return TransitionCallbackReturn.SUCCESS
        except UserError as error:
            self.get_logger().error(f'Cannot {what}: {error}')
        except Exception:  # noqa: BLE001 - whatever it is, it is logged whole
            # rclpy would turn this into a bare failure without a word.
            self.get_logger().error(f'Cannot {what}, because of a defect:\n{traceback.format_exc()}')
        if undo is not None:
            undo()
        return TransitionCallbackReturn.FAILURE


class Diagnostics:
    """Publishes one status, periodically and on wall time, so that a stopped clock is seen too."""

    def __init__(
        self,
        node: Node,
        report: Callable[[], tuple[bytes, str, Mapping[str, Any]]],
        period: float = 0.5,
        topic: str = '/diagnostics',
    ) -> None:
        """report() gives level, message and values; period in seconds."""
        from rclpy.clock import Clock, ClockType

        self._node = node
        self._report = report
        self._publisher = node.create_publisher(DiagnosticArray, topic, 10)
        self._timer = node.create_timer(period, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def publish(self) -> None:
        level, message, values = self._report()
        status = DiagnosticStatus(level=level, name=self._node.get_fully_qualified_name(), message=message)
        status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)

    def close(self) -> None:
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)
