"""The rule by which an expert takes over and lets go: time and places in, a decision out."""

import numpy as np
import pytest

from mode_ros.attempts.supervision import NANOSECONDS, Supervision, Supervisor, distance

PERIOD = NANOSECONDS // 20
RULE = Supervision()


def drive(supervisor, now, seconds, speed=0.2, away=0.1, hand=0.0):
    """The policy drives along x, until it is taken over or the time is over; returns the time and where the hand is."""
    for _ in range(round(seconds * 20)):
        if supervisor.driving:
            break
        now, hand = now + PERIOD, hand + speed / 20
        supervisor.policy_drove(now, np.array([hand, 0, 0]), away)
    return now, hand


def rescue(supervisor, now, hand, speed=0.2):
    began = now
    while supervisor.driving:
        now, hand = now + PERIOD, hand + speed / 20
        supervisor.expert_drove(now, np.array([hand, 0, 0]))
        assert now - began < 100 * NANOSECONDS, 'it never lets go'
    return now, hand


def test_a_policy_on_its_way_is_left_alone():
    supervisor = Supervisor(RULE, 0)
    drive(supervisor, 0, RULE.patience - 0.1)
    assert not supervisor.takeovers


@pytest.mark.parametrize(
    ('more', 'reason', 'seconds'),
    [
        ({'away': 1.2}, 'far from the expert', RULE.far_seconds),
        ({'speed': 0.0}, 'stands still', RULE.still_seconds),
        ({'speed': 0.0, 'away': None}, 'stands still', RULE.still_seconds),
        ({}, 'takes too long', RULE.patience),
    ],
)
def test_one_that_strays_is_taken_over(more, reason, seconds):
    supervisor = Supervisor(RULE, 0)
    drive(supervisor, 0, 20, **more)
    ((when, why),) = supervisor.takeovers
    assert why == reason
    assert when / NANOSECONDS == pytest.approx(seconds, abs=0.051)


def test_what_is_long_past_is_forgotten():
    supervisor = Supervisor(RULE, 0)
    now, hand = drive(supervisor, 0, 2)
    drive(supervisor, now, 1.5, speed=0.0, hand=hand)
    ((when, why),) = supervisor.takeovers
    assert why == 'stands still', 'though it moved before'
    assert when / NANOSECONDS == pytest.approx(2 + RULE.still_seconds, abs=0.051)
    supervisor = Supervisor(RULE, 0)
    now, hand = drive(supervisor, 0, 3)
    drive(supervisor, now, 0.6, away=3.0, hand=hand)
    ((_, why),) = supervisor.takeovers
    assert why == 'far from the expert', 'though it was near before'


def test_a_moment_far_away_is_not_enough():
    supervisor = Supervisor(RULE, 0)
    now, hand = drive(supervisor, 0, 1)
    now, hand = drive(supervisor, now, 0.15, away=2.0, hand=hand)
    drive(supervisor, now, 1, hand=hand)
    assert not supervisor.takeovers


def test_the_expert_lets_go_and_stays_longer_each_time():
    supervisor = Supervisor(RULE, 0)
    now = hand = 0.0
    stayed = []
    for _ in range(3):
        began, hand = drive(supervisor, int(now), 20, away=3.0, hand=hand)
        now, hand = rescue(supervisor, began, hand)
        stayed.append((now - began) / NANOSECONDS)
    assert stayed == pytest.approx([1, 2, 4], abs=0.051)
    assert len(supervisor.takeovers) == 3


def test_not_before_the_hand_has_moved():
    supervisor = Supervisor(RULE, 0)
    began, hand = drive(supervisor, 0, 20, speed=0.0)
    now, _ = rescue(supervisor, began, hand, speed=0.01)
    assert (now - began) / NANOSECONDS == pytest.approx(RULE.moved / 0.01, abs=0.051)


def test_what_was_before_a_rescue_does_not_count_after_it():
    supervisor = Supervisor(RULE, 0)
    now, hand = drive(supervisor, 0, 20, away=3.0)
    now, hand = rescue(supervisor, now, hand)
    drive(supervisor, now, RULE.patience - 0.1, hand=hand)
    assert len(supervisor.takeovers) == 1


def test_distance():
    limits = np.array([0.04, 0.04, 0.04, 1.0])
    still, forward = np.zeros(4), np.array([0.04, 0, 0, 0])
    assert distance(forward, forward, limits) == 0
    assert distance(still, forward, limits) == pytest.approx(1)
    assert distance(-forward, forward, limits) == pytest.approx(2)
    assert distance(np.array([0, 0, 0, 1.0]), np.array([0, 0, 0, -1.0]), limits) == pytest.approx(2), 'the gripper, too'
