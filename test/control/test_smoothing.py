"""No command exceeds a limit, whatever is asked for and whenever it is stopped."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.contracts import ABSOLUTE_TEXT, DELTA_TEXT, absolute_contract

from mode_ros.control import smoothing
from mode_ros.control.contract import parse_contract
from mode_ros.control.motion import DirectMotion, SmoothMotion, make_motion

ROUNDING = 1e-6  # of a limit


def smooth_contract(text, commands=5, rate=None, jerk=True, lower=-2.0, upper=2.0):
    text = text.replace('max_step_change: 0.03', f'max_step_change: 0.03{", max_jerk: 60.0" if jerk else ""}')
    text = text.replace(
        'max_step_change: 0.01', f'max_step: 0.03, max_step_change: 0.01{", max_jerk: 200.0" if jerk else ""}'
    )
    text = text.replace(
        'name: a, unit: rad, lower: -2.0, upper: 2.0', f'name: a, unit: rad, lower: {lower}, upper: {upper}'
    )
    rate = rate or (10.0 if 'jointed' in text else 20.0)
    text = text.replace(f'rate: {rate}', f'rate: {rate}\ncontrol_rate: {rate * commands}')
    return parse_contract(text, 'smooth.yaml')


def excess(contract, samples):
    """The largest share by which a limit is exceeded, over all dimensions; differences of samples against limits."""
    worst = 0.0
    values = np.array([sample.values for sample in samples])
    dt = contract.command_seconds
    for i, (dimension, delta) in enumerate(zip(contract.dimensions, contract.delta_mask, strict=True)):
        line = values[:, i]
        # From rest to rest, so that the first and the last motions count, too.
        speed = np.concatenate([[0.0] * 3, (line if delta else np.diff(line)) / dt])
        if delta:
            worst = max(worst, *(speed * contract.period_seconds / dimension.upper - 1))
            worst = max(worst, *(speed * contract.period_seconds / dimension.lower - 1))
        else:
            worst = max(worst, *(line - dimension.upper), *(dimension.lower - line))
        rate = contract.rate
        for limit, order, scale in (
            (dimension.max_step, 0, rate),
            (dimension.max_step_change, 1, rate**2),
            (dimension.max_jerk, 2, 1.0),
        ):
            if limit is not None:
                found = np.abs(np.diff(speed, n=order)) / dt**order
                worst = max(worst, float(found.max()) / (limit * scale) - 1)
    return worst


def drive(contract, motion, script):
    """Samples of a motion: each entry of the script is an action and the next one, or None for a hold."""
    samples = []
    for entry in script:
        if entry is None:
            motion.hold()
        else:
            motion.aim(np.array(entry[0]), np.array(entry[1]))
        samples += [motion.advance() for _ in range(contract.commands_per_action)]
    for _ in range(60):
        motion.hold()
        samples += [motion.advance() for _ in range(contract.commands_per_action)]
        if not motion.moving:
            return samples
    raise AssertionError('it does not come to rest')


def scripts(lower, upper, dimensions):
    action = st.lists(st.floats(1.2 * lower, 1.2 * upper), min_size=dimensions, max_size=dimensions)
    return st.lists(st.one_of(st.none(), st.tuples(action, action)), min_size=1, max_size=25)


@settings(max_examples=150, deadline=None)
@given(script=scripts(-2.0, 2.0, 2), commands=st.sampled_from([1, 2, 5]), jerk=st.booleans())
def test_targets_exceed_nothing(script, commands, jerk):
    contract = smooth_contract(ABSOLUTE_TEXT, commands, jerk=jerk)
    motion = SmoothMotion(contract)
    motion.start_from(np.zeros(2))
    assert excess(contract, [motion.advance(), *drive(contract, motion, script)]) <= ROUNDING


@settings(max_examples=100, deadline=None)
@given(script=scripts(-0.3, 0.3, 2), jerk=st.booleans())
def test_narrow_bounds_are_never_passed_stopping_included(script, jerk):
    contract = smooth_contract(ABSOLUTE_TEXT, 5, jerk=jerk, lower=-0.3, upper=0.3)
    motion = SmoothMotion(contract)
    motion.start_from(np.zeros(2))
    assert excess(contract, [motion.advance(), *drive(contract, motion, script)]) <= ROUNDING


@settings(max_examples=100, deadline=None)
@given(script=scripts(-0.04, 0.04, 4), commands=st.sampled_from([1, 2, 5]), jerk=st.booleans())
def test_displacements_exceed_nothing(script, commands, jerk):
    contract = smooth_contract(DELTA_TEXT, commands, jerk=jerk)
    motion = SmoothMotion(contract)
    motion.start_from(np.zeros(4))
    assert excess(contract, drive(contract, motion, script)) <= ROUNDING


@settings(max_examples=100, deadline=None)
@given(script=scripts(-2.0, 2.0, 2))
def test_one_command_per_action_exceeds_nothing(script):
    contract = absolute_contract()
    motion = make_motion(contract)
    assert isinstance(motion, DirectMotion)
    motion.start_from(np.zeros(2))
    assert excess(contract, [motion.advance(), *drive(contract, motion, script)]) <= ROUNDING


def test_waypoints_are_met_when_their_period_ends_and_the_speed_does_not_drop_there():
    contract = smooth_contract(ABSOLUTE_TEXT, 5)
    motion = make_motion(contract)
    motion.start_from(np.zeros(2))
    line = [[0.02 * i, 0.02 * i] for i in range(1, 30)]
    samples = []
    for action, following in pairwise(line):
        motion.aim(np.array(action), np.array(following))
        samples += [motion.advance() for _ in range(5)]
    values = np.array([sample.values for sample in samples])
    assert values[4::5][5:] == pytest.approx(np.array(line[5:-1]), abs=1e-6)
    velocities = np.array([sample.velocities for sample in samples])[30:]
    assert velocities == pytest.approx(0.2, rel=0.02), 'the same line at the same speed all the way'


@pytest.mark.parametrize(('start', 'target'), [(-0.01500000000000002, 0.0), (-0.04500000000000001, -0.03)])
def test_distances_at_which_a_profile_has_its_corner_are_travelled_too(start, target):
    contract = smooth_contract(ABSOLUTE_TEXT, 1)
    motion = make_motion(contract)
    motion.start_from(np.array([start, 0.0]))
    for _ in range(4):
        motion.aim(np.array([target, 0.0]))
        sample = motion.advance()
    assert sample.values[0] == pytest.approx(target, abs=1e-9)


def test_a_slow_start_does_not_back_off_to_take_a_run():
    contract = smooth_contract(ABSOLUTE_TEXT, 5)
    motion = make_motion(contract)
    motion.start_from(np.zeros(2))
    motion.aim(np.array([0.1, 0.1]), np.array([0.2, 0.2]))
    samples = [motion.advance() for _ in range(5)]
    assert min(sample.values[0] for sample in samples) >= 0.0
    assert min(sample.velocities[0] for sample in samples) >= 0.0


def test_a_robot_beyond_a_bound_is_not_pulled_back_by_a_person():
    contract = smooth_contract(ABSOLUTE_TEXT, 5, lower=-0.3, upper=0.3)
    motion = make_motion(contract)
    motion.start_from(np.array([0.5, 0.0]))
    motion.aim(np.array([0.6, 0.0]), pull_in=False)
    assert max(motion.advance().values[0] for _ in range(5)) == 0.5
    motion.aim(np.array([0.4, 0.0]), pull_in=False)
    assert [motion.advance().values[0] for _ in range(5)][-1] < 0.5


def test_what_nobody_knows_is_not_commanded():
    contract = smooth_contract(DELTA_TEXT)
    motion = make_motion(contract)
    motion.start_from(np.nan)
    motion.hold()
    assert np.isnan(motion.advance().values[3])
    motion.aim(np.array([0.0, 0.0, 0.0, 0.7]))
    assert motion.advance().values[3] == 0.7


def test_a_stop_taken_up_again_goes_on_from_where_it_is_where_ruckig_finds_nothing(monkeypatch):
    contract = smooth_contract(ABSOLUTE_TEXT)
    motion = SmoothMotion(contract)
    motion.start_from(np.zeros(2))
    samples = [motion.advance(), *drive_on(motion, [np.array([0.1 * k, 0.0]) for k in range(1, 9)])]
    motion.hold()
    samples += [motion.advance() for _ in range(4)]
    motion.aim(np.array([0.7, 0.0]))
    monkeypatch.setattr(smoothing, '_path', lambda otg, given: None)
    samples += [motion.advance() for _ in range(40)]
    assert not motion.moving
    assert excess(contract, samples) <= ROUNDING


def test_displacements_stop_where_ruckig_finds_nothing_with_limited_jerk(monkeypatch):
    contract = smooth_contract(DELTA_TEXT)
    motion = SmoothMotion(contract)
    motion.start_from(np.zeros(4))
    drive_on(motion, [np.array([0.0, 0.02, 0.0, 0.0])] * 10)
    assert motion.moving
    found = smoothing._path
    monkeypatch.setattr(
        smoothing, '_path', lambda otg, given: None if np.isfinite(given.max_jerk).all() else found(otg, given)
    )
    motion.hold()
    speeds = [motion.advance().velocities[1] for _ in range(20)]
    assert speeds[-1] == 0.0
    largest = contract.dimensions[1].max_step_change * contract.rate**2
    assert np.abs(np.diff(speeds)).max() <= largest * contract.command_seconds * (1 + ROUNDING)


def drive_on(motion, actions):
    samples = []
    for action, following in pairwise([*actions, actions[-1]]):
        motion.aim(action, following)
        samples += [motion.advance() for _ in range(5)]
    return samples
