"""What whoever drives by hand starts from: where the robot is or was told to be, and the mapping of a device."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node

from mode_ros.control.contract import ActionGroup, Contract, State
from mode_ros.control.feedback import measured_action
from mode_ros.control.observation import Unusable
from mode_ros.control.setpoints import Setpoint
from mode_ros.control.teleop_mapping import TeleopMapping, load_mapping
from mode_ros.errors import UserError
from mode_ros.messages import commands, states
from mode_ros.messages.setpoints import decode_setpoint, names_any
from mode_ros.messages.states import concerns, decode_state
from mode_ros.nodes.qos import COMMAND, SENSOR
from mode_ros.paths import share_folder

# The controller repeats its command every period while it may command at all.
COMMANDED_PERIODS = 3.0


def find_mapping(device: str, name: str, contract: Contract, automatic: str = '') -> TeleopMapping | None:
    """The mapping of a `joystick` or `keyboard`, by name in config/teleop or path; None for the name 'none'.

    automatic: how the names begin among which 'auto' chooses by the contract; '' for the device's own. Raises UserError
    for an unknown name, another device's mapping, and one that does not fit the contract.
    """
    if name == 'none':
        return None
    folder = share_folder() / 'config' / 'teleop'
    if name == 'auto':
        hand = any(group.output.adapter in ('twist', 'pose') for group in contract.action)
        begins = automatic or ('gamepad' if device == 'joystick' else device)
        name = f'{begins}_{"twist" if hand else "joints"}'
    path = Path(name).expanduser()
    if not path.is_file():
        path = folder / f'{name}.yaml'
    if not path.is_file():
        known = sorted(item.stem for item in folder.glob('*.yaml'))
        raise UserError(f'The {device} mapping {name!r} is neither a file nor one of {known}.')
    mapping = load_mapping(path)
    if mapping.device != device:
        raise UserError(f'The mapping {path} is for a {mapping.device}, not for a {device}.')
    mapping.check_fits(contract, str(path))
    return mapping


class Reference:
    """Listens to the contract's commands and the states that are its feedback."""

    def __init__(self, node: Node, contract: Contract) -> None:
        self._node, self._contract = node, contract
        self._commanded: dict[str, tuple[int, Setpoint, NDArray[np.float64] | None]] = {}
        self._measured: dict[str, NDArray[np.float64]] = {}
        feedback = {group.feedback for group in contract.action if group.feedback is not None}
        for state in contract.observation.states:
            if state.name in feedback:
                kind = states.MESSAGE_TYPES[state.type]
                node.create_subscription(kind, state.topic, partial(self._on_state, state), SENSOR)
        for group in contract.action:
            if group.kind == 'absolute':
                command = commands.MESSAGE_TYPES[group.output.adapter]
                node.create_subscription(command, group.output.topic, partial(self._on_command, group), COMMAND)

    def now(self) -> NDArray[np.float64]:
        """Float64 [d]: where absolute dimensions were last commanded, or else are; NaN where neither is known."""
        reference = np.full(len(self._contract.dimensions), np.nan)
        for group in self._contract.action:
            place = self._contract.group_slices[group.name]
            values, recent = self._asked(group), False
            if values is not None:
                told, setpoint, _ = self._commanded[group.name]
                lasts = int(setpoint.times[-1]) + COMMANDED_PERIODS * self._contract.period
                recent = self._clock() - told <= lasts
            # What has no feedback stays where it was told to be.
            if values is not None and (recent or group.feedback is None):
                reference[place] = values
            elif group.feedback is not None and group.feedback in self._measured:
                state = self._contract.state(group.feedback)
                reference[place] = measured_action(group, state, self._measured[group.feedback])
        return reference

    def _clock(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)

    def _asked(self, group: ActionGroup) -> NDArray[np.float64] | None:
        """What the last command of a group asks for now; None before the first."""
        if group.name not in self._commanded:
            return None
        told, setpoint, start = self._commanded[group.name]
        return setpoint.in_period(self._clock() - told, self._contract.period, start)

    def _on_state(self, state: State, message: Any) -> None:
        if not concerns(message, state):
            return  # another driver's joints
        try:
            self._measured[state.name] = decode_state(message, state)
        except Unusable as error:
            self._node.get_logger().warning(f'{state.topic}: {error}', throttle_duration_sec=5.0)

    def _on_command(self, group: ActionGroup, message: Any) -> None:
        if not names_any(message, group):
            return  # other joints' on the same topic
        try:
            setpoint = decode_setpoint(message, group, self._contract.period_seconds)
        except Unusable as error:
            self._node.get_logger().warning(f'{group.output.topic}: {error}', throttle_duration_sec=5.0)
            return
        # A trajectory sets out from where the one before had come.
        self._commanded[group.name] = (self._clock(), setpoint, self._asked(group))
