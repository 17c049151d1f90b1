"""Intervals against published numbers, and against what they promise."""

import numpy as np
import pytest

from mode_ros.evaluation.statistics import (
    difference_interval,
    mean_interval,
    paired_difference_interval,
    wilson_interval,
)


@pytest.mark.parametrize(
    ('successes', 'trials', 'expected'),
    [
        # Newcombe, Statistics in Medicine 17 (1998), p. 857, table I, method 3.
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
    ],
)
def test_wilson_as_published(successes, trials, expected):
    assert wilson_interval(successes, trials) == pytest.approx(expected, abs=5e-5)


def test_wilson_is_symmetric_and_stays_within_bounds():
    for successes in range(8):
        low, high = wilson_interval(successes, 7)
        assert 0 <= low <= successes / 7 <= high <= 1
        assert wilson_interval(7 - successes, 7) == pytest.approx((1 - high, 1 - low))
    with pytest.raises(ValueError, match='trials'):
        wilson_interval(0, 0)


def test_difference_of_independent_rates_as_published():
    # Newcombe, Statistics in Medicine 17 (1998), p. 873, table II, method 10: 56/70 and 48/80.
    assert difference_interval((48, 80), (56, 70)) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert difference_interval((56, 70), (48, 80)) == pytest.approx((-0.3339, -0.0524), abs=5e-5)


def outcomes(both, only_first, only_second, neither):
    first = [True] * (both + only_first) + [False] * (only_second + neither)
    second = [True] * both + [False] * only_first + [True] * only_second + [False] * neither
    return first, second


def test_a_paired_interval_without_correlation_is_the_independent_one():
    first, second = outcomes(9, 9, 9, 9)
    assert paired_difference_interval(first, second) == pytest.approx(difference_interval((18, 36), (18, 36)))


def test_pairs_that_agree_tell_more():
    low, high = paired_difference_interval(*outcomes(40, 4, 6, 50))
    wide_low, wide_high = difference_interval((44, 100), (46, 100))
    assert wide_low < low < 0.02 < high < wide_high
    assert high - low < 0.6 * (wide_high - wide_low)
    mirrored = paired_difference_interval(*outcomes(40, 6, 4, 50))
    assert mirrored == pytest.approx((-high, -low))


@pytest.mark.parametrize('both', [0, 12])
def test_pairs_of_which_none_differ_have_an_interval_around_zero(both):
    low, high = paired_difference_interval(*outcomes(both, 0, 0, 12))
    assert low == pytest.approx(-high)
    assert 0 < high < 0.35


def test_paired_intervals_hold_the_truth_nineteen_times_in_twenty():
    generator = np.random.default_rng(0)
    cells, count, rounds = [0.45, 0.10, 0.20, 0.25], 60, 1500
    hits = 0
    for _ in range(rounds):
        low, high = paired_difference_interval(*outcomes(*generator.multinomial(count, cells)))
        hits += low <= cells[2] - cells[1] <= high
    assert 0.93 < hits / rounds < 0.985


def test_the_mean_of_many():
    low, high = mean_interval([0.0, 5.0] * 200)
    assert (low + high) / 2 == pytest.approx(2.5)
    assert high - low == pytest.approx(2 * 1.96 * 2.5 / np.sqrt(400), rel=1e-2)
