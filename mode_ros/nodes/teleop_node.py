"""A person's hands on the robot: a keyboard in this terminal, a joystick, or both.

While the operator drives, `teleop_command` carries one action per control period; what that does to the robot, and to
the policy, is the controller's business. Recording is started and stopped from the same keys and buttons.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import Joy
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from mode_ros.control.contract import ActionGroup, Contract, State
from mode_ros.control.feedback import measured_action
from mode_ros.control.observation import Unusable
from mode_ros.control.setpoints import Setpoint
from mode_ros.control.takeover import TeleopCommand
from mode_ros.control.teleop import Jogger, Joystick, Keyboard
from mode_ros.control.teleop_mapping import TeleopMapping, load_mapping
from mode_ros.errors import UserError
from mode_ros.messages import commands, states
from mode_ros.messages.setpoints import decode_setpoint, names_any
from mode_ros.messages.states import concerns, decode_state
from mode_ros.messages.teleop import encode_teleop
from mode_ros.nodes.parameters import parameter, read_parameters
from mode_ros.nodes.process import run_node
from mode_ros.nodes.qos import COMMAND, SENSOR
from mode_ros.nodes.terminal import Terminal, TerminalProblem, describe_keys
from mode_ros.paths import share_folder
from mode_ros.robots import load_named_contract

# The controller repeats its command every period while it may command at all.
COMMANDED_PERIODS = 3.0


@dataclass(frozen=True)
class TeleopParameters:
    contract: str = parameter('', 'Robot contract: a name in config/robots, or the path of a YAML file.')
    keyboard: str = parameter('auto', 'Mapping: a name in config/teleop, a path, auto (by the contract) or none.')
    joystick: str = parameter('auto', 'Mapping: a name in config/teleop, a path, auto (by the contract) or none.')
    recorder: str = parameter('recorder_node', 'The recorder whose services the keys and buttons call.')


class TeleopNode(Node):
    """Node `teleop_node`."""

    def __init__(self, open_terminal: Callable[[Callable[[str], None]], Terminal] = Terminal, **options: Any) -> None:
        """open_terminal: tests give one without a terminal behind it."""
        super().__init__('teleop_node', automatically_declare_parameters_from_overrides=True, **options)
        self.parameters = read_parameters(self, TeleopParameters)
        self._contract: Contract = load_named_contract(self.parameters.contract)[0]
        self._terminal: Terminal | None = None
        self._joystick: Joystick | None = None
        self._keyboard: Keyboard | None = None
        self._joggers: list[tuple[Joystick | Keyboard, Jogger]] = []
        self._driving: Jogger | None = None
        self._commanded: dict[str, tuple[int, Setpoint, NDArray[np.float64] | None]] = {}
        self._measured: dict[str, NDArray[np.float64]] = {}
        self._recorder_status = ''
        self._publisher = self.create_publisher(JointTrajectory, 'teleop_command', COMMAND)
        self._calls = self._recorder_calls()
        self._open_joystick()
        self._open_keyboard(open_terminal)
        if not self._joggers:
            self.close()
            raise UserError('There is nothing to drive with: neither a terminal nor a joystick mapping is given.')
        self._listen()
        self._timer = self.create_timer(self._contract.period_seconds, self._tick)

    def close(self) -> None:
        """Lets go of the robot, and gives the terminal back."""
        self._drive(None)
        if self._terminal is not None:
            self._terminal.close()
            self._terminal = None

    # ---- devices ----------------------------------------------------------------------------------------------

    def _open_joystick(self) -> None:
        mapping = self._mapping('joystick', self.parameters.joystick)
        if mapping is None:
            return
        self._joystick = Joystick(mapping)
        self._joggers.append((self._joystick, Jogger(self._contract, self._joystick)))
        self.create_subscription(Joy, 'joy', self._on_joy, SENSOR)

    def _open_keyboard(self, open_terminal: Callable[[Callable[[str], None]], Terminal]) -> None:
        mapping = self._mapping('keyboard', self.parameters.keyboard)
        if mapping is None:
            return
        keyboard = Keyboard(mapping)
        try:
            self._terminal = open_terminal(lambda key: keyboard.press(key, time.monotonic()))
        except TerminalProblem as problem:
            self.get_logger().warning(f'No keyboard: {problem}')
            return
        self._keyboard = keyboard
        self._joggers.append((keyboard, Jogger(self._contract, keyboard)))
        self._terminal.say(describe_keys(mapping))

    def _mapping(self, device: str, name: str) -> TeleopMapping | None:
        if name == 'none':
            return None
        folder = share_folder() / 'config' / 'teleop'
        if name == 'auto':
            hand = any(group.output.adapter in ('twist', 'pose') for group in self._contract.action)
            kind = 'twist' if hand else 'joints'
            name = f'{"gamepad" if device == "joystick" else device}_{kind}'
        path = Path(name).expanduser()
        if not path.is_file():
            path = folder / f'{name}.yaml'
        if not path.is_file():
            known = sorted(item.stem for item in folder.glob('*.yaml'))
            raise UserError(f'The {device} mapping {name!r} is neither a file nor one of {known}.')
        mapping = load_mapping(path)
        if mapping.device != device:
            raise UserError(f'The mapping {path} is for a {mapping.device}, not for a {device}.')
        mapping.check_fits(self._contract, str(path))
        return mapping

    def _on_joy(self, message: Joy) -> None:
        if self._joystick is None:
            return
        self._joystick.update(message.axes, message.buttons, time.monotonic())
        # A deadman that is let go does not wait for the next period.
        if self._driving is not None and self._current() is not self._driving:
            self._tick()

    # ---- where the robot is -----------------------------------------------------------------------------------

    def _listen(self) -> None:
        feedback = {group.feedback for group in self._contract.action if group.feedback is not None}
        for state in self._contract.observation.states:
            if state.name in feedback:
                kind = states.MESSAGE_TYPES[state.type]
                self.create_subscription(kind, state.topic, partial(self._on_state, state), SENSOR)
        for group in self._contract.action:
            if group.kind == 'absolute':
                kind = commands.MESSAGE_TYPES[group.output.adapter]
                self.create_subscription(kind, group.output.topic, partial(self._on_command, group), COMMAND)
        self.create_subscription(DiagnosticArray, f'{self.parameters.recorder}/status', self._on_recorder, 1)

    def _on_state(self, state: State, message: Any) -> None:
        if not concerns(message, state):
            return  # another driver's joints
        try:
            self._measured[state.name] = decode_state(message, state)
        except Unusable as error:
            self.get_logger().warning(f'{state.topic}: {error}', throttle_duration_sec=5.0)

    def _on_command(self, group: ActionGroup, message: Any) -> None:
        if not names_any(message, group):
            return  # other joints' on the same topic
        try:
            setpoint = decode_setpoint(message, group, self._contract.period_seconds)
        except Unusable as error:
            self.get_logger().warning(f'{group.output.topic}: {error}', throttle_duration_sec=5.0)
            return
        # A trajectory sets out from where the one before had come.
        self._commanded[group.name] = (self._now(), setpoint, self._asked(group))

    def _asked(self, group: ActionGroup) -> NDArray[np.float64] | None:
        """What the last command of a group asks for now; None before the first."""
        if group.name not in self._commanded:
            return None
        told, setpoint, start = self._commanded[group.name]
        return setpoint.in_period(self._now() - told, self._contract.period, start)

    def _reference(self) -> NDArray[np.float64]:
        """Where absolute dimensions were last commanded, or else are; NaN where neither is known."""
        reference = np.full(len(self._contract.dimensions), np.nan)
        for group in self._contract.action:
            place = self._contract.group_slices[group.name]
            values, recent = self._asked(group), False
            if values is not None:
                told, setpoint, _ = self._commanded[group.name]
                lasts = int(setpoint.times[-1]) + COMMANDED_PERIODS * self._contract.period
                recent = self._now() - told <= lasts
            # What has no feedback stays where it was told to be.
            if values is not None and (recent or group.feedback is None):
                reference[place] = values
            elif group.feedback is not None and group.feedback in self._measured:
                state = self._contract.state(group.feedback)
                reference[place] = measured_action(group, state, self._measured[group.feedback])
        return reference

    # ---- driving ----------------------------------------------------------------------------------------------

    def _now(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _current(self) -> Jogger | None:
        """Who drives: the joystick, if its deadman is held, before the keyboard."""
        now = time.monotonic()
        return next((jogger for device, jogger in self._joggers if device.engaged(now)), None)

    def _tick(self) -> None:
        if self._terminal is not None and self._terminal.ended and self._keyboard is not None:
            self._keyboard.let_go()
        self._drive(self._current())
        for device, jogger in self._joggers:
            before = (jogger.speed, jogger.chosen)
            for word in jogger.handle(device.pressed()):
                self._call_recorder(word)
            if (jogger.speed, jogger.chosen) != before:
                self._say(f'speed {100 * jogger.speed:.0f} %' + (f', {jogger.chosen}' if jogger.chosen else ''))
        if self._terminal is not None:
            self._terminal.show(f'{"DRIVING" if self._driving else "not driving"} | {self._recorder_status}')

    def _drive(self, jogger: Jogger | None) -> None:
        if jogger is not self._driving:
            if self._driving is not None:
                self._driving.release()
                self._publish(None)
            self._say('driving' if jogger is not None else 'let go')
            self._driving = jogger
        if jogger is not None:
            self._publish(jogger.action(self._reference(), time.monotonic()))

    def _publish(self, action: NDArray[np.float64] | None) -> None:
        self._publisher.publish(encode_teleop(TeleopCommand(self._now(), self._contract.action_names, action)))

    # ---- the recorder -----------------------------------------------------------------------------------------

    def _call_recorder(self, word: str) -> None:
        client, request = self._calls[word]
        if not client.service_is_ready():
            self._say(f'{self.parameters.recorder} is not running; nothing is recorded')
            return
        client.call_async(request).add_done_callback(self._answered)

    def _answered(self, done: Any) -> None:
        self._say(done.result().message if done.exception() is None else f'the recorder failed: {done.exception()}')

    def _recorder_calls(self) -> dict[str, tuple[Any, Any]]:
        """What a key stands for: a client and its request. Made at the start, since finding a service takes time."""
        name = self.parameters.recorder
        plain = ('start', 'stop', 'discard')
        calls = {word: (self.create_client(Trigger, f'{name}/{word}'), Trigger.Request()) for word in plain}
        mark = self.create_client(SetBool, f'{name}/success')
        return calls | {word: (mark, SetBool.Request(data=word == 'success')) for word in ('success', 'failure')}

    def _on_recorder(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {item.key: item.value for item in status.values}
            units = {'episode': '', 'seconds': ' s', 'MB': ' MB'}
            parts = [values[key] + unit for key, unit in units.items() if values.get(key)]
            self._recorder_status = ' '.join([*parts, status.message])

    def _say(self, text: str) -> None:
        if self._terminal is not None:
            self._terminal.say(text)
        else:
            self.get_logger().info(text)


def main() -> None:
    """Entry point of the executable `teleop_node`."""
    run_node(TeleopNode)


if __name__ == '__main__':
    main()
