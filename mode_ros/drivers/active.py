"""The drivers of one contract, as controller_node uses them: checked before anything moves, spoken to while it does."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node

from mode_ros.control.contract import ActionGroup, Contract
from mode_ros.control.poses import nearest_sign
from mode_ros.drivers import gripper
from mode_ros.drivers.examine import examine_group
from mode_ros.drivers.findings import Degree, Finding
from mode_ros.drivers.live import LiveGraph
from mode_ros.drivers.namespaces import absolute_commands
from mode_ros.errors import UserError


class Drivers:
    """Made at configure, prepared at activate, closed at cleanup."""

    def __init__(self, node: Node, contract: Contract, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: seconds of a steady clock. Raises UserError where the type of a gripper's action is missing."""
        self._node, self._contract = node, contract
        self._groups = {group.name: group for group in contract.action}
        self._signs: dict[str, NDArray[np.float64]] = {}
        self._findings: list[Finding] = []
        self._grippers: dict[str, gripper.GripperClient] = {}
        for text in absolute_commands(contract, node.get_namespace()):
            node.get_logger().warning(text)
        for group in contract.action:
            if group.output.adapter == 'gripper_command':
                self._grippers[group.name] = gripper.open_gripper(node, group, clock)

    def prepare(self, wait: float) -> None:
        """Looks for the drivers for at most `wait` seconds of wall time, checks them and sets them going.

        Raises UserError with a sentence for every driver that would not do what the contract says; logs what could be
        better. 0 seconds: nothing is looked for. Drivers that are not there yet are warned of, and not checked.
        """
        self._signs.clear()
        if wait <= 0:
            return
        with LiveGraph(self._node) as graph:
            groups = [*self._groups.values()]
            graph.wait_until(lambda: all(_is_there(graph, group) for group in groups), wait)
            self._findings = [finding for group in groups for finding in examine_group(graph, group, self._contract)]
        logger = self._node.get_logger()
        refused = [finding.text for finding in self._findings if finding.degree is Degree.REFUSE]
        if refused:
            raise UserError(' '.join(refused))
        for finding in self._findings:
            # Two statements: rclpy's logger knows a call by its line, and wants one severity of each.
            if finding.degree is Degree.WARN:
                logger.warning(finding.text)
            else:
                logger.info(finding.text)

    def command(self, name: str, message: Any, moving: bool) -> None:
        """Called with every message of the group `name` before it is published.

        moving: whether the robot executes or is driven, and does not merely hold.
        """
        group = self._groups[name]
        if group.output.adapter == 'pose':
            self._keep_sign(name, message)
        elif name in self._grippers:
            self._grippers[name].command(float(message.position[0]), moving)

    def stop(self) -> None:
        """The robot is stopped: what drivers would go on with by themselves is cancelled."""
        for client in self._grippers.values():
            client.stop()

    def close(self) -> None:
        """Gives back what was made."""
        for client in self._grippers.values():
            client.close()
        self._grippers.clear()

    @property
    def well(self) -> bool:
        """Whether nothing is wrong that a person should look at."""
        return all(client.well for client in self._grippers.values())

    def report(self) -> Mapping[str, Any]:
        """For /diagnostics."""
        warnings = [finding.text for finding in self._findings if finding.degree is Degree.WARN]
        values: dict[str, Any] = {'driver warnings': ' '.join(warnings)}
        for client in self._grippers.values():
            values.update(client.report())
        return values

    def _keep_sign(self, name: str, message: Any) -> None:
        orientation = message.pose.orientation
        quaternion = nearest_sign(
            np.array([orientation.x, orientation.y, orientation.z, orientation.w]), self._signs.get(name)
        )
        self._signs[name] = quaternion
        orientation.x, orientation.y, orientation.z, orientation.w = (float(value) for value in quaternion)


def _is_there(graph: LiveGraph, group: ActionGroup) -> bool:
    if group.output.adapter == 'gripper_command':
        return bool(graph.actions(graph.resolve(str(group.output.action))))
    return bool(graph.listeners(graph.resolve(group.output.topic)))
