"""controller_node against mocks of the drivers: it moves them, and does not where they would not obey."""

import numpy as np
import pytest
import rclpy
from std_srvs.srv import SetBool
from support.bench import wait_for
from support.contracts import VECTOR_TEXT
from support.driver_bench import DriverBench
from support.mock_drivers import (
    MockCartesianController,
    MockForwardCommandController,
    MockJointTrajectoryController,
    MockServo,
)

from mode_ros.drivers import servo

ARM = """
robot: mocked
rate: 20.0
observation:
  states:
    - {name: joints, topic: joint_states, type: joint_state, names: [a, b], unit: rad, max_age: 1.0}
action:
  - name: arm
    kind: absolute
    feedback: joints
    dimensions:
      - {name: a, unit: rad, lower: -2.0, upper: 2.0, max_step: 0.05}
      - {name: b, unit: rad, lower: -2.0, upper: 2.0, max_step: 0.05}
    output: {adapter: joint_trajectory, topic: joint_trajectory_controller/joint_trajectory}
"""
FORWARD = ARM.replace(
    'joint_trajectory, topic: joint_trajectory_controller/joint_trajectory',
    'forward_command, topic: forward_position_controller/commands',
)
TWIST = """
robot: mocked
rate: 20.0
observation:
  states:
    - {name: joints, topic: joint_states, type: joint_state, names: [a, b], unit: rad, max_age: 1.0}
action:
  - name: arm
    kind: delta
    dimensions:
      - {name: x, unit: m, lower: -0.02, upper: 0.02}
      - {name: y, unit: m, lower: -0.02, upper: 0.02}
      - {name: z, unit: m, lower: -0.02, upper: 0.02}
    output: {adapter: twist, topic: servo_node/delta_twist_cmds, frame_id: base_link}
"""
POSE = VECTOR_TEXT.replace('topic: hand_pose', 'topic: current_pose').replace('max_age: 0.2', 'max_age: 1.0')
POSE = POSE.replace(
    '    - {name: joints, topic: joint_states, type: joint_state, names: [a], unit: rad, max_age: 1.0}\n', ''
)


@pytest.fixture
def bench():
    rclpy.init()
    made = DriverBench()
    yield made
    made.close()
    rclpy.shutdown()


@pytest.fixture
def moveit(monkeypatch):
    monkeypatch.setattr(servo, 'command_type_request', lambda number: (SetBool, SetBool.Request(data=number == 1)))


def test_joint_trajectory_controller_follows(bench, tmp_path):
    arm = bench.add(MockJointTrajectoryController(['a', 'b'], {'interpolate_from_desired_state': True}, [0.2, -0.2]))
    _, active = bench.configure(tmp_path, ARM)
    assert active
    bench.drive([0.5, 0.1], lambda: np.abs(arm.model.joints.positions - [0.5, 0.1]).max() < 0.01, 'the arm to arrive')
    assert arm.rejected == []


def test_a_trajectory_controller_that_would_reject_is_refused_and_nothing_moves(bench, tmp_path):
    arm = bench.add(MockJointTrajectoryController(['a', 'b', 'c'], start=[0.2, -0.2, 0.0]))
    node, active = bench.configure(tmp_path, ARM)
    assert not active
    assert not node.active
    assert arm.taken == arm.rejected == []


def test_the_warning_about_the_measured_position_stands_on_diagnostics(bench, tmp_path):
    bench.add(MockJointTrajectoryController(['a', 'b']))
    node, active = bench.configure(tmp_path, ARM)
    assert active
    assert '`interpolate_from_desired_state: true`' in node._drivers.report()['driver warnings']


def test_forward_command_controller_follows_and_the_wrong_order_does_not(bench, tmp_path):
    arm = bench.add(MockForwardCommandController(['a', 'b']))
    _, active = bench.configure(tmp_path, FORWARD)
    assert active
    bench.drive([0.3, -0.1], lambda: np.abs(arm.model.positions - [0.3, -0.1]).max() < 1e-9, 'the arm to arrive')


def test_a_forward_controller_of_another_order_is_refused(bench, tmp_path):
    arm = bench.add(MockForwardCommandController(['b', 'a']))
    _, active = bench.configure(tmp_path, FORWARD)
    assert not active
    assert arm.taken == []


def test_servo_is_switched_unpaused_and_moves(bench, tmp_path, moveit):
    arm = bench.add(MockServo({'moveit_servo.command_in_type': 'speed_units'}))
    _, active = bench.configure(tmp_path, TWIST)
    assert active
    assert (arm.model.kind, arm.model.paused) == (1, False)
    bench.drive([0.01, 0.0, 0.0], lambda: arm.model.position[0] > 0.05, 'the hand to move')
    assert arm.rejected == []
    wait_for(lambda: not arm.model.velocity.any(), 'a halt when the person is silent')


def test_a_unitless_servo_is_left_alone(bench, tmp_path, moveit):
    arm = bench.add(MockServo())
    _, active = bench.configure(tmp_path, TWIST)
    assert not active
    assert arm.model.paused, 'it was not even set going'


def test_a_cartesian_controller_follows_a_pose(bench, tmp_path):
    arm = bench.add(MockCartesianController())
    _, active = bench.configure(tmp_path, POSE)
    assert active
    target = [0.45, 0.05, 0.45, np.pi, 0.0, 0.0]
    bench.drive(target, lambda: np.abs(arm.model.position - target[:3]).max() < 0.005, 'the hand to arrive')
    stamps = [message.pose.orientation for message in arm.taken]
    signs = [np.sign(q.x) for q in stamps]
    assert len(set(signs)) == 1, 'half a turn about x, and no jump of its sign'


def test_a_cartesian_controller_of_another_frame_is_refused(bench, tmp_path):
    arm = bench.add(MockCartesianController(base_frame='fr3_link0'))
    _, active = bench.configure(tmp_path, POSE)
    assert not active
    assert arm.taken == []
