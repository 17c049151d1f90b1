"""A person's hands on the robot: a keyboard in this terminal, a joystick, or both.

While the operator drives, `teleop_command` carries one action per control period; what that does to the robot, and to
the policy, is the controller's business. Recording is started and stopped from the same keys and buttons.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import Joy
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from mode_ros.control.contract import Contract
from mode_ros.control.takeover import TeleopCommand
from mode_ros.control.teleop import Jogger, Joystick, Keyboard
from mode_ros.errors import UserError
from mode_ros.messages.teleop import encode_teleop
from mode_ros.nodes.parameters import parameter, read_parameters
from mode_ros.nodes.process import run_node
from mode_ros.nodes.qos import COMMAND, SENSOR
from mode_ros.nodes.reference import Reference, find_mapping
from mode_ros.nodes.terminal import Terminal, TerminalProblem, describe_keys
from mode_ros.robots import load_named_contract


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
        self._recorder_status = ''
        self._publisher = self.create_publisher(JointTrajectory, 'teleop_command', COMMAND)
        self._calls = self._recorder_calls()
        self._open_joystick()
        self._open_keyboard(open_terminal)
        if not self._joggers:
            self.close()
            raise UserError('There is nothing to drive with: neither a terminal nor a joystick mapping is given.')
        self._reference = Reference(self, self._contract)
        self.create_subscription(DiagnosticArray, f'{self.parameters.recorder}/status', self._on_recorder, 1)
        self._timer = self.create_timer(self._contract.period_seconds, self._tick)

    def close(self) -> None:
        """Lets go of the robot, and gives the terminal back."""
        self._drive(None)
        if self._terminal is not None:
            self._terminal.close()
            self._terminal = None

    # ---- devices ----------------------------------------------------------------------------------------------

    def _open_joystick(self) -> None:
        mapping = find_mapping('joystick', self.parameters.joystick, self._contract)
        if mapping is None:
            return
        self._joystick = Joystick(mapping)
        self._joggers.append((self._joystick, Jogger(self._contract, self._joystick)))
        self.create_subscription(Joy, 'joy', self._on_joy, SENSOR)

    def _open_keyboard(self, open_terminal: Callable[[Callable[[str], None]], Terminal]) -> None:
        mapping = find_mapping('keyboard', self.parameters.keyboard, self._contract)
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

    def _on_joy(self, message: Joy) -> None:
        if self._joystick is None:
            return
        self._joystick.update(message.axes, message.buttons, time.monotonic())
        # A deadman that is let go does not wait for the next period.
        if self._driving is not None and self._current() is not self._driving:
            self._tick()

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
            self._publish(jogger.action(self._reference.now(), time.monotonic()))

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
