"""MoveIt Servo: twists in m/s and rad/s or poses, the command type switched and unpaused when the controller begins."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from std_srvs.srv import SetBool, Trigger

from mode_ros.control.contract import ActionGroup
from mode_ros.drivers.findings import Finding, refuse, tell, warn
from mode_ros.drivers.graph import Graph
from mode_ros.drivers.manners import SERVO, silence_seconds

PREFIX = 'moveit_servo.'
# moveit_msgs/srv/ServoCommandType
TYPE_NUMBERS = {'twist': 1, 'pose': 2}


def recognises(parameters: Mapping[str, Any]) -> bool:
    """Whether a node with these parameters is MoveIt Servo."""
    return f'{PREFIX}command_in_type' in parameters or f'{PREFIX}incoming_command_timeout' in parameters


def examine(
    node: str, parameters: Mapping[str, Any], group: ActionGroup, period: float, sim_time: bool
) -> Iterator[Finding]:
    """Findings about the Servo node `node`. period: seconds between two commands; sim_time: of the controller node."""
    who = f'{node} (MoveIt Servo, for the group {group.name!r})'
    if group.output.adapter == 'twist' and parameters.get(f'{PREFIX}command_in_type') == 'unitless':
        yield refuse(
            f'{who} takes twists as shares of its full speed (command_in_type: unitless), and the contract commands '
            f'm/s: write `command_in_type: speed_units` into its YAML file and start it anew'
            + (
                f', or type `ros2 param set {node} {PREFIX}command_in_type speed_units`.'
                if _listens(parameters)
                else '.'
            )
        )
    timeout = silence_seconds(SERVO, parameters) or 0.0
    longer = f'write `incoming_command_timeout: {2.5 * period:g}` into its YAML file and start it anew'
    if timeout <= 1.05 * period:
        yield refuse(
            f'{who} halts when a command is older than {timeout:g} s (incoming_command_timeout), and commands come '
            f'every {period:g} s, so the arm would stop and go: {longer} (it reads that parameter only when it '
            'starts), or raise the rate.'
        )
    elif timeout <= 2 * period:
        yield warn(
            f'{who} halts when a command is older than {timeout:g} s (incoming_command_timeout), no more than two '
            f'periods of {period:g} s, so a single lost command stops the arm: {longer} (it reads that '
            'parameter only when it starts).'
        )
    else:
        yield tell(f'{who}: on silence it halts after {timeout:g} s.')
    if bool(parameters.get('use_sim_time', False)) != sim_time:
        yield refuse(
            f'{who} and the controller live by different clocks (use_sim_time), so every command would be stale: set '
            'use_sim_time on both or on neither.'
        )
    about_frame = parameters.get(f'{PREFIX}apply_twist_commands_about_ee_frame') is False
    if group.output.adapter == 'twist' and about_frame and any(d.unit == 'rad' for d in group.dimensions):
        yield refuse(
            f'{who} turns the hand about the origin of the frame of the twists '
            '(apply_twist_commands_about_ee_frame: false), so that a rotation carries the hand away, and the contract '
            f'turns it in place: type `ros2 param set {node} {PREFIX}apply_twist_commands_about_ee_frame true`, and '
            'write it into its YAML file.'
        )
    yield from _speeds(who, node, parameters, group, period)


def _listens(parameters: Mapping[str, Any]) -> bool:
    """Whether this is a Servo, since Jazzy, that follows the parameters that a command reads while it runs.

    Humble's reads all of them when it starts; no Servo follows incoming_command_timeout.
    """
    return f'{PREFIX}pose_command_in_topic' in parameters


def _speeds(who: str, node: str, parameters: Mapping[str, Any], group: ActionGroup, period: float) -> Iterator[Finding]:
    if group.output.adapter != 'twist' or parameters.get(f'{PREFIX}command_in_type') != 'speed_units':
        return
    if not _listens(parameters):
        return  # Humble's scales are factors of unitless commands alone
    for part, unit in (('linear', 'm'), ('rotational', 'rad')):
        largest = parameters.get(f'{PREFIX}scale.{part}')
        asked = max(
            (
                min(max(-d.lower, d.upper), d.max_step or float('inf')) / period
                for d in group.dimensions
                if d.unit == unit
            ),
            default=0.0,
        )
        if isinstance(largest, float) and 0.0 < largest < asked - 1e-9:
            yield warn(
                f'{who} goes no faster than {largest:g} {unit}/s (scale.{part}), and the contract allows {asked:g}: '
                f'lower the bounds of the group, or type `ros2 param set {node} {PREFIX}scale.{part} {asked:g}`.'
            )


def prepare(node: str, group: ActionGroup, graph: Graph) -> Iterator[Finding]:
    """Tells Servo which kind of command comes, and unpauses it; refuses with what to type where that fails."""
    who = f'{node} (MoveIt Servo, for the group {group.name!r})'
    adapter = group.output.adapter
    number = TYPE_NUMBERS[adapter]
    switch = f'{node}/switch_command_type'
    if graph.has_service(switch):
        try:
            service_type, request = command_type_request(number)
        except ImportError:
            yield refuse(
                f'{who} must be told that {adapter} commands come, and the Python package moveit_msgs is not there '
                'for that: install it (`sudo apt install ros-$ROS_DISTRO-moveit-msgs`) and source ROS in this terminal.'
            )
            return
        answer = graph.call(service_type, switch, request)
        if answer is None or not answer.success:
            yield refuse(
                f'{who} did not take {adapter} commands ({_why(answer)}): look at its log, then type `ros2 service '
                f'call {switch} moveit_msgs/srv/ServoCommandType "{{command_type: {number}}}"`.'
            )
            return
    elif adapter != 'twist':
        yield refuse(f'{who} has no service {switch}, so it takes no poses: use the adapter twist, or a newer MoveIt.')
        return
    for name, service_type, request, words in _unpausing(node, graph):
        answer = graph.call(service_type, name, request)
        if answer is None or not answer.success:
            yield refuse(
                f'{who} did not go on ({_why(answer)}): look at its log, then type `ros2 service call {name} {words}`.'
            )
            return
        yield tell(f'{who}: {name} called.')
        break
    else:
        yield refuse(
            f'{who} listens, but offers neither {node}/pause_servo nor {node}/start_servo, so it cannot be set going: '
            'wait until it has started, or look at its log.'
        )


def command_type_request(number: int) -> tuple[Any, Any]:
    """The type of the service that switches the kind of command, and a request; raises ImportError without MoveIt."""
    service = importlib.import_module('moveit_msgs.srv').ServoCommandType
    return service, service.Request(command_type=number)


def _unpausing(node: str, graph: Graph) -> Iterator[tuple[str, Any, Any, str]]:
    """Since Jazzy: pause_servo with false. Before (Humble, whose pause_servo only pauses): start_servo, or unpause."""
    for name in (f'{node}/start_servo', f'{node}/unpause_servo'):
        if graph.has_service(name):
            yield name, Trigger, Trigger.Request(), 'std_srvs/srv/Trigger'
            return
    name = f'{node}/pause_servo'
    if graph.has_service(name):
        yield name, SetBool, SetBool.Request(data=False), 'std_srvs/srv/SetBool "{data: false}"'


def _why(answer: Any) -> str:
    return 'no answer' if answer is None else getattr(answer, 'message', '') or 'it said no'
