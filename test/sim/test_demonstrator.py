import itertools

import numpy as np
import pytest

from mode_ros.errors import UserError
from mode_ros.sim.demonstrator import Disturbance, Noise

LIMITS = np.array([0.04, 0.02, 0.01, 1.0])


def drawn(noise, seed, periods=400):
    disturbance = Disturbance(noise, LIMITS, np.random.default_rng(seed))
    return np.array([disturbance.next() for _ in range(periods)])


def test_a_seed_gives_the_same_disturbances_again():
    assert (drawn(Noise(), 3) == drawn(Noise(), 3)).all()
    assert (drawn(Noise(), 3) != drawn(Noise(), 4)).any()


def test_the_gripper_is_left_alone_and_nothing_is_added_at_level_zero():
    assert (drawn(Noise(), 1)[:, -1] == 0).all()
    assert (drawn(Noise().scaled(0.0), 1) == 0).all()


def test_jitter_is_a_share_of_the_limits():
    shares = drawn(Noise(jitter=0.1, push_chance=0.0), 1, periods=4000)[:, :3] / LIMITS[:3]
    assert shares.std(axis=0) == pytest.approx(0.1, rel=0.1)
    assert np.abs(shares.mean(axis=0)).max() < 0.01


def test_a_push_lasts_and_keeps_its_direction():
    noise = Noise(jitter=0.0, push_chance=0.1, push_size=0.6, push_periods=(2, 6))
    shares = drawn(noise, 1, periods=2000)[:, :3] / LIMITS[:3]
    pushed = np.linalg.norm(shares, axis=1)
    assert set(np.round(pushed, 9)) == {0.0, 0.6}

    # One after the other without a pause are two: told apart by direction.
    lengths, periods = [], 0
    for before, now in itertools.pairwise(shares):
        periods += bool(now.any())
        if before.any() and not np.array_equal(before, now):
            lengths.append(periods - bool(now.any()))
            periods = int(now.any())
    assert set(lengths) <= set(range(2, 7))
    assert len(set(lengths)) > 2
    # 0.1 begins per free period, 4 periods each: 0.286 of all periods.
    assert (pushed > 0).mean() == pytest.approx(0.286, abs=0.05)


def test_level_scales_sizes_and_leaves_the_rest():
    assert (drawn(Noise().scaled(2.0), 5) == 2 * drawn(Noise(), 5)).all()


@pytest.mark.parametrize('level', [-0.1, 11.0, float('nan')])
def test_an_unusable_level_is_refused(level):
    with pytest.raises(UserError, match='noise level'):
        Noise().scaled(level)
