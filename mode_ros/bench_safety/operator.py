"""Who stands beside the robot: emergency stop, stick and services."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from std_msgs.msg import Bool
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from mode_ros.bench_safety.path import JOINT_STEP, TWIST_STEP
from mode_ros.control.contract import Contract
from mode_ros.control.takeover import TeleopCommand
from mode_ros.errors import UserError
from mode_ros.messages.teleop import encode_teleop
from mode_ros.nodes.qos import COMMAND, LATCHED

SERVICE_SECONDS = 5.0
DEADMAN_TOPIC = 'bench_safety/deadman'
# The emergency stop's heartbeat, and the deadman's (seconds between two messages).
BEAT_SECONDS = 0.1


class Operator:
    """Its acts: `estop`, `heartbeat` (repeat the emergency stop's state), `holding` (the deadman: held, released, or
    None for silence), `driving` (hold the stick).
    """

    def __init__(self, node: Any, contract: Contract, now: Callable[[], int]) -> None:
        """now: nanoseconds."""
        self._node, self._contract, self._now = node, contract, now
        self._estop = node.create_publisher(Bool, 'estop', LATCHED)
        self._teleop = node.create_publisher(JointTrajectory, 'teleop_command', COMMAND)
        self._release = node.create_client(Trigger, 'controller_node/release')
        self._change = {
            name: node.create_client(ChangeState, f'{name}/change_state') for name in ('controller_node', 'policy_node')
        }
        self._deadman = node.create_publisher(Bool, DEADMAN_TOPIC, COMMAND)
        self.engaged = self.driving = False
        self.heartbeat = True
        self.holding: bool | None = True
        self._target: Any = None
        self._direction = -1.0
        self._next_beat = self._next_command = 0.0

    def set_estop(self, engaged: bool) -> None:
        """Presses or releases it."""
        self.engaged = engaged
        self._estop.publish(Bool(data=engaged))

    def let_go_of_deadman(self) -> None:
        """The button says so at once."""
        self.holding = False
        self._deadman.publish(Bool(data=False))

    def drive(self, start: Any) -> None:
        """Holds the stick. start: where absolute targets begin [d]."""
        self._target, self.driving = np.array(start, dtype=np.float64), True
        # To where there is more room: nobody drives for so long as to use it up.
        self._direction = 1.0 if self._target[2] < 0.0 else -1.0

    def let_go(self) -> None:
        """The one message that says so."""
        self.driving = False
        self._teleop.publish(encode_teleop(TeleopCommand(self._now(), self._contract.action_names, None)))

    def reset_faults(self) -> None:
        """Nothing pressed, nobody drives, the deadman held."""
        self.driving = False
        self.heartbeat = self.holding = True
        if self.engaged:
            self.set_estop(False)

    def step(self) -> None:
        """To be called often."""
        now = time.monotonic()
        if now >= self._next_beat:
            self._next_beat = now + BEAT_SECONDS
            if self.heartbeat:
                self._estop.publish(Bool(data=self.engaged))
            if self.holding is not None:
                self._deadman.publish(Bool(data=self.holding))
        if self.driving and now >= self._next_command:
            self._next_command = max(self._next_command + self._contract.period_seconds, now)
            self._teleop.publish(encode_teleop(TeleopCommand(self._now(), self._contract.action_names, self._wish())))

    def _wish(self) -> Any:
        if self._contract.action[0].kind == 'delta':
            wish = np.zeros(len(self._target))
            wish[2] = -TWIST_STEP
            return wish
        self._target = self._target + np.eye(len(self._target))[2] * self._direction * JOINT_STEP
        return self._target

    def release(self) -> str:
        """Calls the controller's release; '' when it agreed, else what it said."""
        if not self._release.service_is_ready():
            return 'there is no service controller_node/release'
        answer = self._call(self._release, Trigger.Request())
        return '' if answer.success else str(answer.message)

    def transition(self, label: str, name: str = 'controller_node') -> bool:
        """A lifecycle transition of a node, such as 'deactivate'."""
        client = self._change[name]
        if not client.wait_for_service(SERVICE_SECONDS):
            raise UserError(f'{name} offers no lifecycle service.')
        return bool(self._call(client, ChangeState.Request(transition=Transition(label=label))).success)

    def _call(self, client: Any, request: Any) -> Any:
        future = client.call_async(request)
        deadline = time.monotonic() + SERVICE_SECONDS
        while not future.done():
            if time.monotonic() > deadline:
                raise UserError(f'Nobody answered on {client.srv_name} within {SERVICE_SECONDS:g} s.')
            time.sleep(0.005)
        return future.result()
