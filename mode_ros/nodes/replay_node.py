"""An episode's commands once more, as a person's hands would give them: to see on a simulated robot what was commanded.

`teleop_command` carries one action per control period; limits, checks and stops of the controller hold as for anybody
who drives. Nothing of the episode's scene comes back, and a command in a period may come a period late, so that it is
like the episode and not the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from mode_ros.control.contract import Contract
from mode_ros.control.takeover import TeleopCommand
from mode_ros.errors import UserError
from mode_ros.messages.teleop import encode_teleop
from mode_ros.nodes.publishers import count_subscribers
from mode_ros.nodes.qos import COMMAND, LATCHED
from mode_ros.page.told import read_object
from mode_ros.recording.episode import INTERVENTION_TOPIC, SUCCESS_TOPIC

# Commands that the controller does not take for so many periods on end are not taken at all; on a busy machine one that
# came late lets go for a moment.
UNHEEDED_PERIODS = 20


class ReplayNode(Node):
    """Node `replay_node`."""

    def __init__(
        self,
        contract: Contract,
        actions: NDArray[np.floating],
        simulated: bool,
        simulator: str = 'sim_node',
        played: Callable[[int], None] = lambda _: None,
        **options: Any,
    ) -> None:
        """actions: [n, d] in the robot's units; simulated: refuse any robot that the simulator is not; played: called
        with the number of commands that were given.
        """
        if simulated:
            options['parameter_overrides'] = [Parameter('use_sim_time', value=True)]
        super().__init__('replay_node', **options)
        self._contract, self._actions, self._played = contract, np.asarray(actions, np.float64), played
        self._simulated, self._simulator = simulated, simulator
        self._next = -1
        self._unheeded = 0
        self._driven = False
        self._safety: Mapping[str, Any] | None = None
        self._told_success = False
        self.problem = ''
        self.ended = False
        self._publisher = self.create_publisher(JointTrajectory, 'teleop_command', COMMAND)
        self._reset = self.create_client(Trigger, f'{simulator}/reset')
        self.create_subscription(Bool, INTERVENTION_TOPIC, self._on_intervention, LATCHED)
        self.create_subscription(String, 'safety_state', self._on_safety, LATCHED)
        self.create_subscription(Bool, SUCCESS_TOPIC, self._on_success, LATCHED)
        self.create_timer(contract.period_seconds, self._tick)

    @property
    def success(self) -> bool:
        """Whether the simulator said so since the beginning."""
        return self._told_success

    def refusal(self) -> str:
        """Why it may not begin, '' if it may: nothing is published before."""
        if self._simulated and (strange := self._real()):
            return strange
        if not count_subscribers(self, 'teleop_command'):
            return 'no controller_node is there that would take the commands'
        if self._driven:
            return 'somebody drives the robot already'
        return ''

    def _real(self) -> str:
        """What speaks against a simulated robot, '' if nothing does: all that it measures must be the simulator's."""
        if not self._reset.service_is_ready():
            return f'no simulated robot is there: nobody offers {self._simulator}/reset'
        for stream in self._contract.observation.streams:
            senders = {
                info.node_name for info in self.get_publishers_info_by_topic(self.resolve_topic_name(stream.topic))
            }
            others = sorted(senders - {self._simulator})
            if others:
                return f'{stream.topic} comes from {", ".join(others)}, which is not the simulator'
            if not senders:
                return f'the simulator does not publish {stream.topic}: it is not the robot of this episode'
        return ''

    def new_scene(self) -> Any:
        """Asks the simulator for one; the future of its answer."""
        return self._reset.call_async(Trigger.Request())

    def begin(self) -> None:
        """From the next period on. Raises UserError with the reason for which it may not."""
        if reason := self.refusal():
            raise UserError(f'Nothing is replayed: {reason}.')
        self._told_success = False
        self._next = 0

    def let_go(self) -> None:
        """Gives the robot back, whatever was played."""
        if self._next >= 0:
            self._say(None)
        self._next, self.ended = -1, True

    def _tick(self) -> None:
        if self._next < 0 or self.ended:
            return
        self._unheeded = 0 if self._driven else self._unheeded + 1
        if self._unheeded > UNHEEDED_PERIODS:
            stopped = self._safety is not None and self._safety.get('reason')
            self.problem = f'The controller does not take the commands{f": {stopped}" if stopped else ""}.'
            self.let_go()
        elif self._next == len(self._actions):
            self.let_go()
        else:
            self._say(self._actions[self._next])
            self._next += 1
            self._played(self._next)

    def _say(self, action: NDArray[np.float64] | None) -> None:
        now = int(self.get_clock().now().nanoseconds)
        self._publisher.publish(encode_teleop(TeleopCommand(now, self._contract.action_names, action)))

    def _on_intervention(self, message: Bool) -> None:
        self._driven = bool(message.data)

    def _on_safety(self, message: String) -> None:
        self._safety = read_object(message.data)

    def _on_success(self, message: Bool) -> None:
        self._told_success = self._told_success or (bool(message.data) and self._next >= 0)
