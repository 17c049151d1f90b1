"""What besides chunks and states reaches the controller: emergency stop, deadman, goal, services, who else speaks.

And what it tells of its safety: the latched topic `safety_state`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import Joy
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

from mode_ros.control.contract import Contract
from mode_ros.control.controller import Controller
from mode_ros.control.listening import LOOK_SECONDS, Listening
from mode_ros.control.publishers import too_many, voices
from mode_ros.control.safety import Breach, as_data
from mode_ros.control.tick import Phase, Tick
from mode_ros.nodes.estop_listener import EstopListener
from mode_ros.nodes.publishers import everybody, publishing_nodes
from mode_ros.nodes.qos import COMMAND, LATCHED, SENSOR, subscribe_latched

SAFETY_TOPIC = 'safety_state'
# Publishers are counted at every so manieth look, twice a second, and at every look before the first command.
COUNTED_LOOKS = 5


@dataclass(frozen=True)
class Sources:
    """deadman: a topic of std_msgs/Bool, '' for none; button: of sensor_msgs/Joy on `joy`, -1 for none; count: whether
    publishers are counted; listen: seconds before the first command in which others are looked for.
    """

    deadman: str
    button: int
    count: bool
    listen: float


class SafetyInputs:
    """Made at configure, closed at cleanup."""

    def __init__(
        self,
        node: Node,
        contract: Contract,
        controller: Controller,
        sources: Sources,
        reset: Callable[[], str],
    ) -> None:
        """reset: starts over, and returns '' or why not."""
        self._node, self._controller, self._contract = node, controller, contract
        self._goal = ''
        self._told = ''
        self._breach: Breach | None = None
        self._publisher = node.create_publisher(String, SAFETY_TOPIC, LATCHED)
        self._estop = EstopListener(node, controller.set_estop, self._on_beat)
        self._subscriptions = list(subscribe_latched(node, String, contract.goal_topic, self._on_goal))
        if sources.deadman:
            self._subscriptions.append(node.create_subscription(Bool, sources.deadman, self._on_deadman, COMMAND))
        if sources.button >= 0:
            self._button = sources.button
            self._subscriptions.append(node.create_subscription(Joy, 'joy', self._on_joy, SENSOR))
        self._services = [
            node.create_service(Trigger, f'~/{name}', self._service(name, action))
            for name, action in (
                ('start', self._start),
                ('pause', self._pause),
                ('release', self._release),
                ('reset', reset),
            )
        ]
        self._timer: Any = None
        if sources.count:
            simulated = bool(node.get_parameter('use_sim_time').value)
            self._voices = voices(contract, simulated)
            self._listening, self._looks = Listening(time.monotonic_ns(), sources.listen), 0
            if not self._listening.over:
                # From here on the other side sees this node's publishers, and this one the other's.
                controller.permission.set_listening(
                    f'listening for {sources.listen:g} s for another controller of the robot'
                )
            steady = Clock(clock_type=ClockType.STEADY_TIME)
            self._timer = node.create_timer(LOOK_SECONDS, self._look, clock=steady)

    def _look(self) -> None:
        self._looks += 1
        if not self._listening.over or self._looks % COUNTED_LOOKS == 0:
            self.count()

    def count(self) -> None:
        """Counts who speaks where only one may; called at an activation too, before anything moves."""
        if self._timer is None:
            return
        found = publishing_nodes(self._node, self._voices)
        others = too_many([voice for voice in self._voices if voice.commands], found)
        crowd = too_many([voice for voice in self._voices if not voice.commands], found)
        self._controller.permission.set_crowd('; '.join(crowd), '; '.join(others))
        if not self._listening.over:
            seen = everybody(self._node), tuple(len(names) for names in found.values())
            if self._listening.look(time.monotonic_ns(), seen):
                self._controller.permission.set_listening('')

    def tell(self, tick: Tick) -> None:
        """Publishes `safety_state` when it has changed, and says so in one line of the log."""
        holding = tick.reason if tick.phase in (Phase.HOLDING, Phase.STOPPED) else ''
        breach = self._controller.breach
        state = as_data(breach, holding if breach is None or tick.problems else '')
        key = f'{state["check"]}{state["stopped"]}{state["since"]}{tick.problems}'
        if key == self._told:
            return
        was, self._told = self._told, key
        new, self._breach = breach is not self._breach, breach
        self._publisher.publish(String(data=json.dumps(state)))
        logger = self._node.get_logger()
        if breach is not None:
            if new:  # what else fails meanwhile is on the topic
                logger.error(
                    f'stopped ({state["check"]}): {state["reason"]}; it moves again after the service ~/release'
                )
        elif was:
            logger.info('it may move' if not holding else f'holding: {holding}')

    def close(self) -> None:
        self._estop.close()
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        for service in self._services:
            self._node.destroy_service(service)
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)

    # ---- what is heard -----------------------------------------------------------------------------------------

    def _on_beat(self) -> None:
        self._controller.permission.signs.heartbeat(time.monotonic_ns())

    def _on_goal(self, message: String) -> None:
        if message.data != self._goal:
            self._goal = message.data
            self._controller.set_goal(self._now())

    def _on_deadman(self, message: Bool) -> None:
        self._controller.permission.signs.deadman(bool(message.data), time.monotonic_ns())

    def _on_joy(self, message: Joy) -> None:
        held = self._button < len(message.buttons) and bool(message.buttons[self._button])
        self._controller.permission.signs.deadman(held, time.monotonic_ns())

    def _start(self) -> str:
        if self._controller.breach is not None:
            return 'the robot is stopped; call ~/release first'
        self._controller.permission.paused = False
        return ''

    def _pause(self) -> str:
        self._controller.permission.paused = True
        return ''

    def _release(self) -> str:
        return self._controller.release(self._now(), time.monotonic_ns())

    def _service(self, name: str, action: Callable[[], str]) -> Callable[[Any, Any], Any]:
        def serve(request: Any, response: Any) -> Any:
            refusal = action()
            response.success, response.message = not refusal, refusal or name
            self._node.get_logger().info(f'{name}: {refusal or "done"}')
            return response

        return serve

    def _now(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)
