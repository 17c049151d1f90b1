"""Driving from the page, as teleop_command: the dead-man of mode_ros.page.driving on ROS's clock and topics.

Its guarantee: a command is stamped with the time at which the browser was last heard, so that the controller counts
none for longer than one and a half periods after it, whatever becomes of the browser, the line or this process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from std_msgs.msg import Bool
from trajectory_msgs.msg import JointTrajectory

from mode_ros.control.contract import Contract
from mode_ros.control.takeover import TeleopCommand
from mode_ros.control.teleop_mapping import TeleopMapping
from mode_ros.errors import UserError
from mode_ros.messages.teleop import encode_teleop
from mode_ros.nodes.qos import COMMAND, LATCHED
from mode_ros.nodes.reference import Reference, find_mapping
from mode_ros.page.driving import Driving, Held
from mode_ros.page.told import describe_keys
from mode_ros.recording.episode import INTERVENTION_TOPIC


class PageDriving:
    """Of one page_node. come, drive and leave may be called from any thread."""

    def __init__(
        self, node: Node, contract: Contract, keyboard: str, joystick: str, ask: Callable[[str], object]
    ) -> None:
        """keyboard, joystick: names of mappings (nodes.reference.find_mapping); ask: for what a gamepad asks of the
        recorder.
        """
        self._node, self._contract, self._ask = node, contract, ask
        self._driving: Driving | None = None
        self.intervention = False
        self.cannot = ''
        self.keys: list[dict[str, Any]] = []
        self._teleop = node.create_publisher(JointTrajectory, 'teleop_command', COMMAND)
        node.create_subscription(Bool, INTERVENTION_TOPIC, self._on_intervention, LATCHED)
        try:
            keys = find_mapping('keyboard', keyboard, contract)
            pad = find_mapping('joystick', joystick, contract, automatic='game_controller')
            if keys is None:
                raise UserError('The parameter keyboard is none.')
        except UserError as error:
            self.cannot = str(error)
            node.get_logger().warning(self.cannot)
            return
        self._open(keys, pad)

    def _open(self, keys: TeleopMapping, pad: TeleopMapping | None) -> None:
        self._driving = Driving(self._contract, keys, pad)
        self.keys = describe_keys(keys, self._contract)
        self._reference = Reference(self._node, self._contract)
        self._node.create_timer(self._contract.period_seconds, self._tick)

    def _on_intervention(self, message: Bool) -> None:
        self.intervention = bool(message.data)

    def _now(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)

    def _tick(self) -> None:
        assert self._driving is not None
        drive = self._driving.tick(self._now(), time.monotonic(), self._reference.now())
        if drive is not None:
            self._teleop.publish(encode_teleop(TeleopCommand(drive.stamp, self._contract.action_names, drive.action)))
        for word in self._driving.take_words():
            self._ask(word)

    def come(self, session: str, name: str) -> None:
        """As mode_ros.page.robot.Robot; leave, too."""
        if self._driving is not None:
            self._driving.come(session, name)

    def drive(self, session: str, held: Held) -> str:
        """What is held down; '' or why it does not drive."""
        if self._driving is None:
            return self.cannot
        others = ''
        if self.intervention and not self._driving.driver:
            # Nobody else sends: then it is this page's own and not yet over, as when a browser was late for a moment,
            # and that one goes on.
            who = self._others() or self._driving.other_before(session)
            others = f'somebody else drives: {who}' if who else ''
        return self._driving.take(session, held, self._now(), time.monotonic(), others)

    def leave(self, session: str) -> None:
        if self._driving is not None:
            self._driving.leave(session)

    def told(self) -> dict[str, Any] | None:
        """Driving.told; None where nobody can drive."""
        return None if self._driving is None else self._driving.told()

    def close(self) -> None:
        """Lets go of the robot."""
        if self._driving is not None and self._driving.driver:
            self._teleop.publish(encode_teleop(TeleopCommand(self._now(), self._contract.action_names, None)))

    def _others(self) -> str:
        """Who else sends teleop_command."""
        infos = self._node.get_publishers_info_by_topic(self._node.resolve_topic_name('teleop_command'))
        return ', '.join(sorted({info.node_name for info in infos} - {self._node.get_name()}))
