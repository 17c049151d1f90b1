"""Checks as pure functions: arrays in, sentences out."""

import numpy as np
import pytest
from support.contracts import ABSOLUTE_TEXT, DELTA_TEXT, GRIPPER_TEXT, absolute_contract, delta_contract

from mode_ros.checks.bounds import beyond_bounds, states_beyond_bounds
from mode_ros.checks.goals import coinciding, unknown_words
from mode_ros.checks.names import match_names
from mode_ros.checks.spread import action_floor, duplicates, gripper_still, nearly_constant, state_floor
from mode_ros.control.contract import parse_contract


def said(findings):
    return [str(finding) for finding in findings]


def wave(size, length=200):
    t = np.linspace(0, 6, length)
    return np.stack([size * np.sin(t), 0.7 * size * np.cos(t)], axis=1)


def test_commands_within_their_bounds_are_not_named():
    assert beyond_bounds(absolute_contract(), wave(2.0).astype(np.float32)) == []
    assert states_beyond_bounds(absolute_contract(), 'joints', wave(2.1)) == []  # overshoot


def test_degrees_for_radians_are_named_with_share_and_largest():
    actions = wave(1.0)
    actions[:50, 0] = 100.0
    (only,) = said(beyond_bounds(absolute_contract(), actions, 'data'))
    assert 'action a: 25% of the frames in data are beyond -2 to 2 rad, the farthest is 100' in only
    assert 'degrees for radians' in only
    assert 'message_unit, or scale and offset' in only


def test_twice_the_bound_is_no_other_unit():
    (only,) = said(beyond_bounds(absolute_contract(), wave(4.0)[:, :1] * [1.0, 0.0]))
    assert 'the farthest is 4' in only
    assert '?' not in only


def test_two_arms_with_joints_of_one_name_are_told_apart():
    arm = ABSOLUTE_TEXT[ABSOLUTE_TEXT.index('  - name: arm') :]
    contract = parse_contract(ABSOLUTE_TEXT + arm.replace('name: arm', 'name: right').replace('arm/', 'right/'), 'x')
    actions = np.concatenate([wave(100.0), wave(100.0)], axis=1)
    lines = said(beyond_bounds(contract, actions))
    assert [line.split(':')[1].strip() for line in lines] == [
        'action arm.a', 'action arm.b', 'action right.a', 'action right.b']  # fmt: skip


def test_a_unit_that_is_not_known_is_no_licence_to_blow_noise_up():
    text = DELTA_TEXT.replace('names: [a, b], unit: rad', 'names: [a, b], unit: bar')
    assert state_floor(parse_contract(text, 'x'), 'joints') == (0.0, 0.0)
    ranged = parse_contract(text.replace('unit: bar', 'unit: bar, lower: 0.0, upper: 10.0'), 'x')
    assert state_floor(ranged, 'joints') == pytest.approx((0.01, 0.01))
    values = np.random.default_rng(0).normal([1.2, 0.0], [1e-5, 1e-5], (200, 2))
    (only,) = said(nearly_constant(['a', 'b'], values, (0.0, 0.0), 'state joints'))
    assert 'nearly constant are a (deviation 9' in only
    assert 'give the state lower and upper' in only


def test_one_glitch_in_ten_thousand_is_named_without_a_guess():
    actions = np.zeros((10_000, 2))
    actions[77, 1] = -5.0
    (only,) = said(beyond_bounds(absolute_contract(), actions))
    assert 'action b: 0.01% of the frames' in only
    assert 'the farthest is -5' in only
    assert '?' not in only


def test_per_cent_for_a_share_is_guessed():
    actions = np.zeros((10, 4))
    actions[:, 3] = np.linspace(-100, 100, 10)
    assert any('per cent for a share?' in line for line in said(beyond_bounds(delta_contract(), actions)))


def test_states_are_held_to_the_bounds_of_the_commands_they_measure():
    states = np.zeros((10, 2))
    states[:, 0] = np.linspace(0, 90, 10)  # b comes first in the state
    (only,) = said(states_beyond_bounds(absolute_contract(), 'joints', states))
    assert 'state joints b' in only
    # No command says what its range is; what a joint can turn is known all the same.
    assert states_beyond_bounds(delta_contract(), 'joints', states / 10) == []


def test_a_state_is_held_to_bounds_of_its_own_to_the_letter():
    text = DELTA_TEXT.replace('unit: rad, max_age: 0.2', 'unit: rad, lower: -1.0, max_age: 0.2')
    states = np.array([[0.0, -1.01], [5.0, 0.0]])
    (only,) = said(states_beyond_bounds(parse_contract(text, 'x'), 'joints', states))
    assert 'state joints b: 50% of the frames' in only
    assert '-1 to inf rad, the farthest is -1.01' in only


def test_the_floor_is_of_the_range_or_the_unit():
    assert action_floor(absolute_contract()) == pytest.approx((4e-3, 4e-3))
    assert state_floor(absolute_contract(), 'joints') == pytest.approx((4e-3, 4e-3))
    assert state_floor(delta_contract(), 'joints') == (2e-3, 2e-3)  # rad


def test_a_joint_that_only_shakes_is_named_and_a_constant_too():
    values = np.random.default_rng(0).normal(0, [1e-5, 0.3, 0.0], (100_000, 3))
    lines = said(nearly_constant(['a', 'b', 'c'], values, [2e-3] * 3, 'state joints'))
    assert len(lines) == 2
    assert 'nearly constant are a (deviation 1e-05, floor 0.002)' in lines[0]
    assert 'c never changed' in lines[1]
    assert not any('b (' in line or ', b' in line for line in lines)


def test_a_constant_beside_what_moves_is_harmless_and_a_part_that_never_moves_is_not():
    values = np.c_[wave(1.0), np.zeros((200, 2))]
    found = nearly_constant(['x', 'y', 'rotation_z', 'grip'], values, [1e-3] * 4, 'action', [slice(0, 3), slice(3, 4)])
    assert [(finding.note, 'rotation_z' in finding.text, 'grip' in finding.text) for finding in found] == [
        (False, False, True),
        (True, True, False),
    ]
    assert 'is its topic the right one?' in found[0].text


def test_a_number_that_stands_there_twice_is_named():
    x = wave(1.0)
    assert 'a and c' in said(duplicates(['a', 'b', 'c'], np.c_[x, x[:, 0]], 'action'))[0]
    assert duplicates(['a', 'b'], np.zeros((5, 2)), 'action') == []  # two constants say nothing of each other


def test_a_gripper_that_is_told_the_same_for_ever():
    actions = np.zeros((20, 4))
    assert 'group gripper' in said(gripper_still(delta_contract(), actions))[0]
    actions[10:, 3] = 1.0
    assert gripper_still(delta_contract(), actions) == []


def test_sentences_with_one_embedding_are_named_in_pairs():
    embeddings = np.array([[1.0, 0], [1.0, 1e-5], [0, 1.0]])
    (only,) = said(coinciding(['red', 'blue', 'open'], embeddings))
    assert "'red' and 'blue' are one sentence" in only
    assert coinciding(['red', 'blue', 'open'], embeddings, among=[2]) == []
    assert len(coinciding(['red', 'blue', 'open'], embeddings, among=[0])) == 1


def test_words_that_are_lost_are_named():
    assert said(unknown_words(['a', 'b'], [[], ['🔴']])) == ["goals: Of 'b' the text encoder does not see '🔴'."]


@pytest.mark.parametrize(
    ('theirs', 'ours', 'order', 'note'),
    [
        (['a', 'b', 'c'], ['a', 'b', 'c'], None, ''),
        (['c', 'b', 'a'], ['a', 'b', 'c'], (2, 1, 0), "put in the contract's order"),
        (['b.pos', 'a.pos'], ['a', 'b'], (1, 0), "put in the contract's order"),
        (['a.pos', 'b.pos'], ['a', 'b'], None, ''),
        (['b', 'a'], ['joints.a', 'joints.b'], (1, 0), "put in the contract's order"),
        (['left.a', 'right.a'], ['right.a', 'left.a'], (1, 0), "put in the contract's order"),
        (['u', 'v'], ['a', 'b'], None, 'Make sure that they mean the same'),
        (['a', 'x'], ['a', 'b'], None, 'Make sure that they mean the same'),
        (['0', '1'], ['a', 'b'], None, "are called ['0', '1'], so that their order cannot be compared"),
        (['motor_0', 'motor_1'], ['a', 'b'], None, 'their order cannot be compared'),
        (['a', 'a'], ['a', 'b'], None, 'Make sure'),
        (['a'], ['a', 'b'], None, "are called ['a'], so that their order cannot be compared"),
        ([], ['a', 'b'], None, "have no names, so that their order cannot be compared with the contract's ['a', 'b']"),
        ([], ['a'], None, ''),
    ],
)
def test_names_are_lined_up_or_warned_of(theirs, ours, order, note):
    found = match_names(theirs, ours, 'action')
    assert found.order == order
    assert note in found.note
    assert bool(found.note) == bool(note)


# A gripper whose group has no feedback, beside the state that measures it.
LOOSE_TEXT = DELTA_TEXT.replace(
    'action:',
    '    - {name: gripper, topic: grip/state, type: STATE, names: [opening], unit: UNIT, max_age: 0.2MORE}\naction:',
)


def loose(unit="'1'", kind='joint_state', more='', group=''):
    text = LOOSE_TEXT.replace('UNIT', unit).replace('STATE', kind).replace('MORE', more)
    return parse_contract(text.replace("{name: grip, unit: '1', lower: -1.0, upper: 1.0}", group or
                                       "{name: grip, unit: '1', lower: -1.0, upper: 1.0}"), 'x')  # fmt: skip


OPENING = np.linspace(0, 1, 50)[:, None]


@pytest.mark.parametrize(
    ('contract', 'values', 'words'),
    [
        # By the group of its name, which has its unit.
        (loose(), 100 * OPENING, 'beyond -1 to 1 1, the farthest is 100 (per cent for a share?)'),
        (loose(kind='number', more=', stamps: reception'), 255 * OPENING, 'the farthest is 255'),
        # By its unit, where the group has one of another kind.
        (loose('m'), 85 * OPENING, '(0.5 m), the farthest is 85 (millimetres or per cent for metres?)'),
        (loose('m', 'array', ', stamps: reception'), 100 * OPENING, 'beyond what can be (0.5 m)'),
        (loose('rad'), 100 * OPENING, 'beyond what can be (12.6 rad), the farthest is 100 (degrees for radians?)'),
        (loose("'%'"), 255 * OPENING, 'beyond -100 to 100 %, the farthest is 255'),
        # The other way round.
        (loose("'%'"), 0.9 * OPENING, 'nothing in data is larger than 0.9 % (a share for per cent?)'),
        (loose('mm'), 0.08 * OPENING, 'nothing in data is larger than 0.08 mm (metres for millimetres?)'),
        # A bound on one side leaves the other to the unit.
        (loose('m', more=', lower: 0.0'), 85 * OPENING, 'beyond what can be (0.5 m)'),
        # A group of another size of the same unit.
        (
            loose('mm', group='{name: grip, unit: m, lower: 0.0, upper: 0.08}'),
            800 * OPENING,
            'beyond 0 to 80 mm, the farthest is 800',
        ),
    ],
)  # fmt: skip
def test_a_gripper_that_is_measured_in_another_unit_is_named_without_bounds_of_its_own(contract, values, words):
    (only,) = said(states_beyond_bounds(contract, 'gripper', values, 'data'))
    assert 'state gripper' in only
    assert words in only
    assert 'message_unit, or scale and offset' in only


@pytest.mark.parametrize(
    ('contract', 'values'),
    [
        (loose(), 1.1 * OPENING),
        (loose('m'), 0.085 * OPENING),
        (loose('rad'), 0.8 * OPENING),
        (loose("'%'"), 100 * OPENING),
        (loose("'%'"), 0 * OPENING),  # never moved: that is said elsewhere
        (loose('mm'), 85 * OPENING),
        (loose('counts'), 255 * OPENING),  # nobody knows
        (loose(more=', lower: 0.0, upper: 255.0'), 255 * OPENING),
    ],
)
def test_a_gripper_that_is_what_its_unit_says_is_not_named(contract, values):
    assert states_beyond_bounds(contract, 'gripper', values) == []


def test_joints_and_poses_are_held_to_what_their_unit_can_be():
    states = np.linspace(-90, 90, 100)[:, None] * [1.0, 0.1]
    (only,) = said(states_beyond_bounds(delta_contract(), 'joints', states, 'data'))
    assert 'state joints a: 86% of the frames in data are beyond what can be (12.6 rad), the farthest is -90' in only
    assert '(degrees for radians?)' in only
    pose = DELTA_TEXT.replace('action:', '    - {name: hand, topic: hand, type: pose, '
                              'names: [x, y, z, qx, qy, qz, qw], unit: UNIT, max_age: 0.2}\naction:')  # fmt: skip
    values = np.tile([400.0, 10.0, 300.0, 0.0, 0.0, 0.0, 1.0], (10, 1))
    assert 'state hand x, y, z: 100%' in said(
        states_beyond_bounds(parse_contract(pose.replace('UNIT', 'm'), 'x'), 'hand', values))[0]  # fmt: skip
    assert states_beyond_bounds(parse_contract(pose.replace('UNIT', 'mm'), 'x'), 'hand', values) == []
    values[:, :3] = np.linspace(0, 0.5, 10)[:, None]
    assert 'metres for millimetres?' in said(
        states_beyond_bounds(parse_contract(pose.replace('UNIT', 'mm'), 'x'), 'hand', values))[0]  # fmt: skip


def test_commands_whose_bounds_are_of_another_unit_too_are_named():
    text = GRIPPER_TEXT.replace('upper: 0.08', 'upper: 85.0')
    (only,) = said(beyond_bounds(parse_contract(text, 'x'), 85 * OPENING, 'data'))
    assert 'action finger_joint: 100%' not in only
    assert 'within their bounds, and beyond what can be (0.5 m), the farthest is 85 (millimetres' in only
    assert beyond_bounds(parse_contract(GRIPPER_TEXT, 'x'), 0.08 * OPENING) == []


def test_commands_far_below_their_bounds_are_named_as_of_a_larger_unit():
    text = GRIPPER_TEXT.replace('unit: m', "unit: '%'").replace('upper: 0.08', 'upper: 100.0')
    (only,) = said(beyond_bounds(parse_contract(text, 'x'), 0.9 * OPENING, 'data'))
    assert 'action gripper: nothing in data is larger than 0.9 % (a share for per cent?)' in only
    assert beyond_bounds(parse_contract(text, 'x'), 90 * OPENING, 'data') == []
