"""Commands and states beyond the robot description's limits, where the contract's own bounds reach further."""

import numpy as np
import pytest
from support.contracts import ABSOLUTE_TEXT, DELTA_TEXT, absolute_contract, delta_contract

from mode_ros.checks.bounds import beyond_bounds
from mode_ros.checks.described import beyond_description
from mode_ros.control.contract import parse_contract

LIMITS = {'a': ('rad', -1.5, 1.5), 'b': ('rad', -3.1, 3.1), 'other': ('m', 0.0, 0.1)}


def said(contract, limits=LIMITS, largest=1.9, states=None):
    actions = np.zeros((100, len(contract.dimensions)))
    actions[:25, 0] = largest
    measured = {state.name: np.zeros((100, len(state.names))) for state in contract.observation.states}
    return [str(each) for each in beyond_description(contract, limits, actions, measured | (states or {}), 'data')]


def test_a_command_that_the_contract_allows_and_the_robot_cannot_follow_is_named():
    (only,) = said(absolute_contract())
    assert "action a: 25% of the frames in data are beyond the robot description's -1.5 to 1.5 rad" in only
    assert 'the farthest is 1.9' in only
    assert said(absolute_contract(), largest=1.5) == []


@pytest.mark.parametrize(('times', 'is_unit'), [(1.3, False), (2.0, False), (8.0, False), (20.0, True), (57.3, True)])
def test_another_unit_is_guessed_only_where_the_numbers_exceed_the_limits_by_its_factor(times, is_unit):
    loose = parse_contract(ABSOLUTE_TEXT.replace('2.0', '99.0'), 'x')
    (only,) = said(loose, largest=1.5 * times)
    assert ('(degrees for radians?)' in only) is is_unit
    assert ('message_unit, or scale and offset' in only) is is_unit
    assert ("See whether the description is this robot's" in only) is not is_unit


def test_what_the_contract_bounds_as_tightly_is_named_once_and_by_the_other_check():
    tight = {'a': ('rad', -2.0, 2.0), 'b': ('rad', -2.00001, 2.00001)}
    assert said(absolute_contract(), tight, largest=2.5) == []
    actions = np.full((10, 2), 2.5)
    assert len(beyond_bounds(absolute_contract(), actions)) == 2


def test_limits_are_compared_in_the_unit_of_the_contract():
    degrees = parse_contract(ABSOLUTE_TEXT.replace('unit: rad', 'unit: deg').replace('2.0', '120.0'), 'x')
    (only,) = said(degrees, largest=100.0)
    assert "robot description's -85.9437 to 85.9437 deg" in only
    shares = parse_contract(ABSOLUTE_TEXT.replace('unit: rad', "unit: '1'"), 'x')
    assert said(shares) == [], 'a share of what, nobody knows'


@pytest.mark.parametrize('make', [absolute_contract, delta_contract])
def test_states_are_looked_at_with_a_little_more_patience(make):
    contract = make()
    column = contract.state('joints').names.index('a')
    values = np.zeros((100, 2))
    values[:50, column] = 1.6  # overshoot
    assert said(contract, largest=0.0, states={'joints': values}) == []
    values[:50, column] = 1.9
    (only,) = said(contract, largest=0.0, states={'joints': values})
    assert "state joints a: 50% of the frames in data are beyond the robot description's -1.5 to 1.5 rad" in only


def test_velocities_and_joints_of_one_name_are_not_judged():
    text = ABSOLUTE_TEXT.replace('  - name: arm', '  - name: left', 1)
    second = ABSOLUTE_TEXT[ABSOLUTE_TEXT.index('  - name: arm') :]
    both = parse_contract(text + second.replace('name: arm', 'name: right').replace('arm/', 'right/'), 'x')
    assert said(both) == []
    moving = parse_contract(DELTA_TEXT.replace('type: joint_state,', 'type: joint_state, field: velocity,'), 'x')
    assert said(moving, largest=0.0, states={'joints': np.full((100, 2), 9.0)}) == []
