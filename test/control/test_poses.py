"""Poses: every rotation there and back, no jump where a hand points down, and speeds along the straight way."""

import numpy as np
import pytest
from support.contracts import AXES_TEXT, VECTOR_TEXT

from mode_ros.control.chunk import ChunkRejected, check_chunk, make_chunk
from mode_ros.control.contract import parse_contract
from mode_ros.control.controller import Controller
from mode_ros.control.feedback import measured_action
from mode_ros.control.limits import ActionLimiter
from mode_ros.control.poses import (
    limit_pose,
    nearest_sign,
    pose_vector,
    quaternion_of_vector,
    rotation_matrix,
    rotation_vector,
    split_pose,
)
from mode_ros.control.takeover import TeleopCommand, TeleopRefused, check_command
from mode_ros.errors import UserError

DOWN = np.array([1.0, 0.0, 0.0, 0.0])  # half a turn about x


def group(text):
    return parse_contract(text, 'posed.yaml').action[0]


@pytest.fixture(params=[VECTOR_TEXT, AXES_TEXT], ids=['rotation vector', 'two axes'])
def arm(request):
    return group(request.param)


def random_quaternions(count):
    found = np.random.default_rng(3).normal(size=(count, 4))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_every_rotation_comes_back(arm):
    for quaternion in [*random_quaternions(200), DOWN, *np.eye(4), -np.eye(4)[3]]:
        values = pose_vector(np.array([0.1, 0.2, 0.3]), quaternion, arm)
        position, back = split_pose(values)
        assert position.tolist() == [0.1, 0.2, 0.3]
        assert abs(back @ quaternion) == pytest.approx(1.0, abs=1e-9)
        assert back[3] >= 0


def test_the_two_axes_are_the_columns_of_the_matrix():
    values = pose_vector(np.zeros(3), quaternion_of_vector(np.array([0.0, 0.0, np.pi / 2])), group(AXES_TEXT))
    assert values[3:6] == pytest.approx([0.0, 1.0, 0.0]), 'after a quarter turn about z the x axis points along y'
    assert values[6:9] == pytest.approx([-1.0, 0.0, 0.0])


def test_a_hand_that_points_down_does_not_jump_between_signs():
    """Half a turn is where rotation vectors jump; the contract's bounds say which side is meant."""
    arm = group(VECTOR_TEXT)
    swept = [
        pose_vector(np.zeros(3), quaternion_of_vector(np.array([angle, 0.02, 0.0])), arm)[3]
        for angle in np.linspace(np.pi - 0.3, np.pi + 0.3, 61)
    ]
    assert np.abs(np.diff(swept)).max() < 0.02
    assert swept[-1] > np.pi


def test_axes_that_are_not_perpendicular_are_made_so():
    values = np.array([0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 1.0, 3.0, 0.0])
    _, quaternion = split_pose(values)
    assert rotation_matrix(quaternion) == pytest.approx(np.eye(3))


@pytest.mark.parametrize('axes', [[0, 0, 0, 0, 1, 0], [1, 0, 0, -2, 0, 0]])
def test_axes_that_mean_nothing_are_refused(axes):
    with pytest.raises(ValueError, match='axis'):
        split_pose(np.array([0.0, 0.0, 0.0, *axes]))


@pytest.mark.parametrize('axes', [[0, 0, 0, 0, 1, 0], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]])
def test_numbers_that_give_no_rotation_are_refused_of_everybody_and_turn_nothing(axes):
    contract = parse_contract(AXES_TEXT, 'posed.yaml')
    arm = contract.action[0]
    action = np.zeros(len(contract.dimensions))
    action[contract.group_slices[arm.name]] = [0.5, 0.0, 0.0, *axes]
    with pytest.raises(ChunkRejected) as refused:
        check_chunk(make_chunk(contract, 0, action[None]), contract)
    assert refused.value.check == 'rotation'
    with pytest.raises(TeleopRefused) as refused_person:
        check_command(TeleopCommand(0, contract.action_names, action), contract, 0)
    assert refused_person.value.check == 'rotation'
    # What was clipped or averaged to it after these checks moves the hand and leaves it turned as it is.
    before = pose_vector(np.zeros(3), DOWN, arm)
    limited = limit_pose(before, np.array([0.5, 0.0, 0.0, *axes]), arm, 0.1, 0.1)
    assert limited[:3] == pytest.approx([0.1, 0.0, 0.0])
    assert limited[3:] == pytest.approx(before[3:])


def test_what_a_person_leaves_alone_needs_no_rotation():
    contract = parse_contract(AXES_TEXT, 'posed.yaml')
    check_command(TeleopCommand(0, contract.action_names, np.full(len(contract.dimensions), np.nan)), contract, 0)


def test_speed_is_that_of_the_hand_and_not_of_single_numbers(arm):
    """(0.2 m/s and 1 rad/s at 20 Hz are 0.01 m and 0.05 rad in a period.)"""
    limiter = ActionLimiter(parse_contract(VECTOR_TEXT if len(arm.names) == 6 else AXES_TEXT, 'posed.yaml'))
    start = pose_vector(np.array([0.3, 0.0, 0.5]), quaternion_of_vector(np.array([3.0, 0.0, 0.0])), arm)
    goal = pose_vector(np.array([0.4, 0.1, 0.6]), quaternion_of_vector(np.array([2.0, 1.5, 0.4])), arm)
    limiter.start_from(start)
    before, periods = start, 0
    while np.abs(before - goal).max() > 1e-6:
        command, _ = limiter.apply(goal)
        (p, q), (p_before, q_before) = split_pose(command), split_pose(before)
        assert np.linalg.norm(p - p_before) <= 0.01 + 1e-9
        assert 2 * np.arccos(min(abs(q @ q_before), 1.0)) <= 0.05 + 1e-6
        before, periods = command, periods + 1
        assert periods < 200, 'it arrives'
    assert periods >= np.linalg.norm([0.1, 0.1, 0.1]) / 0.01


def test_within_the_limits_a_target_is_left_as_it_is(arm):
    start = pose_vector(np.zeros(3), DOWN, arm)
    target = start.copy()
    target[0] = 0.005
    assert limit_pose(start, target, arm, 0.01, 0.05).tolist() == target.tolist()


def test_quaternions_keep_their_sign():
    before = np.array([0.0, 0.0, 0.0, 1.0])
    assert nearest_sign(np.array([0.1, 0.0, 0.0, -0.99]), before)[3] > 0
    assert nearest_sign(np.array([0.1, 0.0, 0.0, -0.99]), None)[3] < 0


def test_rotation_vectors_of_small_turns_are_exact():
    for angle in (0.0, 1e-12, 1e-7, 1e-3):
        vector = np.array([0.0, angle, 0.0])
        assert rotation_vector(quaternion_of_vector(vector)) == pytest.approx(vector, abs=1e-15, rel=1e-6)


def test_the_controller_starts_from_the_measured_hand():
    contract = parse_contract(VECTOR_TEXT, 'posed.yaml')
    controller = Controller(contract, 1.0)
    controller.activate(0)
    controller.measure('hand', 0, np.array([0.3, 0.1, 0.5, *DOWN]))
    controller.measure('joints', 0, np.zeros(1))
    tick = controller.tick(0)
    assert tick.commands['arm'] == pytest.approx([0.3, 0.1, 0.5, np.pi, 0.0, 0.0])


def test_a_quaternion_of_length_zero_measures_nothing():
    contract = parse_contract(AXES_TEXT, 'posed.yaml')
    values = measured_action(contract.action[0], contract.state('hand'), np.zeros(7))
    assert np.isnan(values).all()


@pytest.mark.parametrize(
    ('old', 'new', 'words'),
    [
        ('frame_id: base, ', '', 'a pose needs output.frame_id'),
        ('feedback: hand', 'feedback: joints', 'no state of type pose'),
        ('    feedback: hand\n', '', 'a pose needs feedback'),
        ('name: rotation_x, unit: rad', 'name: rotation_x, unit: deg', "is in 'rad'"),
        ('name: rotation_x', 'name: roll', 'a pose has the dimensions'),
        ('kind: absolute', 'kind: delta', "its kind is 'absolute'"),
        ('adapter: pose', 'adapter: joint_trajectory', 'frame_id is for the adapter twist or pose'),
        ('max_speed: 0.2', 'max_speed: 0.0', 'max_speed'),
    ],
)
def test_contracts_that_are_refused(old, new, words):
    assert old in VECTOR_TEXT
    with pytest.raises(UserError) as caught:
        parse_contract(VECTOR_TEXT.replace(old, new), 'posed.yaml')
    assert words in str(caught.value)
