"""Intervals for success rates: what can be said after so many episodes, and what cannot."""

from __future__ import annotations

import math
from collections.abc import Sequence

# Two-sided 95 %.
Z = 1.959963984540054

Interval = tuple[float, float]


def wilson_interval(successes: int, trials: int) -> Interval:
    """Wilson's score interval of a rate, 95 % (E. B. Wilson, 1927).

    It stays within 0 to 1 and is not empty where all or none succeed. Raises ValueError without trials.
    """
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f'{successes} successes in {trials} trials')
    rate = successes / trials
    centre = rate + Z * Z / (2 * trials)
    spread = Z * math.sqrt(rate * (1 - rate) / trials + Z * Z / (4 * trials * trials))
    scale = 1 + Z * Z / trials
    # Rounding must not put an end beyond 0 or 1, or on the wrong side of the rate.
    return max(min((centre - spread) / scale, rate), 0.0), min(max((centre + spread) / scale, rate), 1.0)


def difference_interval(first: tuple[int, int], second: tuple[int, int]) -> Interval:
    """95 % interval of rate(second) - rate(first), each (successes, trials), of independent episodes.

    R. G. Newcombe's hybrid of two score intervals (Statistics in Medicine 17, 1998, p. 873, method 10).
    """
    return _hybrid(first, second, correlation=0.0)


def paired_difference_interval(first: Sequence[bool], second: Sequence[bool]) -> Interval:
    """As `difference_interval`, of episodes that go together: first[i] and second[i] began in the same state.

    What makes an initial state hard makes it hard for both, so that pairs tell more than two independent lots
    (Newcombe, Statistics in Medicine 17, 1998, p. 2635, method 10, with his correction of the correlation).
    """
    trials = len(first)
    if trials != len(second) or not trials:
        raise ValueError(f'{trials} and {len(second)} episodes are no pairs')
    both = sum(a and b for a, b in zip(first, second, strict=True))
    only_first, only_second = sum(first) - both, sum(second) - both
    neither = trials - both - only_first - only_second
    margins = math.prod((both + only_first, only_second + neither, both + only_second, only_first + neither))
    excess = float(both * neither - only_first * only_second)
    if excess > 0:
        excess = max(excess - trials / 2, 0.0)
    correlation = excess / math.sqrt(margins) if margins else 0.0
    return _hybrid((sum(first), trials), (sum(second), trials), correlation)


def _hybrid(first: tuple[int, int], second: tuple[int, int], correlation: float) -> Interval:
    (low_1, high_1), (low_2, high_2) = wilson_interval(*first), wilson_interval(*second)
    rate_1, rate_2 = first[0] / first[1], second[0] / second[1]
    difference = rate_2 - rate_1
    below = _norm(rate_2 - low_2, high_1 - rate_1, correlation)
    above = _norm(high_2 - rate_2, rate_1 - low_1, correlation)
    return max(difference - below, -1.0), min(difference + above, 1.0)


def _norm(a: float, b: float, correlation: float) -> float:
    return math.sqrt(max(a * a - 2 * correlation * a * b + b * b, 0.0))


def mean_interval(values: Sequence[float]) -> Interval:
    """95 % interval of a mean by the normal approximation; for averages over hundreds of values."""
    count = len(values)
    mean = sum(values) / count
    spread = sum((value - mean) ** 2 for value in values) / max(count - 1, 1)
    half = Z * math.sqrt(spread / count)
    return mean - half, mean + half


def mean_of_rates_interval(counts: Sequence[tuple[int, int]]) -> Interval:
    """95 % interval of the mean of independent rates, each (successes, trials), however many trials each has.

    Each rate's score interval, put together by the squares of their halves (Zou and Donner, Statistics in Medicine 27,
    2008: the method of variance estimates recovery).
    """
    rates = [successes / trials for successes, trials in counts]
    ends = [wilson_interval(*each) for each in counts]
    mean = sum(rates) / len(rates)
    below = math.sqrt(sum((rate - low) ** 2 for rate, (low, _) in zip(rates, ends, strict=True))) / len(rates)
    above = math.sqrt(sum((high - rate) ** 2 for rate, (_, high) in zip(rates, ends, strict=True))) / len(rates)
    return max(mean - below, 0.0), min(mean + above, 1.0)
