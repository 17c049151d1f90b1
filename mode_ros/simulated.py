"""A simulated robot behind a robot contract: whether the two fit, and what it tells on which topic."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import Contract, State
from mode_ros.errors import UserError
from mode_ros.sim.simulator import RobotState, Simulator

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Joints:
    """What one sensor_msgs/JointState tells. positions: [n]; velocities, efforts: [n], or [0] where there are none."""

    names: tuple[str, ...]
    positions: Floats
    velocities: Floats
    efforts: Floats = field(default_factory=lambda: np.zeros(0))


@dataclass(frozen=True)
class Pose:
    """What one geometry_msgs/PoseStamped tells. position: [3] in m; orientation: [4], x, y, z, w."""

    position: Floats
    orientation: Floats


@dataclass(frozen=True)
class Wrench:
    """What one geometry_msgs/WrenchStamped tells. values: [6] force in N, then torque in Nm."""

    values: Floats


Reading = Joints | Pose | Wrench


def first_names(simulator: Simulator) -> tuple[str, ...]:
    """Names of the scene's numbers as they were at the reset, in the order of `scene_names`: 'first_object_1_x'."""
    return tuple(f'first_{name}' for name in simulator.scene_names)


def state_readings(contract: Contract, simulator: Simulator) -> dict[str, Reading]:
    """What the simulator tells now on each of the contract's state topics, for a contract that fits.

    A topic of poses has the end effector's, one of wrenches the hand's. A topic of joints has all of the robot's
    joints; where the contract reads efforts from it, those of the fingers, as a gripper's own driver publishes them;
    and where it reads the scene from it, all of the scene, as it is or as it was at the reset.
    """
    measured, scene, first = simulator.state(), simulator.scene_names, first_names(simulator)
    readings: dict[str, Reading] = {}
    for state in contract.observation.states:
        if state.topic in readings:
            continue
        if state.type == 'pose':
            readings[state.topic] = Pose(measured.end_effector_position, measured.end_effector_orientation)
        elif state.type == 'wrench':
            readings[state.topic] = Wrench(simulator.forces().wrench)
        elif set(state.names) <= set(scene):
            readings[state.topic] = Joints(scene, simulator.scene(), np.zeros(0))
        elif set(state.names) <= set(first):
            readings[state.topic] = Joints(first, simulator.first_scene(), np.zeros(0))
        elif _has_efforts(contract, state.topic):
            readings[state.topic] = _fingers(measured, simulator)
        else:
            readings[state.topic] = Joints(measured.joint_names, measured.joint_positions, measured.joint_velocities)
    return readings


def _has_efforts(contract: Contract, topic: str) -> bool:
    return any(state.topic == topic and state.field == 'effort' for state in contract.observation.states)


def _fingers(measured: RobotState, simulator: Simulator) -> Joints:
    places = [measured.joint_names.index(name) for name in simulator.effort_names]
    return Joints(
        simulator.effort_names,
        measured.joint_positions[places],
        measured.joint_velocities[places],
        simulator.forces().efforts,
    )


def stream_values(reading: Reading, state: State) -> Floats:
    """The numbers [n] of the contract's stream `state` in what its topic tells, as the nodes read its messages.

    Raises KeyError for a joint that the simulator does not have; `check_fits` refuses such a contract before.
    """
    if isinstance(reading, Pose):
        return np.concatenate([reading.position, reading.orientation])
    if isinstance(reading, Wrench):
        return reading.values[: len(state.names)]
    told = {'position': reading.positions, 'velocity': reading.velocities, 'effort': reading.efforts}[state.field]
    by_name = dict(zip(reading.names, told, strict=True))
    return np.array([by_name[name] for name in state.names], dtype=np.float64)


def check_fits(contract: Contract, where: str, simulator: Simulator) -> None:
    """Raises UserError, naming what differs, unless the contract is one for the simulator's robot.

    where: what holds the contract, to begin the sentence: 'The contract mine.yaml'.
    """
    refused = f'{where} does not fit the simulated {simulator.robot}:'
    hint = 'take what was made for this robot.'
    if contract.action_names != simulator.action_names:
        raise UserError(
            f'{refused} it commands {list(contract.action_names)}, the simulator takes '
            f'{list(simulator.action_names)}; {hint}'
        )
    unknown = [camera.name for camera in contract.observation.cameras if camera.name not in simulator.cameras]
    if unknown:
        raise UserError(f'{refused} it has the camera {unknown[0]!r}, the simulator {list(simulator.cameras)}; {hint}')
    video = [camera.name for camera in contract.observation.cameras if camera.transport == 'ffmpeg']
    if video:
        raise UserError(f'{refused} its camera {video[0]!r} sends video, and the simulator sends images; {hint}')
    depth = [camera.name for camera in contract.observation.cameras if camera.is_depth]
    if depth:
        raise UserError(f'{refused} its camera {depth[0]!r} is one of depth, and the simulator renders colours; {hint}')
    _check_states(contract, refused, hint, simulator)
    if abs(simulator.steps_per_period - round(simulator.steps_per_period)) > 1e-6:
        raise UserError(
            f'{refused} it has {contract.rate:g} Hz, which is not a whole number of steps of '
            f'{simulator.step_seconds:g} s.'
        )


def _check_states(contract: Contract, refused: str, hint: str, simulator: Simulator) -> None:
    joints, scene = simulator.state().joint_names, (*simulator.scene_names, *first_names(simulator))
    for state in contract.observation.states:
        if state.type == 'wrench' and not simulator.effort_names:
            raise UserError(f'{refused} the state {state.name!r} is a wrench, and no forces are simulated.')
        if state.type in ('pose', 'wrench'):
            continue
        absent = [name for name in state.names if name not in (*joints, *scene)]
        if absent:
            tells = f'{list(joints)} and {_says_scene(simulator)}'
            raise UserError(
                f'{refused} it has the joint {absent[0]!r} in the state {state.name!r}, the simulator {tells}; {hint}'
            )
        _check_efforts(contract, state, refused, simulator)
    _check_topics(contract, refused, simulator)


def _says_scene(simulator: Simulator) -> str:
    if not simulator.scene_names:
        return 'nothing of the scene'
    return f"of the scene {list(simulator.scene_names)}, and the same at the reset with 'first_' before it"


def _check_efforts(contract: Contract, state: State, refused: str, simulator: Simulator) -> None:
    if not _has_efforts(contract, state.topic):
        return
    if not simulator.effort_names:
        raise UserError(f'{refused} the state {state.name!r} is an effort, which is not simulated.')
    other = [name for name in state.names if name not in simulator.effort_names]
    if other and state.field == 'effort':
        raise UserError(
            f'{refused} the state {state.name!r} is an effort of {other[0]!r}, and only those of '
            f'{list(simulator.effort_names)} are simulated.'
        )
    if other:
        raise UserError(
            f'{refused} its topic {state.topic!r} has efforts, which the fingers tell on a topic of their own, and '
            f'{other[0]!r} in the state {state.name!r}; give each a topic of its own.'
        )


def _check_topics(contract: Contract, refused: str, simulator: Simulator) -> None:
    """One message has one source."""
    scene, first = set(simulator.scene_names), set(first_names(simulator))
    sources: dict[str, str] = {}
    for state in contract.observation.states:
        for name in state.names if state.type == 'joint_state' else ():
            source = 'scene' if name in scene else 'first' if name in first else 'robot'
            known = sources.setdefault(state.topic, source)
            if known != source:
                what = 'joints of the robot' if 'robot' in (known, source) else 'the scene of the reset'
                raise UserError(
                    f'{refused} its topic {state.topic!r} has {what} as well as the scene ({name!r} in '
                    f'the state {state.name!r}); give each a topic of its own.'
                )
        if state.field == 'velocity' and sources.get(state.topic) not in (None, 'robot'):
            raise UserError(f'{refused} the state {state.name!r} is a velocity of the scene, which is not told.')
