"""What is read from a list of commands: when the arm stops, and which limit is exceeded."""

import numpy as np
import pytest

from mode_ros.bench_safety.contracts import JOINTS, TWIST, bench_contract
from mode_ros.bench_safety.measure import Commands, Limits, excesses, is_moving, stop_after, worst

PERIOD = 0.05


def limits(robot=JOINTS):
    return Limits.of(bench_contract(robot).action[0], PERIOD)


def commands(first, times=None, measured=None):
    """Commands whose first dimension is `first`, once per period."""
    values = np.zeros((len(first), 3))
    values[:, 0] = first
    times = PERIOD * np.arange(len(first)) if times is None else np.asarray(times, float)
    return Commands(times, values, values if measured is None else measured)


def ramp(*steps):
    return commands(np.cumsum(steps))


def test_the_first_slower_command_and_the_rest_after_a_fault():
    stop = stop_after(ramp(0.03, 0.03, 0.03, 0.03, 0.02, 0.01, 0.0, 0.0), limits(), fault=2.5 * PERIOD)
    assert stop.first == pytest.approx(1.5 * PERIOD)
    assert stop.rest == pytest.approx(3.5 * PERIOD)


def test_a_pause_before_the_last_motion_is_no_rest():
    stop = stop_after(ramp(0.03, 0.03, 0.0, 0.0, 0.02, 0.02, 0.01, 0.0), limits(), fault=0.5 * PERIOD)
    assert stop.rest == pytest.approx(6.5 * PERIOD)
    assert stop.first == pytest.approx(5.5 * PERIOD)


def test_a_last_command_that_moves_is_no_rest():
    assert stop_after(ramp(0.03, 0.03, 0.02), limits(), fault=0.5 * PERIOD).rest is None
    assert stop_after(ramp(0.03, 0.03), limits(), fault=5 * PERIOD).rest is None, 'nothing came at all'
    velocities = commands([0.01, 0.01, 0.005])
    assert stop_after(velocities, limits(TWIST), fault=0.5 * PERIOD).rest is None


def test_an_arm_that_was_at_rest_before_the_fault_counted_rests_from_then_on():
    assert stop_after(ramp(0.03, 0.03, 0.01, 0.0), limits(), fault=5 * PERIOD).rest == 0.0


def test_braking_in_ever_smaller_steps_is_one_stop():
    stop = stop_after(ramp(0.03, 0.03, 0.03, 0.0299, 0.01, 0.001, 0.0001, 0.0), limits(), fault=0.5 * PERIOD)
    assert stop.rest == pytest.approx(6.5 * PERIOD)
    assert stop.first == pytest.approx(3.5 * PERIOD), 'a change below one hundredth is noise'


def test_kept_limits_are_no_excess():
    found = excesses(ramp(0.0, 0.02, 0.04, 0.05, 0.05, 0.03, 0.01, 0.0), limits())
    assert set(found.values()) == {0.0}


@pytest.mark.parametrize(
    ('steps', 'limit', 'share'),
    [
        ((0.0, 0.02, 0.04, 0.06, 0.05), 'step', 0.2),
        ((0.0, 0.02, 0.04, 0.01, 0.0), 'step change', 0.5),
        ((0.0, 0.05, 2.0, 0.05, 0.0), 'bounds', 0.025),
    ],
)
def test_what_is_exceeded_is_told_by_name_and_share(steps, limit, share):
    assert excesses(ramp(*steps), limits())[limit] == pytest.approx(share, abs=1e-6)


def test_displacements_are_steps_themselves():
    found = excesses(commands([0.0, 0.005, 0.01, 0.018, 0.022]), limits(TWIST))
    assert found['step'] == pytest.approx(0.1)
    assert found['step change'] == pytest.approx(0.6)


def test_velocity_acceleration_and_jerk_where_the_contract_limits_them():
    plain = limits()
    wide = np.full(3, np.inf)
    limited = Limits(
        True, PERIOD, plain.lower, plain.upper, wide, wide, np.full(3, 0.5), np.full(3, 4.0), np.full(3, 400.0)
    )
    found = excesses(ramp(0.0, 0.01, 0.03, 0.03, 0.02), limited)
    assert found['velocity'] == pytest.approx(0.6 / 0.5 - 1)
    assert found['acceleration'] == pytest.approx(0.02 / PERIOD**2 / 4.0 - 1)
    assert found['jerk'] == pytest.approx(0.02 / PERIOD**3 / 400.0 - 1, rel=1e-6) if 0.02 / PERIOD**3 > 400 else True


def test_a_motion_after_a_silence_begins_at_the_arm_or_at_the_last_command():
    values = np.zeros((6, 3))
    values[:, 0] = [0.0, 0.0, 0.0, 0.5, 0.5, 0.5]
    times = PERIOD * np.array([0, 1, 2, 10, 11, 12])
    moved_by_hand = values.copy()
    assert excesses(Commands(times, values, moved_by_hand), limits())['step'] == 0.0
    stayed = np.zeros((6, 3))
    assert excesses(Commands(times, values, stayed), limits())['step'] == pytest.approx(9.0)


def test_moving_needs_commands_of_now():
    driven = ramp(*[0.03] * 10)
    assert is_moving(driven, limits(), now=9 * PERIOD, count=4, speed=0.027)
    assert not is_moving(driven, limits(), now=20 * PERIOD, count=4, speed=0.027)
    assert not is_moving(ramp(*[0.03] * 9, 0.0), limits(), now=9 * PERIOD, count=4, speed=0.027)
    assert not is_moving(ramp(0.03, 0.03), limits(), now=PERIOD, count=4, speed=0.027)


def test_what_the_bench_hears_late_was_not_sent_late():
    driven = ramp(0.03, 0.03, 0.03, 0.03, 0.03, 0.03)
    behind = driven.values - [0.03, 0.0, 0.0]  # the arm has reached the target before
    with_gap = PERIOD * np.array([0.0, 1.0, 5.0, 6.0, 7.0, 8.0])
    late = Commands(with_gap, driven.values, behind, driven.times)
    assert excesses(late, limits())['step change'] == 0.0
    assert worst(late, limits(), 0.0) == ''
    paused = Commands(with_gap, driven.values, behind, with_gap)
    assert excesses(paused, limits())['step change'] == pytest.approx(0.5), 'a motion that begins at full speed'
    assert worst(paused, limits(), 0.0) == (
        'worst in dimension 0: 0.0300, then 0.0300 a period, 5.0 periods after the fault, sent 4.00 periods after the '
        'one before, heard 0 ms later'
    )


@pytest.mark.parametrize(('gap', 'excess'), [(2.9, 0.5), (3.2, 0.0), (4.0, 0.0)])
def test_a_rest_after_a_silence_is_none_before_it(gap, excess):
    stopped = commands([0.0, 0.02, 0.05, 0.08, 0.08, 0.08], PERIOD * np.array([0, 1, 2, 3, 3 + gap, 4 + gap]))
    assert excesses(stopped, limits())['step change'] == pytest.approx(excess)


def test_where_it_is_in_doubt_whether_the_arm_stood_going_on_is_no_jump_either():
    on = commands(np.cumsum([0.0, 0.02, 0.03, 0.03, 0.03, 0.03]), PERIOD * np.array([0, 1, 2, 3, 6.2, 7.2]))
    assert excesses(on, limits())['step change'] == 0.0
