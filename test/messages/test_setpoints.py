"""Command messages to what they ask for."""

import numpy as np
import pytest
from builtin_interfaces.msg import Duration
from support.contracts import ABSOLUTE_TEXT, DELTA_TEXT, absolute_contract
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from mode_ros.control.contract import parse_contract
from mode_ros.control.observation import Unusable
from mode_ros.messages.commands import decode_command, encode_command
from mode_ros.messages.setpoints import decode_setpoint, names_any

ARM = absolute_contract().action[0]  # a, b


def trajectory(names, *points):
    made = JointTrajectory(joint_names=list(names))
    for positions, velocities, seconds in points:
        made.points.append(
            JointTrajectoryPoint(
                positions=[float(x) for x in positions],
                velocities=[float(x) for x in velocities],
                time_from_start=Duration(sec=int(seconds), nanosec=round((seconds % 1) * 1e9)),
            )
        )
    return made


def test_arm_and_gripper_in_one_trajectory_are_told_apart_by_name():
    message = trajectory(['grip', 'b', 'a'], ([9, 2, 1], [], 0.0), ([9, 4, 3], [], 1.0))
    found = decode_setpoint(message, ARM, 0.1)
    assert found.positions.tolist() == [[1, 2], [3, 4]]
    assert found.times.tolist() == [0, 1_000_000_000]


def test_velocities_are_taken_where_every_point_has_them():
    whole = trajectory('ab', ([0, 0], [1, 2], 0), ([1, 1], [3, 4], 1))
    assert decode_setpoint(whole, ARM, 0.1).velocities.tolist() == [[1, 2], [3, 4]]
    partly = trajectory('ab', ([0, 0], [1, 2], 0), ([1, 1], [], 1))
    assert decode_setpoint(partly, ARM, 0.1).velocities is None


@pytest.mark.parametrize(
    ('message', 'words'),
    [
        (trajectory('ab'), 'with 0 points'),
        (trajectory('a', ([1], [], 1)), r"for \['a'\] with 1 points, expected one for \['a', 'b'\]"),
        (trajectory('aab', ([1, 2, 3], [], 1)), 'expected one for'),
        (trajectory('ab', ([], [0.1, 0.1], 1)), 'without positions'),
        (trajectory('ab', ([1], [], 1)), r'with \[1\] positions per point for 2 joints'),
        (trajectory('ab', ([1, 2], [], 1), ([1], [], 2)), r'with \[1, 2\] positions'),
        (trajectory('ab', ([1, 2], [1], 1), ([1, 3], [1], 2)), r'with \[1\] velocities'),
        (trajectory('ab', ([1, 2], [], 1), ([1, 2], [], 1)), 'times do not rise'),
        (trajectory('ab', ([1, float('nan')], [], 1)), 'a command of'),
        (object(), 'no trajectory'),
    ],
)
def test_trajectories_that_ask_for_nothing_are_unusable(message, words):
    with pytest.raises(Unusable, match=words):
        decode_setpoint(message, ARM, 0.1)


def test_a_trajectory_of_other_joints_is_none_of_the_group():
    assert not names_any(trajectory(['finger'], ([1], [], 1)), ARM)
    assert names_any(trajectory(['finger', 'a'], ([1, 1], [], 1)), ARM)


def test_degrees_come_in_as_radians_and_leave_as_degrees():
    text = ABSOLUTE_TEXT.replace('{name: a, unit: rad,', '{name: a, unit: rad, message_unit: deg,')
    arm = parse_contract(text, 'degrees').action[0]
    message = trajectory('ab', ([90, 1], [180, 2], 0), ([180, 2], [0, 0], 1))
    found = decode_setpoint(message, arm, 0.1)
    assert found.positions.tolist() == [pytest.approx([np.pi / 2, 1]), pytest.approx([np.pi, 2])]
    assert found.velocities[0].tolist() == pytest.approx([np.pi, 2])
    sent = encode_command(np.array([np.pi / 2, 1.0]), arm, 0.1, 0)
    assert list(sent.points[0].positions) == pytest.approx([90, 1])


def test_a_gripper_in_per_cent_of_its_opening():
    text = DELTA_TEXT.replace("unit: '1', lower: -1.0, upper: 1.0", 'unit: m, scale: 0.001, lower: 0.0, upper: 0.1')
    gripper = parse_contract(text, 'percent').action[1]
    sent = encode_command(np.array([0.05]), gripper, 0.05, 0)
    assert list(sent.data) == pytest.approx([50.0])
    assert decode_command(sent, gripper, 0.05) == pytest.approx([0.05])
