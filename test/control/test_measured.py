"""What the states say of age and place."""

import numpy as np
from support.contracts import absolute_contract

from mode_ros.control.measured import Measured

MS = 1_000_000


def measured():
    made = Measured(absolute_contract())  # the state names the joints b, a
    assert made.update('joints', 100 * MS, np.array([0.2, 0.1]))
    return made


def test_places_are_found_by_the_joints_names():
    assert measured().positions[:2].tolist() == [0.1, 0.2]
    assert np.isnan(Measured(absolute_contract()).positions).all(), 'nobody knows yet'


def test_what_is_too_far_is_named_and_what_nobody_knows_is_not():
    wished = np.array([0.1, 0.2]) + [0.0, 0.5]
    assert measured().far(wished).startswith('b is 0.5 from where it is measured')
    assert measured().far(np.array([np.nan, 0.2])) == ''
    assert Measured(absolute_contract()).far(wished) == ''


def test_a_message_that_is_not_finite_is_none():
    it = measured()
    assert not it.update('joints', 200 * MS, np.array([np.nan, 0.0]))
    assert it.ages(300 * MS)[0].age == 200 * MS
    assert it.values['joints'].tolist() == [0.2, 0.1]


def test_states_from_before_the_last_motion_are_told():
    it = measured()
    assert it.older_than(100 * MS) == ''
    assert it.older_than(101 * MS) == 'joints: no message since the robot last moved'
    it.clear()
    assert it.older_than(101 * MS) == ''
    assert it.ages(0)[0].problem == 'joints: no message yet'
