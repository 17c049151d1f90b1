"""Seeds of a training and its episodes: intervals that hold what both change, and p-values that are told how many."""

from itertools import product
from statistics import NormalDist

import numpy as np
import pytest

from mode_ros.evaluation.seeds import difference, holm, rate_interval
from mode_ros.evaluation.statistics import paired_difference_interval

PAIRS = list(product((0, 1), repeat=2))


def trainings(generator, rate, seeds=5, episodes=60, seed_spread=0.06, state_spread=0.25, states=None):
    """Outcomes of policies, each as good as its seed makes it, on states, each as hard as it is."""
    states = generator.normal(0, state_spread, episodes) if states is None else states
    own = rate + generator.normal(0, seed_spread, (seeds, 1)) + states
    return generator.random((seeds, episodes)) < own.clip(0, 1), states


def test_the_rate_and_the_difference_are_plain_means():
    first, second = np.eye(3, 8), np.ones((3, 8))
    found = difference(first, second)
    assert found.rate == pytest.approx(1 - 3 / 24)
    assert found.low <= found.rate <= found.high
    assert rate_interval(second) == (1, 1)
    assert difference(second, first).rate == -found.rate
    assert difference(first, first) == (0, 0, 0, 1)


def test_what_seeds_change_is_in_the_interval():
    """Two variants of which one seed of one was lucky: episodes alone would call it sure."""
    first = np.tile(np.arange(100) < 60, (5, 1))
    second = first.copy()
    second[0] = True
    low, high = paired_difference_interval(first.flatten().tolist(), second.flatten().tolist())
    assert low > 0
    found = difference(first, second)
    assert found.rate == pytest.approx(0.08)
    assert found.low <= 0 < high < found.high
    assert found.p > 0.05
    every = second.copy()
    every[:, 60:75] = True
    assert difference(first, every).p < 0.01


def test_intervals_hold_the_truth_at_least_nine_times_in_ten():
    generator = np.random.default_rng(0)
    hits = wrong = 0
    rounds = 200
    for turn in range(rounds):
        first, states = trainings(generator, 0.5)
        second, _ = trainings(generator, 0.5, states=states)
        found = difference(first, second, turn, draws=800)
        hits += found.low <= 0 <= found.high
        low, high = paired_difference_interval(first.flatten().tolist(), second.flatten().tolist())
        wrong += not low <= 0 <= high
    assert hits / rounds > 0.9
    assert wrong / rounds > 0.12, 'episodes alone are wrong more than twice as often as they say'


def test_a_small_table_by_hand():
    """Of the 16 ways to draw two rows and two columns, nine have a mean of 0 or less, and ten of 0 or more."""
    before, after = np.array([[0, 1], [1, 1]]), np.array([[1, 0], [1, 1]])
    draws = [(after - before)[np.ix_(rows, columns)].mean() for rows in PAIRS for columns in PAIRS]
    expected = 2 * min(np.mean(np.array(draws) <= 0), np.mean(np.array(draws) >= 0))
    assert difference(before, after).p == pytest.approx(min(expected, 1), abs=0.02)
    after = np.array([[1, 1], [1, 1]])
    draws = [(after - before)[np.ix_(rows, columns)].mean() for rows in PAIRS for columns in PAIRS]
    expected = 2 * np.mean(np.array(draws) <= 0)
    assert 0.5 < expected < 0.95
    assert difference(before, after).p == pytest.approx(expected, abs=0.02)


def test_one_seed_and_many_episodes_are_the_normal_interval_of_a_mean():
    n = 800
    apart = np.concatenate([np.ones(40), -np.ones(10), np.zeros(n - 50)])
    before, after = (apart < 0)[None], (apart > 0)[None]
    found = difference(before, after)
    error = apart.std() / np.sqrt(n)
    assert (found.high - found.low) / (2 * error) == pytest.approx(1.96, abs=0.1)
    apart = np.concatenate([np.ones(28), -np.ones(14), np.zeros(n - 42)])
    before, after = (apart < 0)[None], (apart > 0)[None]
    z = apart.mean() / (apart.std() / np.sqrt(n))
    two_sided = 2 * (1 - NormalDist().cdf(z))
    assert 0.02 < two_sided < 0.06
    assert difference(before, after).p == pytest.approx(two_sided, rel=0.3)


def test_holm_by_hand():
    found = holm({'a': 0.01, 'b': 0.04, 'c': 0.03, 'd': 0.005})
    assert list(found) == ['a', 'b', 'c', 'd']
    assert found == pytest.approx({'d': 0.02, 'a': 0.03, 'c': 0.06, 'b': 0.06})
    assert holm({'a': 0.6, 'b': 0.7}) == {'a': 1.0, 'b': 1.0}
    assert holm({}) == {}


@pytest.mark.parametrize('outcomes', [[], [[]], [True, False]])
def test_no_outcomes_have_no_interval(outcomes):
    with pytest.raises(ValueError, match='outcomes are'):
        rate_interval(outcomes)


def test_what_is_no_pair_is_refused():
    with pytest.raises(ValueError, match='no pairs'):
        difference(np.ones((2, 4)), np.ones((3, 4)))
