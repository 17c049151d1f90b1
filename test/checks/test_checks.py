"""Checks as pure functions: arrays in, sentences out."""

import numpy as np
import pytest
from support.contracts import DELTA_TEXT, absolute_contract, delta_contract

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
    assert states_beyond_bounds(delta_contract(), 'joints', states) == []  # no command says what its range is


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
        (['0', '1'], ['a', 'b'], None, ''),
        (['motor_0', 'motor_1'], ['a', 'b'], None, ''),
        (['a', 'a'], ['a', 'b'], None, 'Make sure'),
        (['a'], ['a', 'b'], None, ''),
    ],
)
def test_names_are_lined_up_or_warned_of(theirs, ours, order, note):
    found = match_names(theirs, ours, 'action')
    assert found.order == order
    assert note in found.note
    assert bool(found.note) == bool(note)
