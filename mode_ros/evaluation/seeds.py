"""Variants of a training against each other: what other seeds and other initial states would change, and how many were
compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mode_ros.evaluation.statistics import Interval

# Draws of a bootstrap: the third digit of a p-value of 0.05 is then chance, the second is not.
DRAWS = 20_000

Outcomes = ArrayLike
"""[seeds, episodes], whether an episode succeeded; column by column the same initial state."""


class Difference(NamedTuple):
    """A rate minus another, with its 95 % interval."""

    rate: float
    low: float
    high: float
    p: float
    """Two-sided, for there being none; not corrected for other comparisons."""


def rate_interval(outcomes: Outcomes, seed: int = 0, draws: int = DRAWS) -> Interval:
    """95 % interval of a rate, for other seeds of the training and other initial states.

    A bootstrap over both: trainings are drawn with replacement, and so are initial states, which all trainings met
    (Owen, Annals of Applied Statistics 1, 2007: its intervals are a little too wide rather than too narrow; five
    trainings or more, fewer are too few to draw from). Raises ValueError without outcomes.
    """
    return _ends(_drawn(_table(outcomes), seed, draws))


def difference(first: Outcomes, second: Outcomes, seed: int = 0, draws: int = DRAWS) -> Difference:
    """rate(second) − rate(first), row by row trainings of the same seed; intervals as rate_interval's.

    Raises ValueError for tables of different shapes.
    """
    before, after = _table(first), _table(second)
    if before.shape != after.shape:
        raise ValueError(f'outcomes of shape {before.shape} and {after.shape} are no pairs')
    apart = after - before
    drawn = _drawn(apart, seed, draws)
    # One draw more on either side, so that no p-value is 0.
    tail = min(np.count_nonzero(drawn <= 0), np.count_nonzero(drawn >= 0))
    p = min(2 * (tail + 1) / (len(drawn) + 1), 1.0)
    return Difference(float(apart.mean()), *_ends(drawn), p)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p-values corrected for how many there are (S. Holm, 1979), by the same names: each at most 1.

    Those below 0.05 are all true with 95 % confidence, however the comparisons depend on each other.
    """
    corrected: dict[str, float] = {}
    least = 0.0
    for place, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        least = max(least, min((len(p_values) - place) * p_values[name], 1.0))
        corrected[name] = least
    return {name: corrected[name] for name in p_values}


def _table(outcomes: Outcomes) -> NDArray[np.float64]:
    table = np.asarray(outcomes, np.float64)
    if table.ndim != 2 or not table.size:
        raise ValueError(f'outcomes are [seeds, episodes], and not of shape {table.shape}')
    return table


def _drawn(table: NDArray[np.float64], seed: int, draws: int) -> NDArray[np.float64]:
    """[draws] means of the table with rows and columns drawn anew, with replacement."""
    generator = np.random.default_rng(seed)
    rows, columns = (generator.multinomial(size, [1 / size] * size, draws) / size for size in table.shape)
    return np.einsum('ij,ij->i', rows @ table, columns)


def _ends(drawn: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)
