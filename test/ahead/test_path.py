"""Where planned actions lead."""

import importlib.util

import numpy as np
import pytest
from support.contracts import ABSOLUTE_TEXT, VECTOR_TEXT, parse_contract
from support.descriptions import TWO_LINKS

from mode_ros.ahead.path import Measured, Paths

needs_pin = pytest.mark.skipif(importlib.util.find_spec('pinocchio') is None, reason='pin is not installed')

HAND = np.array([0.1, 0.2, 0.3, 0.0, 0.0, 0.0, 1.0])
TWIST_TEXT = """
robot: tester
rate: 20.0
observation:
  states:
    - {name: hand, topic: hand_pose, type: pose, names: [x, y, z, qx, qy, qz, qw], unit: m, max_age: 0.2}
action:
  - name: arm
    kind: delta
    dimensions:
      - {name: x, unit: m, lower: -0.04, upper: 0.04}
      - {name: y, unit: m, lower: -0.04, upper: 0.04}
      - {name: z, unit: m, lower: -0.04, upper: 0.04}
    output: {adapter: twist, topic: arm/twist, frame_id: base}
  - name: gripper
    kind: absolute
    dimensions:
      - {name: grip, unit: '1', lower: -1.0, upper: 1.0}
    output: {adapter: forward_command, topic: gripper/command}
"""


def twist_paths():
    return Paths(parse_contract(TWIST_TEXT, 'c.yaml'))


def test_displacements_are_summed_up_from_the_measured_pose():
    steps = np.array([[0.01, 0, 0, 1], [0.01, 0, -0.02, 1]])
    (path,) = twist_paths().of(steps, 1, {'hand': Measured(HAND, '/base')})
    assert (path.group, path.frame, path.decided) == ('arm', 'base', 1)
    assert path.points == pytest.approx(np.array([[0.1, 0.2, 0.3], [0.11, 0.2, 0.3], [0.12, 0.2, 0.28]]))


@pytest.mark.parametrize(
    ('measured', 'words'),
    [
        ({}, 'hand has not been heard'),
        ({'hand': Measured(HAND, 'camera')}, "hand is measured in 'camera', and commanded in 'base'"),
    ],
)
def test_without_a_place_to_begin_at_it_says_why_there_is_no_path(measured, words):
    paths = twist_paths()
    assert paths.of(np.zeros((2, 4)), 0, measured) == []
    assert paths.missing == {'arm': words}


def test_which_of_two_poses_is_the_hand_is_not_guessed():
    line = TWIST_TEXT.splitlines()[5]
    two = TWIST_TEXT.replace(line, f'{line}\n{line.replace("hand", "other")}')
    paths = Paths(parse_contract(two, 'c.yaml'))
    assert paths.of(np.zeros((2, 4)), 0, {'hand': Measured(HAND), 'other': Measured(HAND)}) == []
    assert 'names no state' in paths.missing['arm']


def test_targets_of_a_pose_are_places():
    paths = Paths(parse_contract(VECTOR_TEXT, 'c.yaml'))
    targets = np.array([[0.4, 0.5, 0.6, 0, 0, 0], [0.5, 0.5, 0.6, 0, 0, 0]])
    (path,) = paths.of(targets, 0, {'hand': Measured(HAND, 'base')})
    assert path.points == pytest.approx(np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.5, 0.5, 0.6]]))


def test_joints_without_a_link_have_no_path_and_miss_none():
    paths = Paths(parse_contract(ABSOLUTE_TEXT, 'c.yaml'))
    assert not paths.needs_description
    assert paths.of(np.zeros((2, 2)), 0, {'joints': Measured(np.zeros(2))}) == []
    assert paths.missing == {}


def test_joints_with_a_link_wait_for_the_description():
    paths = Paths(parse_contract(ABSOLUTE_TEXT, 'c.yaml'), link='tool')
    assert paths.needs_description
    assert paths.of(np.zeros((2, 2)), 0, {'joints': Measured(np.zeros(2))}) == []
    assert paths.missing == {'arm': 'the robot description has not come'}


@needs_pin
def test_joints_go_through_the_kinematics():
    from mode_ros.control.kinematics import RobotModel

    paths = Paths(parse_contract(ABSOLUTE_TEXT, 'c.yaml'), link='tool')
    paths.model = RobotModel(TWO_LINKS)
    targets = np.array([[np.pi / 2, 0.0], [np.pi / 2, np.pi / 2]])  # a, b
    (path,) = paths.of(targets, 0, {'joints': Measured(np.array([0.0, 0.0]))})
    assert path.frame == 'table'
    assert path.points == pytest.approx(np.array([[0.9, 0, 0], [0.1, 0.8, 0], [-0.2, 0.5, 0]]), abs=1e-9)
    wrong = Paths(parse_contract(ABSOLUTE_TEXT, 'c.yaml'), link='nose')
    wrong.model = paths.model
    assert wrong.of(targets, 0, {}) == []
    assert "no link 'nose'" in wrong.missing['arm']
