"""A simulated robot behind a robot contract: whether the two fit, and what it tells on which topic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import Contract, State
from mode_ros.errors import UserError
from mode_ros.sim.simulator import Simulator

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Joints:
    """What one sensor_msgs/JointState tells. positions: [n]; velocities: [n], or [0] where there are none."""

    names: tuple[str, ...]
    positions: Floats
    velocities: Floats


@dataclass(frozen=True)
class Pose:
    """What one geometry_msgs/PoseStamped tells. position: [3] in m; orientation: [4], x, y, z, w."""

    position: Floats
    orientation: Floats


Reading = Joints | Pose


def state_readings(contract: Contract, simulator: Simulator) -> dict[str, Reading]:
    """What the simulator tells now on each of the contract's state topics, for a contract that fits.

    A topic of poses has the end effector's. A topic of joints has all of the robot's joints, or, where the contract
    reads the scene from it, all of the scene.
    """
    measured, scene = simulator.state(), simulator.scene_names
    readings: dict[str, Reading] = {}
    for state in contract.observation.states:
        if state.topic in readings:
            continue
        if state.type == 'pose':
            readings[state.topic] = Pose(measured.end_effector_position, measured.end_effector_orientation)
        elif set(state.names) <= set(scene):
            readings[state.topic] = Joints(scene, simulator.scene(), np.zeros(0))
        else:
            readings[state.topic] = Joints(measured.joint_names, measured.joint_positions, measured.joint_velocities)
    return readings


def stream_values(reading: Reading, state: State) -> Floats:
    """The numbers [n] of the contract's stream `state` in what its topic tells, as the nodes read its messages.

    Raises KeyError for a joint that the simulator does not have; `check_fits` refuses such a contract before.
    """
    if isinstance(reading, Pose):
        return np.concatenate([reading.position, reading.orientation])
    field = reading.velocities if state.field == 'velocity' else reading.positions
    by_name = dict(zip(reading.names, field, strict=True))
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
    joints, scene = simulator.state().joint_names, simulator.scene_names
    of_the_scene: dict[str, bool] = {}
    for state in contract.observation.states:
        if state.type == 'pose':
            continue
        absent = [name for name in state.names if name not in (*joints, *scene)]
        if absent:
            tells = f'{list(joints)} and {"of the scene " + str(list(scene)) if scene else "nothing of the scene"}'
            raise UserError(
                f'{refused} it has the joint {absent[0]!r} in the state {state.name!r}, the simulator {tells}; {hint}'
            )
        if state.field == 'effort':
            raise UserError(f'{refused} the state {state.name!r} is an effort, which is not simulated.')
        for name in state.names:
            # One message has one source.
            if of_the_scene.setdefault(state.topic, name in scene) != (name in scene):
                raise UserError(
                    f'{refused} its topic {state.topic!r} has joints of the robot as well as the scene ({name!r} in '
                    f'the state {state.name!r}); give each a topic of its own.'
                )
        if state.field == 'velocity' and of_the_scene[state.topic]:
            raise UserError(f'{refused} the state {state.name!r} is a velocity of the scene, which is not told.')
