"""forward_command_controller and its like: an array without names, so the order must be the controller's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mode_ros.control.contract import ActionGroup
from mode_ros.drivers.findings import Finding, refuse, tell, warn


def recognises(parameters: Mapping[str, Any]) -> bool:
    """Whether a node with these parameters is such a controller, for several joints or several interfaces of one."""
    return ('joints' in parameters and 'interface_name' in parameters) or (
        'joint' in parameters and 'interface_names' in parameters
    )


def examine(node: str, parameters: Mapping[str, Any], group: ActionGroup) -> Iterator[Finding]:
    """Findings about the controller `node`."""
    who = f'{node} (forward_command_controller, for the group {group.name!r})'
    if 'interface_names' in parameters:
        interfaces = list(parameters['interface_names'])
        if len(interfaces) != len(group.names):
            yield refuse(
                f'{who} takes {len(interfaces)} numbers, one for each of {interfaces} of {parameters["joint"]}, and '
                f'the group sends {len(group.names)}: give the group as many dimensions.'
            )
        return
    joints, names = list(parameters['joints']), list(group.output.joints or group.names)
    interface = str(parameters.get('interface_name', ''))
    if len(joints) != len(names):
        yield refuse(
            f'{who} takes {len(joints)} numbers, for {joints}, and the group sends {len(names)}, for {names}: give the '
            'group the same joints in the same order.'
        )
    elif sorted(joints) == sorted(names) and joints != names:
        yield refuse(
            f'{who} takes its numbers in the order {joints}, and the group sends them in the order {names}, so every '
            'joint would get the target of another: write the dimensions in the order of its parameter `joints`.'
        )
    elif joints != names:
        yield warn(
            f'{who} moves {joints}, and the group calls its dimensions {names}, so that their order cannot be '
            'compared: name the dimensions as the joints.'
        )
    if interface in ('velocity', 'effort', 'acceleration'):
        yield refuse(
            f'{who} takes a joint {interface} (its parameter `interface_name`), and a stop holds the last command, '
            f'with which the {interface} would go on: give the topic of a controller that takes positions.'
        )
    elif interface == 'position':
        yield tell(f'{who}: on silence it holds the last position.')
