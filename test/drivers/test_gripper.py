"""Grippers as actions: few goals, one at a time, and what became of them; with stand-ins and with a real action."""

import sys
import time
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from support.contracts import GRIPPER_TEXT
from support.ros2_control import Gripper

from mode_ros.control.contract import parse_contract
from mode_ros.control.safety import tracking_limits
from mode_ros.drivers.gripper import (
    ANSWER_SECONDS,
    RETRY_SECONDS,
    GoalFilter,
    GripperClient,
    action_class,
    describe_result,
    make_goal,
    open_gripper,
)
from mode_ros.errors import UserError

GROUP = parse_contract(GRIPPER_TEXT, 'x.yaml').action[0]
PARALLEL = parse_contract(
    GRIPPER_TEXT.replace('tolerance: 0.002', 'tolerance: 0.002, action_type: ParallelGripperCommand, max_effort: 5.0'),
    'x.yaml',
).action[0]
SUCCEEDED, CANCELED, ABORTED = 4, 5, 6


class Future:
    def __init__(self):
        self.callbacks, self.value, self.error = [], None, None

    def add_done_callback(self, callback):
        self.callbacks.append(callback)

    def finish(self, value=None, error=None):
        self.value, self.error = value, error
        for callback in self.callbacks:
            callback(self)

    def result(self):
        return self.value

    def exception(self):
        return self.error


class Handle:
    def __init__(self, accepted=True):
        self.accepted, self.result_future, self.cancelled = accepted, Future(), False

    def get_result_async(self):
        return self.result_future

    def cancel_goal_async(self):
        self.cancelled = True


class Server:
    """An action client whose server the test plays."""

    def __init__(self):
        self.ready, self.goals, self.answers = True, [], []

    def server_is_ready(self):
        return self.ready

    def send_goal_async(self, goal):
        self.goals.append(goal)
        self.answers.append(Future())
        return self.answers[-1]

    def accept(self):
        handle = Handle()
        self.answers[-1].finish(handle)
        return handle

    def destroy(self):
        self.destroyed = True


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def clock():
    return SimpleNamespace(now=0.0)


@pytest.fixture
def client(server, clock):
    return GripperClient(
        server,
        GROUP,
        lambda: clock.now,
        goal=lambda target: target,
        describe=lambda status, result: describe_result(status, result, GROUP),
    )


def result(status=SUCCEEDED, position=0.02, stalled=False, reached_goal=True):
    return SimpleNamespace(
        status=status, result=SimpleNamespace(position=position, stalled=stalled, reached_goal=reached_goal)
    )


def state(client):
    return client.report()[f'gripper {GROUP.name}']


def test_a_target_that_stays_is_one_goal(client, server):
    for _ in range(50):
        client.command(0.05, moving=True)
    assert server.goals == [0.05]
    server.accept()
    for _ in range(50):
        client.command(0.0515, moving=True)
    assert server.goals == [0.05], 'it has moved by less than the tolerance'
    client.command(0.053, moving=True)
    assert server.goals == [0.05, 0.053]


def test_while_a_goal_waits_for_its_answer_none_follows(client, server):
    for step in range(10):
        client.command(0.08 - 0.005 * step, moving=True)
    assert server.goals == [0.08]
    server.accept()
    client.command(0.035, moving=True)
    assert server.goals == [0.08, 0.035], 'then the newest'


def test_a_gripper_that_holds_something_is_no_fault_of_tracking():
    contract = parse_contract(GRIPPER_TEXT, 'x.yaml')
    assert np.isinf(tracking_limits(contract)).all()
    asked = GRIPPER_TEXT.replace('feedback: fingers', 'feedback: fingers\n    max_tracking_error: 0.05')
    assert tracking_limits(parse_contract(asked, 'x.yaml')).tolist() == [0.05]


def test_a_slow_target_is_followed_in_steps_of_the_tolerance():
    filtered, goals = GoalFilter(0.002), []
    for step in range(100):
        target = 0.0005 * step
        if filtered.wants(target, 0.0):
            filtered.sending(target)
            filtered.answered(True, 0.0)
            goals.append(target)
    assert 18 <= len(goals) <= 26
    assert goals[-1] >= 0.0495 - 0.0025


def test_holding_begins_no_motion(client, server):
    client.command(0.03, moving=False)
    assert server.goals == []
    client.command(0.03, moving=True)
    server.accept()
    client.command(0.04, moving=False)
    assert server.goals == [0.03, 0.04], 'the rest of a motion that had begun'


def test_results_are_told(client, server):
    client.command(0.02, moving=True)
    handle = server.accept()
    assert state(client) == 'moves to 0.02'
    handle.result_future.finish(result())
    assert (client.well, state(client)) == (True, 'reached at 0.02 m')
    client.command(0.0, moving=True)
    server.accept().result_future.finish(result(ABORTED, 0.031, stalled=True, reached_goal=False))
    assert (client.well, state(client)) == (True, 'stalled at 0.031 m'), 'it holds something'
    client.command(0.05, moving=True)
    server.accept().result_future.finish(result(ABORTED, 0.04, reached_goal=False))
    assert (client.well, state(client)) == (False, 'aborted at 0.04 m, goal not reached')


def test_the_result_of_an_older_goal_is_not_told(client, server):
    client.command(0.02, moving=True)
    old = server.accept()
    client.command(0.06, moving=True)
    server.accept()
    old.result_future.finish(result(ABORTED, 0.03, reached_goal=False))
    assert state(client) == 'moves to 0.06'


def test_a_rejected_goal_is_tried_again_after_a_while(client, server, clock):
    client.command(0.02, moving=True)
    server.answers[-1].finish(Handle(accepted=False))
    assert (client.well, state(client)) == (False, 'goal 0.02 rejected')
    client.command(0.02, moving=True)
    assert len(server.goals) == 1
    clock.now += RETRY_SECONDS
    client.command(0.02, moving=True)
    assert len(server.goals) == 2


def test_an_answer_that_fails_is_a_rejection(client, server):
    client.command(0.02, moving=True)
    server.answers[-1].finish(error=RuntimeError('gone'))
    assert not client.well


def test_a_server_that_is_not_there_is_told_and_looked_for_again(client, server, clock):
    server.ready = False
    client.command(0.02, moving=True)
    assert (client.well, state(client)) == (False, 'the action server gripper/gripper_cmd is not there')
    server.ready = True
    clock.now += RETRY_SECONDS
    client.command(0.02, moving=True)
    assert server.goals == [0.02]


def test_a_stop_cancels_and_the_same_target_is_a_new_goal(client, server):
    client.command(0.02, moving=True)
    handle = server.accept()
    client.stop()
    assert handle.cancelled
    client.command(0.02, moving=False)
    assert len(server.goals) == 1, 'not before the robot executes again'
    client.command(0.02, moving=True)
    assert len(server.goals) == 2


def test_a_goal_that_is_accepted_after_the_stop_is_cancelled(client, server):
    client.command(0.02, moving=True)
    client.stop()
    handle = server.accept()
    assert handle.cancelled, 'else the gripper would move while the robot is stopped'
    client.command(0.02, moving=False)
    assert len(server.goals) == 1
    client.command(0.02, moving=True)
    assert not server.accept().cancelled
    assert state(client) == 'moves to 0.02'


def test_a_server_that_died_with_a_goal_in_its_hands_is_asked_again(client, server, clock):
    client.command(0.02, moving=True)
    clock.now += 0.9 * ANSWER_SECONDS
    client.command(0.02, moving=True)
    assert len(server.goals) == 1
    clock.now += 0.2 * ANSWER_SECONDS
    client.command(0.02, moving=True)
    assert (client.well, state(client)) == (False, 'the action server gripper/gripper_cmd does not answer')
    clock.now += RETRY_SECONDS
    client.command(0.02, moving=True)
    assert len(server.goals) == 2
    late = Handle()
    server.answers[0].finish(late)
    assert late.cancelled, 'the newer goal counts'
    server.accept()
    assert (client.well, state(client)) == (True, 'moves to 0.02')


class JointState:
    def __init__(self):
        self.name, self.position, self.effort = [], [], []


def goal_type(kind):
    command = SimpleNamespace(position=0.0, max_effort=0.0) if kind == 'GripperCommand' else JointState()
    return SimpleNamespace(Goal=lambda: SimpleNamespace(command=command))


def test_goals_of_both_types():
    goal = make_goal(goal_type('GripperCommand'), GROUP, 0.03)
    assert (goal.command.position, goal.command.max_effort) == (0.03, 0.0)
    goal = make_goal(goal_type('ParallelGripperCommand'), PARALLEL, 0.03)
    assert (goal.command.name, goal.command.position, goal.command.effort) == (['finger_joint'], [0.03], [5.0])


def test_results_of_the_parallel_type():
    told = SimpleNamespace(state=SimpleNamespace(position=[0.01]), stalled=False, reached_goal=True)
    assert describe_result(SUCCEEDED, told, PARALLEL) == (True, 'reached at 0.01 m')
    silent = SimpleNamespace(state=SimpleNamespace(position=[]), stalled=False, reached_goal=False)
    assert describe_result(CANCELED, silent, PARALLEL) == (True, 'cancelled, goal not reached')


def test_types_are_found_when_they_are_used(monkeypatch):
    module = ModuleType('control_msgs.action')
    module.GripperCommand = goal_type('GripperCommand')
    monkeypatch.setitem(sys.modules, 'control_msgs', ModuleType('control_msgs'))
    monkeypatch.setitem(sys.modules, 'control_msgs.action', module)
    assert action_class('GripperCommand') is module.GripperCommand
    with pytest.raises(UserError, match='write action_type: GripperCommand'):
        action_class('ParallelGripperCommand')


def test_without_control_msgs_one_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'control_msgs', None)
    with pytest.raises(UserError, match='control-msgs'):
        open_gripper(None, GROUP, time.monotonic)


@pytest.mark.parametrize('group', [GROUP, PARALLEL], ids=['GripperCommand', 'ParallelGripperCommand'])
def test_with_a_real_action_server_and_something_between_the_fingers(group):
    """Needs control_msgs, which a robot's ROS has and no wheel: skipped without."""
    action = getattr(pytest.importorskip('control_msgs.action'), group.output.action_type)
    import rclpy
    from rclpy.action import ActionServer, CancelResponse
    from rclpy.callback_groups import ReentrantCallbackGroup
    from rclpy.executors import MultiThreadedExecutor

    single = group.output.action_type == 'GripperCommand'
    stuck, cancelled, efforts = 0.01, [], []

    def execute(handle):
        command = handle.request.command
        target = command.position if single else command.position[0]
        efforts.append(command.max_effort if single else list(command.effort))
        model, ended, now = Gripper(position=0.08, obstacle=0.03), 'moving', 0.0
        model.start(target)
        while ended == 'moving':
            now += 0.01
            ended = model.update(now)
        result = action.Result(stalled=ended == 'stalled', reached_goal=ended == 'reached')
        if single:
            result.position = model.position
        else:
            result.state.name, result.state.position = list(group.names), [model.position]
        if target == stuck:  # this one goes on until somebody cancels it
            deadline = time.monotonic() + 20.0
            while not handle.is_cancel_requested and time.monotonic() < deadline:
                time.sleep(0.01)
            cancelled.append(handle.is_cancel_requested)
            handle.canceled()
        else:
            handle.abort() if ended == 'stalled' else handle.succeed()
        return result

    rclpy.init()
    node, executor = rclpy.create_node('gripping'), MultiThreadedExecutor(2)
    executor.add_node(node)
    client = open_gripper(node, group, time.monotonic)
    server = ActionServer(
        node,
        action,
        str(group.output.action),
        execute,
        callback_group=ReentrantCallbackGroup(),
        cancel_callback=lambda request: CancelResponse.ACCEPT,
    )

    def wait(happened, target=None):
        deadline = time.monotonic() + 20.0
        while not happened():
            if target is not None:
                client.command(target, moving=True)
            executor.spin_once(timeout_sec=0.02)
            assert time.monotonic() < deadline, client.report()

    def told():
        return client.report()[f'gripper {group.name}']

    try:
        wait(lambda: 'reached at 0.06' in told(), 0.05)
        wait(lambda: 'stalled at 0.03' in told(), 0.0)
        wait(lambda: f'moves to {stuck}' in told(), stuck)
        assert client.goals == 3
        client.stop()
        wait(lambda: cancelled)
        assert cancelled == [True]
        assert efforts == ([0.0] * 3 if single else [[5.0]] * 3)
    finally:
        client.close()
        server.destroy()
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown()
