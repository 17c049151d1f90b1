"""Back to the path of a chunk, from where what was decided leads: exactly begun, within bounds, and arrived."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mode_ros.policy.rejoin import rejoin

LOWER, UPPER = np.array([-0.04, -1.0]), np.array([0.04, 1.0])
DISPLACEMENT = np.array([True, False])


def chunk_of(seed, length=10):
    random = np.random.default_rng(seed)
    return random.uniform(LOWER, UPPER, (length, 2)) / 2


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 999), st.integers(0, 12), st.floats(0.05, 1.0))
def test_it_begins_with_what_is_decided_and_keeps_the_bounds(seed, count, share):
    chunk, decided = chunk_of(seed), chunk_of(seed + 1, count)
    joined = rejoin(chunk, decided, DISPLACEMENT, LOWER, UPPER, share)
    within = min(count, len(chunk))
    assert (joined[:within] == decided[:within]).all()
    assert (joined[:, 0] >= LOWER[0]).all()
    assert (joined[:, 0] <= UPPER[0]).all()
    if not count:
        assert (joined == chunk).all()


def test_the_distance_to_the_path_falls_by_its_share():
    chunk = np.tile([[0.01, 0.3]], (10, 1))
    decided = np.array([[0.0, 0.1], [0.0, 0.2]])  # 0.02 behind, and 0.1 below the path
    joined = rejoin(chunk, decided, DISPLACEMENT, LOWER, UPPER, 0.5)
    behind = np.cumsum(chunk[:, 0]) - np.cumsum(joined[:, 0])
    assert behind[1:5] == pytest.approx([0.02, 0.01, 0.005, 0.0025])
    assert 0.3 - joined[1:5, 1] == pytest.approx([0.1, 0.05, 0.025, 0.0125])


def test_a_bound_makes_the_return_slower_and_not_less():
    chunk = np.tile([[0.035, 0.0]], (20, 1))
    joined = rejoin(chunk, np.array([[-0.04, 0.0]]), DISPLACEMENT, LOWER, UPPER, 0.5)
    assert joined[1:5, 0] == pytest.approx([0.04] * 4)
    assert joined[:, 0].sum() == pytest.approx(chunk[:, 0].sum(), abs=1e-3)


def test_what_is_planned_beyond_the_bounds_is_not_cut():
    chunk = np.array([[0.0, 0.0], [0.06, 0.0]])
    assert rejoin(chunk, np.array([[0.0, 0.0]]), DISPLACEMENT, LOWER, UPPER)[1, 0] == 0.06
