"""Limits keep their promises for any wish, and a stop is a ramp."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.contracts import absolute_contract, delta_contract

from mode_ros.control.limits import ActionLimiter

TOLERANCE = 1e-9


def test_bounds_and_steps_of_displacements():
    limiter = ActionLimiter(delta_contract())
    command, reduced = limiter.apply(np.array([0.1, 0.04, 0.04, 3.0]))
    assert command.tolist() == pytest.approx([0.04, 0.01, 0.02, 1.0])
    assert reduced.tolist() == pytest.approx([0.06, 0.03, 0.02, 2.0])
    command, _ = limiter.apply(np.array([0.0, 0.04, 0.01, -1.0]))
    assert command.tolist() == pytest.approx([0.0, 0.02, 0.01, -1.0])


def test_what_is_within_the_limits_passes_unchanged():
    limiter = ActionLimiter(delta_contract())
    wish = np.array([-0.03, 0.005, -0.02, 0.25])
    command, reduced = limiter.apply(wish)
    assert command.tolist() == wish.tolist()
    assert not reduced.any()


def test_targets_start_from_where_the_arm_is():
    limiter = ActionLimiter(absolute_contract())
    limiter.start_from(np.array([1.0, 0.5]))
    command, _ = limiter.apply(np.array([-1.0, -0.5]))
    assert command.tolist() == pytest.approx([0.97, -0.5])


def test_an_unknown_position_is_not_sent():
    limiter = ActionLimiter(delta_contract())
    assert np.isnan(limiter.hold()[3])
    limiter.apply(np.array([0.0, 0.0, 0.0, 0.5]))
    assert limiter.hold()[3] == 0.5


def test_holding_displacements_is_zero_not_the_last_one():
    limiter = ActionLimiter(delta_contract())
    limiter.apply(np.array([0.03, 0.0, 0.02, 0.0]))
    assert limiter.hold()[:3].tolist() == [0.0, 0.0, 0.0]
    assert not limiter.moving


def test_a_stop_ramps_down_and_stays():
    limiter = ActionLimiter(absolute_contract())
    limiter.start_from(np.array([0.0, 0.0]))
    for _ in range(6):
        limiter.apply(np.array([2.0, 0.0]))
    positions = [limiter.hold()[0] for _ in range(6)]
    steps = np.diff(positions)
    assert limiter.moving is False
    assert (np.abs(np.diff(steps)) <= 0.03 + TOLERANCE).all()
    assert positions[-1] == positions[-2]
    assert steps.min() >= 0.0


def test_a_robot_beyond_a_bound_is_not_jerked_back():
    limiter = ActionLimiter(absolute_contract())
    limiter.start_from(np.array([2.5, 0.0]))
    assert limiter.hold()[0] == 2.5
    command, _ = limiter.apply(np.array([0.0, 0.0]))
    assert command[0] == pytest.approx(2.47)


@settings(max_examples=200, deadline=None)
@given(start=st.floats(-2, 2), wishes=st.lists(st.floats(-5, 5), min_size=1, max_size=40))
def test_no_wish_breaks_a_limit(start, wishes):
    limiter = ActionLimiter(absolute_contract())
    limiter.start_from(np.array([start, 0.0]))
    positions = [start, start]
    positions += [limiter.apply(np.array([wish, 0.0]))[0][0] for wish in wishes]
    positions += [limiter.hold()[0] for _ in range(5)]
    steps = np.diff(positions)
    assert np.abs(positions).max() <= 2.0 + TOLERANCE
    assert np.abs(steps).max() <= 0.1 + TOLERANCE
    # Wishes change at will, yet a bound is never met at speed: braking begins in time.
    assert np.abs(np.diff(steps)).max() <= 0.03 + TOLERANCE


@settings(max_examples=200, deadline=None)
@given(start=st.floats(-2, 2), target=st.floats(-2, 2))
def test_a_fixed_target_is_reached_without_overshoot(start, target):
    limiter = ActionLimiter(absolute_contract())
    limiter.start_from(np.array([start, 0.0]))
    positions = np.array([limiter.apply(np.array([target, 0.0]))[0][0] for _ in range(60)])
    assert positions[-1] == pytest.approx(target, abs=1e-6)
    low, high = sorted((start, target))
    assert (positions >= low - TOLERANCE).all()
    assert (positions <= high + TOLERANCE).all()
