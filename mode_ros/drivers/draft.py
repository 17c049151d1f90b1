"""A contract from what a graph offers: everything that can be seen, and questions for the rest. Needs no ROS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mode_ros.control.contract import ROTATION_6D_NAMES, TWIST_NAMES
from mode_ros.drivers.findings import SIMULATOR
from mode_ros.drivers.offer import Command, Survey
from mode_ros.errors import UserError

# Of the joint's own limit of velocity, until the policy is trusted.
SPEED_SHARE = 0.3
# Where a description gives none: rad/s and m/s.
SPEEDS = {'rad': 1.0, 'm': 0.1}
BOUNDS = {'rad': (-3.1, 3.1), 'm': (0.0, 0.1)}

Ask = Callable[[str, str, Sequence[str]], str]
"""question, default and choices (none: any text) -> the answer."""


@dataclass
class Draft:
    """A contract as plain values, with what a person must look at."""

    values: dict[str, Any]
    notes: list[str]


def draft_contract(survey: Survey, ask: Ask, size: int = 224) -> Draft:
    """The contract for what `survey` saw.

    Raises UserError where the graph has no joint state or pose, or nobody listens to commands: there is then nothing
    to begin with.
    """
    if not survey.joints and not survey.poses:
        raise UserError(
            'Nobody publishes sensor_msgs/JointState or geometry_msgs/PoseStamped: start the robot first, and compare '
            'ROS_DOMAIN_ID with `ros2 topic list`.'
        )
    if not survey.commands:
        raise UserError(_no_driver(survey))
    notes: list[str] = []
    robot = _name(ask('Name of the robot (letters, digits, underscores)', 'my_robot', ()))
    rate = _positive(ask('Actions per second (Hz)', '20', ()), 'the rate')
    states = _states(survey)
    action: list[dict[str, Any]] = []
    for command in _choose(survey.commands, ask):
        action.append(_group(command, survey, states, rate, ask, notes, {group['name'] for group in action}))
    for topic, publishers in survey.publishers.items():
        if any(state['topic'] == relative(topic) for state in states.values()):
            notes.append(
                f'{publishers} nodes publish on {topic} (`ros2 topic info -v {topic}` names them): each must have '
                'joints of its own.'
            )
    observation: dict[str, Any] = {'states': list(states.values())}
    cameras = _cameras(survey, ask, size)
    if cameras:
        observation = {'cameras': cameras, **observation}
    else:
        notes.append('Nobody publishes pictures: add the cameras, or the policy sees nothing.')
    return Draft({'robot': robot, 'rate': rate, 'observation': observation, 'action': action}, notes)


def _no_driver(survey: Survey) -> str:
    strangers = sorted({node for nodes in survey.unknown.values() for node in nodes})
    if any(node.rsplit('/', 1)[1] == SIMULATOR for node in strangers):
        return (
            "What runs is mode_ros's simulator, which has its contract (`ros2 param get /sim_node contract`): use that "
            'one, or end it and start the robot.'
        )
    listening = ', '.join(f'{node} to {topic}' for topic, nodes in survey.unknown.items() for node in nodes)
    return (
        'No driver that mode_ros knows listens to commands'
        + (f'; {listening} listens and is none of them' if listening else '')
        + ': start the controllers first (`ros2 control list_controllers`), or copy a contract from config/robots.'
    )


def relative(topic: str) -> str:
    """Without the leading slash, so that it follows the nodes' namespace: a second robot is not commanded too."""
    return topic.lstrip('/')


def _name(text: str) -> str:
    if not text or not text[0].isalpha() or not text.replace('_', '').isalnum() or not text.isascii():
        raise UserError(f'The name {text!r} cannot be used: give letters, digits and underscores, a letter first.')
    return text


def _positive(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < 1e6:
        raise UserError(f'{text!r} is no number for {what}: give one above 0, such as 20.')
    return value


def _cameras(survey: Survey, ask: Ask, size: int) -> list[dict[str, Any]]:
    """Of a camera that comes raw and compressed, the raw one: the policy's process resizes it once."""
    topics = [
        topic
        for topic in survey.cameras
        if topic.removesuffix('/compressed') not in survey.cameras or not topic.endswith('/compressed')
    ]
    names = ['static', 'wrist', *(f'camera_{number}' for number in range(3, len(topics) + 3))]
    cameras: list[dict[str, Any]] = []
    for topic in sorted(topics):
        name = ask(f'Name of the camera {topic} (- leaves it out)', names[len(cameras)], ())
        if name != '-':
            camera = {'name': _name(name), 'topic': relative(topic), 'width': size, 'height': size, 'max_age': 0.3}
            if survey.cameras[topic] == 'compressed':
                camera['transport'] = 'compressed'
            cameras.append(camera)
    return cameras


def _states(survey: Survey) -> dict[str, dict[str, Any]]:
    """By name: a stream of joints for each unit, and poses. A topic whose joints all come on another is left out."""
    states: dict[str, dict[str, Any]] = {}
    used: set[str] = set()

    def add(name: str, **state: Any) -> None:
        number = 2
        unique = name
        while unique in used:
            unique, number = f'{name}_{number}', number + 1
        used.add(unique)
        several = {'publishers': publishers} if (publishers := survey.publishers.get(state['topic'], 1)) > 1 else {}
        states[unique] = {'name': unique, **state, 'topic': relative(state['topic']), **several, 'max_age': 0.2}

    for topic, names in survey.joints.items():
        others = [other for key, other in survey.joints.items() if key != topic]
        if any(set(names) < set(other) for other in others):
            continue
        free = [name for name in names if not (name in survey.limits and survey.limits[name].mimics)]
        for unit, word in (('rad', 'joints'), ('m', 'sliders')):
            chosen = [name for name in free if _unit(name, survey) == unit]
            if chosen:
                add(word, topic=topic, type='joint_state', names=chosen, unit=unit)
    for topic in survey.poses:
        if not any(command.name == topic for command in survey.commands):
            add('hand', topic=topic, type='pose', names=['x', 'y', 'z', 'qx', 'qy', 'qz', 'qw'], unit='m')
    return states


def _unit(joint: str, survey: Survey) -> str:
    return survey.limits[joint].unit if joint in survey.limits else 'rad'


def _choose(commands: Sequence[Command], ask: Ask) -> list[Command]:
    """One way to command each joint: a robot has several controllers for them, of which one runs."""
    order = ('joint_trajectory', 'forward_command', 'pose', 'twist', 'gripper_command')
    usable = [command for command in commands if command.interface not in ('velocity', 'effort')]
    chosen: list[Command] = []
    for command in sorted(usable, key=lambda command: order.index(command.adapter)):
        taken = {joint for other in chosen for joint in other.joints}
        hand = command.adapter in ('pose', 'twist')
        clash = bool(taken & set(command.joints)) or (
            hand and any(other.adapter != 'gripper_command' for other in chosen)
        )
        default = 'n' if clash else 'y'
        what = f'{command.adapter} on {command.name}' + (f' for {", ".join(command.joints)}' if command.joints else '')
        if ask(f'Command the robot by {what}?', default, ('y', 'n')) == 'y':
            chosen.append(command)
    if not chosen:
        raise UserError('No way to command the robot was chosen; answer y for at least one.')
    return chosen


def _group(
    command: Command,
    survey: Survey,
    states: dict[str, dict[str, Any]],
    rate: float,
    ask: Ask,
    notes: list[str],
    used: set[str],
) -> dict[str, Any]:
    name = 'gripper' if command.adapter == 'gripper_command' or 'gripper' in command.name else 'arm'
    name = next(choice for choice in (name, *(f'{name}_{n}' for n in range(2, 99))) if choice not in used)
    if command.adapter in ('twist', 'pose'):
        return _hand(name, command, states, rate, ask, notes)
    joints = command.joints or (ask(f'Joint that {command.name} moves', 'gripper_joint', ()),)
    feedback = next(
        (
            state['name']
            for state in states.values()
            if state['type'] == 'joint_state' and set(joints) <= set(state['names'])
        ),
        None,
    )
    if feedback is None:
        notes.append(
            f'No state measures all of {list(joints)}: the group {name!r} has no feedback and no limited steps.'
        )
    dimensions = [_dimension(joint, survey, rate, feedback is not None, notes) for joint in joints]
    output: dict[str, Any] = {'adapter': command.adapter, 'topic': relative(command.name)}
    if command.adapter == 'gripper_command':
        output = {
            'adapter': command.adapter,
            'topic': f'{relative(command.name)}/commanded',
            'action': relative(command.name),
            'action_type': command.action_type,
            'tolerance': round(0.03 * (dimensions[0]['upper'] - dimensions[0]['lower']), 6),
        }
    group: dict[str, Any] = {'name': name, 'kind': 'absolute', 'dimensions': dimensions, 'output': output}
    return group if feedback is None else {**group, 'feedback': feedback}


def _dimension(joint: str, survey: Survey, rate: float, limited: bool, notes: list[str]) -> dict[str, Any]:
    limit = survey.limits.get(joint)
    unit = _unit(joint, survey)
    lower, upper = BOUNDS[unit]
    if limit is None or limit.lower is None or limit.upper is None:
        notes.append(f'The bounds of {joint} are a guess: its description gives none.')
    else:
        lower, upper = limit.lower, limit.upper
    speed = SPEEDS[unit] if limit is None or limit.velocity is None else SPEED_SHARE * limit.velocity
    dimension: dict[str, Any] = {'name': joint, 'unit': unit, 'lower': round(lower, 4), 'upper': round(upper, 4)}
    if limited:
        dimension['max_step'] = float(f'{speed / rate:.3g}')
    return dimension


def _hand(
    name: str, command: Command, states: dict[str, dict[str, Any]], rate: float, ask: Ask, notes: list[str]
) -> dict[str, Any]:
    frame = command.frame or ask(f'Frame of the {command.adapter} on {command.name}', 'base_link', ())
    output: dict[str, Any] = {'adapter': command.adapter, 'topic': relative(command.name), 'frame_id': frame}
    if command.adapter == 'twist':
        step, turn = float(f'{0.1 / rate:.3g}'), float(f'{0.5 / rate:.3g}')
        notes.append('The largest displacements are those of 0.1 m/s and 0.5 rad/s: raise them when all is well.')
        dimensions = [
            {'name': axis, 'unit': unit, 'lower': -size, 'upper': size}
            for axes, unit, size in ((TWIST_NAMES[:3], 'm', step), (TWIST_NAMES[3:], 'rad', turn))
            for axis in axes
        ]
        return {'name': name, 'kind': 'delta', 'dimensions': dimensions, 'output': output}
    hands = [state['name'] for state in states.values() if state['type'] == 'pose']
    if not hands:
        raise UserError(
            f'{command.node} takes poses, and nobody publishes where the hand is (geometry_msgs/PoseStamped): start a '
            'pose broadcaster, or choose another way to command.'
        )
    notes.append('The box of the hand, half a metre to all sides, is a guess: make it that of the task.')
    dimensions = [{'name': axis, 'unit': 'm', 'lower': -0.5, 'upper': 0.5} for axis in TWIST_NAMES[:3]]
    dimensions += [{'name': axis, 'unit': '1', 'lower': -1.0, 'upper': 1.0} for axis in ROTATION_6D_NAMES]
    output |= {'max_speed': 0.1, 'max_rotation_speed': 0.5}
    return {'name': name, 'kind': 'absolute', 'feedback': hands[0], 'dimensions': dimensions, 'output': output}
