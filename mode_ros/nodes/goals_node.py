"""A queue of goals: says the next one when one has succeeded, and pauses the robot after the last.

Nothing of it is in the control loop: it only publishes what a person would type.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

from mode_ros.control.goal_queue import GoalQueue, parse_goals
from mode_ros.nodes.goal_speaker import GoalSpeaker
from mode_ros.nodes.parameters import parameter, read_parameters
from mode_ros.nodes.process import run_node
from mode_ros.nodes.qos import LATCHED, subscribe_latched
from mode_ros.robots import load_named_contract

LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class GoalsParameters:
    contract: str = parameter('', 'Robot contract: a name in config/robots, or the path of a YAML file.')
    goals: str = parameter('', 'Goals, between semicolons; more come on the topic `goals`, one per line.')
    seconds: float = parameter(0.0, 'Longest time for one goal, then the next; 0.0: any.', unit='s', minimum=0.0)
    controller: str = parameter('controller_node', 'Whose ~/pause is called after the last goal; empty: nobody is.')


class GoalsNode(Node):
    """Node `goals_node`."""

    def __init__(self, **options: Any) -> None:
        super().__init__('goals_node', automatically_declare_parameters_from_overrides=True, **options)
        given = read_parameters(self, GoalsParameters)
        contract = load_named_contract(given.contract)[0]
        self._queue = GoalQueue(given.seconds)
        self._goal = GoalSpeaker(self, contract.goal_topic)
        self._status = self.create_publisher(String, 'goal_queue', LATCHED)
        self._pause = self.create_client(Trigger, f'{given.controller}/pause') if given.controller else None
        subscribe_latched(self, Bool, 'success', self._on_success)
        self.create_subscription(String, 'goals', self._on_goals, 10)
        self.create_service(Trigger, '~/next', self._on_next)
        self.create_timer(LOOK_SECONDS, self._look)
        if goals := parse_goals(given.goals):
            self._queue.fill(goals, self._now())
            self._tell()

    def _on_goals(self, message: String) -> None:
        self._queue.fill(parse_goals(message.data), self._now())
        self._tell()

    def _on_success(self, message: Bool) -> None:
        if self._queue.success(bool(message.data), self._now()):
            self._tell()

    def _on_next(self, request: Any, response: Any) -> Any:
        response.success = self._queue.skip(self._now())
        response.message = 'next' if response.success else 'no goal is pursued'
        if response.success:
            self._tell()
        return response

    def _look(self) -> None:
        if self._queue.tick(self._now()):
            self._tell()

    def _tell(self) -> None:
        told = self._queue.as_data()
        self._status.publish(String(data=json.dumps(told)))
        ended = self._queue.ended
        if ended:
            self.get_logger().info(f'{ended[-1].goal!r}: {ended[-1].how} after {ended[-1].seconds:.1f} s')
        if self._queue.goal:
            self.get_logger().info(f'goal {len(ended) + 1} of {told["of"]}: {self._queue.goal!r}')
            self._goal.say(self._queue.goal)
        elif ended and self._pause is not None:
            # Without it the policy would go on with the last goal, which has no end of its own.
            if self._pause.service_is_ready():
                self._pause.call_async(Trigger.Request())
            else:
                self.get_logger().warning(f'no controller answers on {self._pause.srv_name}; nothing was paused')

    def _now(self) -> int:
        return int(self.get_clock().now().nanoseconds)


def main() -> None:
    """Entry point of the executable `goals_node`."""
    run_node(GoalsNode)


if __name__ == '__main__':
    main()
