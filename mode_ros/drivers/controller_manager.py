"""ros2_control's controller_manager, asked whether a controller is active: one that is not ignores what it is sent."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import Any

from mode_ros.control.contract import ActionGroup
from mode_ros.drivers.findings import Finding, warn
from mode_ros.drivers.graph import Graph


def examine(node: str, group: ActionGroup, graph: Graph) -> Iterator[Finding]:
    """A warning where the manager beside the controller `node` says that it is not active.

    Nothing where no manager is there, or the Python package controller_manager_msgs is not, which is on every machine
    with ros2_control.
    """
    space, name = node.rsplit('/', 1)
    service = f'{space}/controller_manager/list_controllers'
    if not graph.has_service(service):
        return
    try:
        service_type = list_controllers_type()
    except ImportError:
        return
    answer = graph.call(service_type, service, service_type.Request())
    controllers = [] if answer is None else answer.controller
    own = next((controller for controller in controllers if controller.name == name), None)
    if own is not None and own.state != 'active':
        manager = f' -c {space}/controller_manager' if space else ''
        in_the_way = ''.join(f' {other}' for other in _in_the_way(own, controllers))
        first = f' --deactivate{in_the_way}' if in_the_way else ''
        yield warn(
            f'{node} (for the group {group.name!r}) is {own.state}, so that it ignores every command: type '
            f'`ros2 control switch_controllers{first} --activate {name}{manager}`, or write the topic of a controller '
            'that is active into the contract.'
        )


def list_controllers_type() -> Any:
    """The type of the service that lists the controllers; raises ImportError without ros2_control."""
    return importlib.import_module('controller_manager_msgs.srv').ListControllers


def _in_the_way(own: Any, controllers: Sequence[Any]) -> list[str]:
    """Active controllers that hold what `own` needs: only one may command a joint."""
    needed = set(own.required_command_interfaces)
    return [each.name for each in controllers if each.state == 'active' and needed & set(each.claimed_interfaces)]
