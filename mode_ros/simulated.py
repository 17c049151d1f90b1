"""A simulated robot behind a robot contract: whether the two fit."""

from __future__ import annotations

from mode_ros.control.contract import Contract
from mode_ros.errors import UserError
from mode_ros.sim.simulator import Simulator


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
    joints = simulator.state().joint_names
    for state in contract.observation.states:
        absent = [name for name in state.names if name not in joints] if state.type == 'joint_state' else []
        if absent:
            raise UserError(
                f'{refused} it has the joint {absent[0]!r} in the state {state.name!r}, the simulator '
                f'{list(joints)}; {hint}'
            )
        if state.field == 'effort':
            raise UserError(f'{refused} the state {state.name!r} is an effort, which is not simulated.')
    if abs(simulator.steps_per_period - round(simulator.steps_per_period)) > 1e-6:
        raise UserError(
            f'{refused} it has {contract.rate:g} Hz, which is not a whole number of steps of '
            f'{simulator.step_seconds:g} s.'
        )
