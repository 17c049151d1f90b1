"""Grippers as actions: a goal when the target has moved, one at a time, and what became of it.

control_msgs/action/GripperCommand (position, max_effort) and ParallelGripperCommand (a JointState). The types are
imported when they are used, so that a robot without such a gripper needs no control_msgs.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from mode_ros.control.contract import ActionGroup
from mode_ros.errors import UserError

# Of control_msgs, by their names in a contract and in the graph.
ACTION_TYPES = ('GripperCommand', 'ParallelGripperCommand')
GRAPH_TYPES = tuple(f'control_msgs/action/{name}' for name in ACTION_TYPES)

# A goal that was rejected is sent again after this many seconds, while it is still wanted.
RETRY_SECONDS = 1.0

# A server that runs answers in milliseconds; one that has died with a goal in its hands never does (seconds).
ANSWER_SECONDS = 2.0

# action_msgs/GoalStatus
_STATUS = {4: 'done', 5: 'cancelled', 6: 'aborted'}


class GoalFilter:
    """Which of the targets that come every period become goals. Reads no clock: `now` in seconds is passed in."""

    def __init__(self, tolerance: float) -> None:
        """tolerance: a target that has moved by no more is no new goal."""
        self._tolerance = tolerance
        self._sent: float | None = None
        self._waiting = False
        self._not_before = 0.0

    @property
    def sent(self) -> float | None:
        """The target of the last goal that was not rejected."""
        return self._sent

    def wants(self, target: float, now: float) -> bool:
        """Whether `target` is to be sent now; one goal at a time waits for the server's answer."""
        if self._waiting or now < self._not_before:
            return False
        return self._sent is None or abs(target - self._sent) > self._tolerance

    def sending(self, target: float) -> None:
        """A goal is on its way."""
        self._sent, self._waiting = target, True

    def answered(self, accepted: bool, now: float) -> None:
        """The server has taken the goal, or not; then the same target is tried again later."""
        self._waiting = False
        if not accepted:
            self._sent, self._not_before = None, now + RETRY_SECONDS

    def forget(self) -> None:
        """The gripper may be elsewhere: the next target is sent whatever it is."""
        self._sent, self._waiting, self._not_before = None, False, 0.0


def action_class(name: str) -> Any:
    """The class of control_msgs.action with this name; UserError where control_msgs or the type is missing."""
    try:
        return getattr(importlib.import_module('control_msgs.action'), name)
    except (ImportError, AttributeError) as error:
        raise UserError(
            f'The adapter gripper_command needs control_msgs/action/{name}, which is not there: install it '
            '(`sudo apt install ros-$ROS_DISTRO-control-msgs`) and source ROS in this terminal'
            + ('.' if isinstance(error, ImportError) else ', or write action_type: GripperCommand.')
        ) from error


def make_goal(action: Any, group: ActionGroup, target: float) -> Any:
    """A goal of `action` (one of the two types) for the one joint of `group`."""
    goal = action.Goal()
    if group.output.action_type == 'GripperCommand':
        goal.command.position = target
        goal.command.max_effort = group.output.max_effort
    else:
        goal.command.name = list(group.names)
        goal.command.position = [target]
        if group.output.max_effort:
            goal.command.effort = [group.output.max_effort]
    return goal


def describe_result(status: int, result: Any, group: ActionGroup) -> tuple[bool, str]:
    """Whether all is well, and a result in words: where it is, stalled or reached. status: of action_msgs/GoalStatus.

    A gripper that holds something stalls before it reaches its goal, which is no fault.
    """
    if group.output.action_type == 'GripperCommand':
        position: float | None = float(result.position)
    else:
        position = float(result.state.position[0]) if len(result.state.position) else None
    place = '' if position is None else f' at {position:.4g} {group.dimensions[0].unit}'
    if result.reached_goal:
        return True, f'reached{place}'
    if result.stalled:
        return True, f'stalled{place}'
    ended = _STATUS.get(status, f'status {status}')
    return ended == 'cancelled', f'{ended}{place}, goal not reached'


def open_gripper(node: Any, group: ActionGroup, clock: Callable[[], float]) -> GripperClient:
    """The client of one gripper; UserError where the type of its action is missing. node: of rclpy."""
    from rclpy.action import ActionClient

    action = action_class(group.output.action_type)
    return GripperClient(
        ActionClient(node, action, str(group.output.action)),
        group,
        clock,
        goal=lambda target: make_goal(action, group, target),
        describe=lambda status, result: describe_result(status, result, group),
    )


class GripperClient:
    """One gripper's action client. All calls come from the thread of the node's executor, and none waits."""

    def __init__(
        self,
        client: Any,
        group: ActionGroup,
        clock: Callable[[], float],
        goal: Callable[[float], Any],
        describe: Callable[[int, Any], tuple[bool, str]],
    ) -> None:
        """client: an rclpy ActionClient; clock: seconds of a steady clock; goal: makes a goal of a target; describe:
        as `describe_result`.
        """
        self._client, self._group, self._clock = client, group, clock
        self._goal, self._describe = goal, describe
        assert group.output.tolerance is not None  # the contract has checked it
        self._filter = GoalFilter(group.output.tolerance)
        self._handle: Any = None
        self._asked = 0  # counts goals and stops: an answer to an older one is not wanted any more
        self._no_answer_at: float | None = None
        self._state = 'no goal yet'
        self.well = True
        self.goals = 0

    def command(self, target: float, moving: bool) -> None:
        """The target of this period. moving: whether the robot executes; a hold begins no motion of the gripper."""
        now = self._clock()
        if self._no_answer_at is not None and now >= self._no_answer_at:
            self._withdraw()
            self._filter.answered(False, now)
            self._say(False, f'the action server {self._group.output.action} does not answer')
        if not (moving or self._filter.sent is not None) or not self._filter.wants(target, now):
            return
        if not self._client.server_is_ready():
            self._say(False, f'the action server {self._group.output.action} is not there')
            self._filter.answered(False, now)
            return
        self._filter.sending(target)
        self.goals += 1
        self._say(True, f'goal {target:.4g} sent')
        self._withdraw()
        asked, self._no_answer_at = self._asked, now + ANSWER_SECONDS
        future = self._client.send_goal_async(self._goal(target))
        future.add_done_callback(lambda done: self._on_answer(done, target, asked))

    def _withdraw(self) -> None:
        """The goal that waits for its answer, if one does, is cancelled should it be accepted after all."""
        self._asked, self._no_answer_at = self._asked + 1, None

    def stop(self) -> None:
        """Cancels the goal that is being executed or on its way, as a stop must; the next target is a new goal."""
        self._withdraw()
        if self._handle is not None:
            self._handle.cancel_goal_async()
            self._handle = None
        self._filter.forget()

    def close(self) -> None:
        """Gives the client back."""
        self._client.destroy()

    def report(self) -> Mapping[str, Any]:
        """For /diagnostics."""
        return {f'gripper {self._group.name}': self._state, f'gripper {self._group.name} goals': self.goals}

    def _on_answer(self, done: Any, target: float, asked: int) -> None:
        handle = None if done.exception() is not None else done.result()
        accepted = handle is not None and bool(handle.accepted)
        if asked != self._asked:
            if handle is not None and accepted:
                handle.cancel_goal_async()
            return
        self._no_answer_at = None
        self._filter.answered(accepted, self._clock())
        if handle is None or not accepted:
            self._say(False, f'goal {target:.4g} rejected')
            return
        self._handle = handle
        self._say(True, f'moves to {target:.4g}')
        handle.get_result_async().add_done_callback(lambda done: self._on_result(done, handle))

    def _on_result(self, done: Any, handle: Any) -> None:
        if handle is not self._handle:
            return  # a newer goal has taken its place, or it was cancelled
        self._handle = None
        if done.exception() is not None:
            self._say(False, f'no result: {done.exception()}')
            return
        self._say(*self._describe(done.result().status, done.result().result))

    def _say(self, well: bool, state: str) -> None:
        self.well, self._state = well, state
