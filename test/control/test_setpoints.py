"""What a command asks for, period by period."""

import numpy as np
import pytest

from mode_ros.control.setpoints import Setpoint

SECOND = 1_000_000_000
PERIOD = SECOND // 20
RAMP = Setpoint(np.array([0, SECOND, 3 * SECOND]), np.array([[0.0], [1.0], [2.0]]))


@pytest.mark.parametrize(('seconds', 'value'), [(0, 0), (0.5, 0.5), (1, 1), (2, 1.5), (3, 2), (99, 2)])
def test_between_points_it_moves_on_a_line_and_stays_at_the_end(seconds, value):
    assert RAMP.at(round(seconds * SECOND), None) == pytest.approx([value])


def test_it_sets_out_from_what_was_in_force():
    later = Setpoint(np.array([SECOND]), np.array([[2.0]]))
    assert later.at(SECOND // 4, np.array([1.0])) == pytest.approx([1.25])
    assert later.at(SECOND // 4, None) == pytest.approx([2.0])


def test_a_point_due_within_a_period_is_the_target_at_once():
    point = Setpoint(np.array([PERIOD]), np.array([[2.0]]))
    for elapsed in (1, PERIOD // 2, PERIOD, 5 * PERIOD):
        assert point.in_period(elapsed, PERIOD, np.array([0.0])) == pytest.approx([2.0])
    assert Setpoint.at_once(np.array([3.0])).in_period(1, PERIOD, np.array([0.0])) == pytest.approx([3.0])


def test_the_nth_period_gets_what_is_due_n_periods_after_the_start():
    assert [RAMP.in_period(n * PERIOD - PERIOD // 3, PERIOD, None)[0] for n in (1, 2, 10)] == pytest.approx(
        [0.05, 0.1, 0.5]
    )


def test_velocities_bend_the_way():
    rest_to_rest = Setpoint(np.array([0, SECOND]), np.array([[0.0], [1.0]]), np.zeros((2, 1)))
    assert rest_to_rest.at(SECOND // 2, None) == pytest.approx([0.5])
    assert rest_to_rest.at(SECOND // 4, None) == pytest.approx([0.15625])  # 3 s^2 - 2 s^3
    moving = Setpoint(np.array([0, 2 * SECOND]), np.array([[0.0], [2.0]]), np.ones((2, 1)))
    assert moving.at(SECOND // 2, None) == pytest.approx([0.5])
