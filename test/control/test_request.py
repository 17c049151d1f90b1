"""Which known actions a chunk begins with, and which of its own is the first that counts."""

import numpy as np
import pytest

from mode_ros.control.request import ChunkRequest, answered_by, check_request, prefix_of
from mode_ros.errors import UserError

PERIOD = 50
NOW = 10_000


def request(past=4, reserved=3, planned=2, delay=0):
    """Actions that say at which period, counted from the asking tick, they are issued."""
    periods = np.arange(-past, reserved + planned)
    times = tuple(int(period) * PERIOD for period in periods)
    return ChunkRequest('a-1', NOW, None, reserved, times, periods[:, None].astype(float), PERIOD, delay)


@pytest.mark.parametrize(
    ('stamp', 'first', 'committed'),
    [
        (NOW, 0, 3),  # the action issued at the very stamp cannot be seen in it
        (NOW - 1, 0, 3),
        (NOW - PERIOD, -1, 4),
        (NOW - PERIOD + 1, 0, 3),
        (NOW - 4 * PERIOD, -4, 7),
        (NOW + 1, 1, 2),
        (NOW + 3 * PERIOD, 3, 0),
    ],
)
def test_a_chunk_begins_with_what_its_observation_cannot_show(stamp, first, committed):
    plan = prefix_of(request(), stamp)
    assert plan.actions[:, 0].tolist() == list(range(first, 5))
    assert plan.committed == committed
    # The first action that the chunk decides is that of the period after the reserved ones, whatever was observed.
    assert first + plan.committed == 3


def test_a_command_that_moves_late_is_seen_late():
    plan = prefix_of(request(delay=2 * PERIOD), NOW)
    assert plan.actions[0, 0] == -2
    assert plan.committed == 5


def test_a_robot_that_stands_still_has_no_plan():
    plan = prefix_of(ChunkRequest('a-1', NOW, not_before=NOW, period=PERIOD), NOW)
    assert len(plan.actions) == plan.committed == 0


def test_only_a_robot_that_stands_waits_for_the_chunk_of_its_last_request():
    standing, again = ChunkRequest('a-1', NOW, NOW), ChunkRequest('a-2', NOW + 9, NOW + 9)
    moving = ChunkRequest('a-3', NOW + 20)
    assert answered_by(standing, again)
    assert answered_by(moving, moving)
    assert not answered_by(moving, again)
    assert not answered_by(standing, moving)


def test_a_request_that_no_chunk_can_answer_is_refused():
    check_request(request(), 1)
    for wrong, words in (
        (ChunkRequest('', NOW), 'no identity'),
        (ChunkRequest('a', NOW, reserved=-1), 'reserves -1'),
        (ChunkRequest('a', NOW, times=(0,), actions=np.zeros((1, 1))), '0 ns'),
        (ChunkRequest('a', NOW, times=(0,), actions=np.zeros((2, 1)), period=1), 'shape'),
        (ChunkRequest('a', NOW, times=(5, 5), actions=np.zeros((2, 1)), period=1), 'rise'),
        (ChunkRequest('a', NOW, times=(0,), actions=np.array([[np.inf]]), period=1), 'not a number'),
    ):
        with pytest.raises(UserError, match=words):
            check_request(wrong, 1)
