"""One group of a contract against whoever listens to it: recognised by its parameters, then asked what matters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from mode_ros.control.contract import ActionGroup, Contract
from mode_ros.drivers import controller_manager, forward_command, joint_trajectory, pose, servo
from mode_ros.drivers.findings import SIMULATOR, Degree, Finding, refuse, tell, warn
from mode_ros.drivers.graph import Graph, that_are_set
from mode_ros.drivers.gripper import ACTION_TYPES, GRAPH_TYPES
from mode_ros.messages.commands import encode_command


def examine_group(graph: Graph, group: ActionGroup, contract: Contract) -> Iterator[Finding]:
    """What is to be said about the drivers of `group`; those that can be set going are, unless something is wrong."""
    if group.output.adapter == 'gripper_command':
        yield from _examine_gripper(graph, group)
        return
    topic = graph.resolve(group.output.topic)
    listeners = graph.listeners(topic)
    if not listeners:
        yield warn(
            f'Nobody listens to {topic} yet, so the driver of the group {group.name!r} could not be checked: start it, '
            'and compare the name with `ros2 topic list`.'
        )
    for node in listeners:
        if node.rsplit('/', 1)[1] == SIMULATOR:
            continue
        parameters = graph.parameters(node)
        if parameters is None:
            yield warn(f'{node} listens to {topic} and does not tell its parameters, so it could not be checked.')
            continue
        yield from _examine_node(graph, node, that_are_set(parameters), group, contract)


def _examine_node(
    graph: Graph, node: str, parameters: Mapping[str, Any], group: ActionGroup, contract: Contract
) -> Iterator[Finding]:
    adapter = group.output.adapter
    fitting = _adapters(parameters)
    if fitting and adapter not in fitting:
        yield refuse(
            f'{node} listens to {graph.resolve(group.output.topic)} and takes other messages than those of the adapter '
            f'{adapter}, so that the group {group.name!r} would not move: write `adapter: {fitting[0]}`, or the topic '
            f'of a driver that takes them.'
        )
        return
    together = [name for each in contract.outputs[group.output.topic] for name in each.names]
    if adapter in ('twist', 'pose') and servo.recognises(parameters):
        findings = [*servo.examine(node, parameters, group, contract.command_seconds, graph.sim_time)]
        yield from findings
        if not any(finding.degree is Degree.REFUSE for finding in findings):
            yield from servo.prepare(node, group, graph)
    elif adapter == 'pose' and pose.recognises(parameters):
        yield from pose.examine(node, parameters, group, graph.publishers(graph.resolve(group.output.topic)))
        yield from controller_manager.examine(node, group, graph)
    elif adapter == 'joint_trajectory' and joint_trajectory.recognises(parameters):
        moving = ends_moving(group, contract.command_seconds)
        yield from joint_trajectory.examine(node, parameters, group, moving, together)
        yield from controller_manager.examine(node, group, graph)
    elif adapter == 'forward_command' and forward_command.recognises(parameters):
        yield from forward_command.examine(node, parameters, group)
        yield from controller_manager.examine(node, group, graph)
    elif adapter == 'twist':
        yield warn(
            f'{node} listens to {graph.resolve(group.output.topic)} and is not MoveIt Servo: what it does when '
            'commands cease is not known here.'
        )
    else:
        yield tell(f'{node} listens to {graph.resolve(group.output.topic)} and is no driver that is known here.')


def _adapters(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """The adapters that fit the driver with these parameters; none for one that is not known."""
    if servo.recognises(parameters):
        return ('twist', 'pose')
    known = {'pose': pose, 'joint_trajectory': joint_trajectory, 'forward_command': forward_command}
    return tuple(adapter for adapter, driver in known.items() if driver.recognises(parameters))


def _examine_gripper(graph: Graph, group: ActionGroup) -> Iterator[Finding]:
    name = graph.resolve(str(group.output.action))
    wanted = f'control_msgs/action/{group.output.action_type}'
    offered = graph.actions(name)
    if not offered:
        yield warn(
            f'There is no action server {name} yet for the group {group.name!r}: start the gripper, and compare the '
            'name with `ros2 action list -t`.'
        )
    elif wanted not in offered:
        other = offered[0].rsplit('/', 1)[1]
        if offered[0] in GRAPH_TYPES:
            way_out = f'write `action_type: {other}` into the contract'
        else:
            way_out = f'give a server of control_msgs/action/{" or ".join(ACTION_TYPES)} (`ros2 action list -t`)'
        yield refuse(
            f'The action server {name} of the group {group.name!r} takes {offered[0]}, not {wanted}: {way_out}.'
        )


def ends_moving(group: ActionGroup, period: float) -> bool:
    """Whether the trajectories that are sent for `group` end with a velocity that is not zero."""
    moving = np.full(len(group.names), 0.1)
    message = encode_command(moving, group, period, 0, velocities=moving)
    return any(velocity != 0.0 for velocity in message.points[-1].velocities)
