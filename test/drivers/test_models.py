"""The adapters against the drivers' behaviour: what comes of a stream of commands, of a bad parameter, of a silence."""

import numpy as np
import pytest
from support.contracts import absolute_contract, delta_contract
from support.ros2_control import ForwardCommandController, JointTrajectoryController, Servo, seconds

from mode_ros.control.contract import parse_contract
from mode_ros.messages.commands import encode_command

STEP = 0.002


def stream(driver, group, period, values, start=0.0, silence=0.0):
    """Sends one command a period, lets the driver work every 2 ms; returns what it did, one row a step."""
    per_period, done = round(period / STEP), []
    now = start
    for number in range(len(values) + round(silence / period)):
        if number < len(values):
            message = encode_command(np.asarray(values[number], float), group, period, round(now * 1e9))
            assert driver.take(message, now) == ''
        for _ in range(per_period):
            now = round(now + STEP, 9)
            driver.update(now)
            done.append((now, driver))
            yield now


def ramp(speed, periods, period, joints=2):
    return [[speed * period * (i + 1)] * joints for i in range(periods)]


def desired_velocities(from_desired):
    group, period = absolute_contract().action[0], 0.1
    driver = JointTrajectoryController(['a', 'b'], {'interpolate_from_desired_state': from_desired})
    trace = [driver.desired[0] for _ in stream(driver, group, period, ramp(0.5, 20, period))]
    return np.diff(trace)[round(1.0 / STEP) :] / STEP


def test_a_controller_that_begins_where_the_arm_is_pulls_it_back_once_a_period():
    """0.5 rad/s is asked; the lag is undone every period, by a step back. This is what the warning is about."""
    assert desired_velocities(from_desired=False).min() < -1.0
    smooth = desired_velocities(from_desired=True)
    assert smooth.min() > 0.0
    assert smooth.max() < 0.9


def test_a_trajectory_that_ends_is_held():
    group, period = absolute_contract().action[0], 0.1
    driver = JointTrajectoryController(['a', 'b'], {'interpolate_from_desired_state': True})
    for _ in stream(driver, group, period, ramp(0.5, 10, period), silence=1.0):
        pass
    assert driver.joints.positions == pytest.approx([0.5, 0.5], abs=1e-3)


def test_the_model_rejects_what_the_controller_rejects():
    group = absolute_contract().action[0]
    message = encode_command(np.array([0.1, 0.2]), group, 0.1, 0)
    assert 'not controlled' in JointTrajectoryController(['a', 'c']).take(message, 0.0)
    assert 'missing' in JointTrajectoryController(['a', 'b', 'c']).take(message, 0.0)
    message.points[-1].velocities = [0.5, 0.5]
    assert 'velocity' in JointTrajectoryController(['a', 'b']).take(message, 0.0)
    allowed = {'allow_nonzero_velocity_at_trajectory_end': True}
    assert JointTrajectoryController(['a', 'b'], allowed).take(message, 0.0) == ''


TWIST = delta_contract().action[0]


def servo_speeds(period, silence=0.0, **parameters):
    named = {f'moveit_servo.{name}': value for name, value in parameters.items()}
    driver = Servo({'moveit_servo.command_in_type': 'speed_units', **named})
    driver.kind = 1
    values = [[0.2 * period, 0.0, 0.0]] * 20
    speeds = [driver.velocity[0] for _ in stream(driver, TWIST, period, values, silence=silence)]
    return driver, np.array(speeds)


def test_servo_moves_at_the_speed_that_displacements_mean():
    driver, speeds = servo_speeds(0.05)
    assert speeds == pytest.approx(0.2)
    assert driver.position[0] == pytest.approx(0.2, rel=0.01), '20 displacements of 0.01 m'


def test_servo_halts_between_commands_at_ten_hertz():
    """Its timeout is 0.1 s, as is the period. This is what the refusal is about."""
    driver, speeds = servo_speeds(0.1, incoming_command_timeout=0.08)
    assert driver.halts == 0  # it has not even come to rest when the next command comes
    assert speeds.min() < 0.15
    _, patient = servo_speeds(0.1, incoming_command_timeout=0.25)
    assert patient == pytest.approx(0.2)


def test_servo_halts_by_itself_on_silence():
    driver, speeds = servo_speeds(0.05, silence=0.5)
    assert speeds[-1] == 0.0
    assert driver.halts == 1


def test_unitless_twists_would_go_at_another_speed():
    driver = Servo()
    driver.kind = 1
    for _ in stream(driver, TWIST, 0.05, [[0.01, 0, 0]] * 10):
        pass
    assert driver.velocity[0] == pytest.approx(0.2 * 0.4), 'a share of full speed, not m/s'


def test_servo_takes_nothing_before_it_is_told_what_comes_and_set_going():
    message = encode_command(np.array([0.01, 0, 0]), TWIST, 0.05, 0)
    assert 'command type' in Servo().take(message, 0.0)
    paused = Servo(paused=True)
    paused.kind = 1
    assert paused.take(message, 0.0) == 'paused'
    message.header.frame_id = ''
    running = Servo()
    running.kind = 1
    assert running.take(message, 0.0) == 'no frame'


FORWARD = parse_contract(
    """
robot: forward
rate: 20.0
observation:
  states: [{name: joints, topic: js, type: joint_state, names: [a, b], unit: rad, max_age: 0.2}]
action:
  - name: arm
    kind: absolute
    dimensions:
      - {name: a, unit: rad, lower: -1.0, upper: 1.0}
      - {name: b, unit: rad, lower: -1.0, upper: 1.0}
    output: {adapter: forward_command, topic: arm/commands}
""",
    'forward.yaml',
).action[0]


def test_a_forwarded_position_is_held_and_a_forwarded_velocity_goes_on():
    positions, velocities = ForwardCommandController(['a', 'b']), ForwardCommandController(['a', 'b'], 'velocity')
    for driver in (positions, velocities):
        for _ in stream(driver, FORWARD, 0.05, [[0.2, 0.1]], silence=1.0):
            pass
    assert positions.positions.tolist() == [0.2, 0.1]
    assert velocities.positions[0] == pytest.approx(0.2 * 1.05, rel=0.01)


def test_stamps_are_read_as_seconds():
    message = encode_command(np.array([0.01, 0, 0]), TWIST, 0.05, 1_500_000_000)
    assert seconds(message.header.stamp) == pytest.approx(1.5)
