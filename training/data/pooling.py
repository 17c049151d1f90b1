"""Statistics of several data sets as one, each frame weighted as it is sampled.

The result does not depend on the order of the data sets, to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mode_ros.checks.spread import action_floor, state_floor
from mode_ros.control.contract import Contract
from mode_ros.policy.normalization import Statistics, StreamStatistics
from mode_ros.training.data.dataset import Dataset

Floats = NDArray[np.float64]


def pool_statistics(
    datasets: Sequence[Dataset],
    weights: Sequence[float],
    contract: Contract | None,
    frames: Sequence[NDArray[np.int64]] | None = None,
) -> Statistics:
    """Of actions and states of data sets with the same streams; weights: each one's share of the samples.

    frames: which of each data set's frames are learnt from, None for all; contract: gives the smallest spread of each
    number, None for none. States that not all data sets have are left out.
    """
    chosen = frames or [np.arange(len(data)) for data in datasets]

    def pooled(parts: Sequence[NDArray[np.floating]]) -> StreamStatistics:
        return pool([part[at] for part, at in zip(parts, chosen, strict=True)], weights)

    actions = pooled([data.actions for data in datasets])
    states = {}
    for name, size in datasets[0].streams.items():
        if all(data.streams.get(name) == size for data in datasets):
            states[name] = pooled([data.state[:, data.columns(name)] for data in datasets])
    if contract is None:
        return Statistics(action=actions, state=states)
    known = {state.name: len(state.names) for state in contract.observation.states}
    return Statistics(
        action=actions.model_copy(update={'floor': action_floor(contract)}),
        state={
            name: found.model_copy(update={'floor': state_floor(contract, name)})
            if known.get(name) == found.dim
            else found
            for name, found in states.items()
        },
    )


def pool(parts: Sequence[NDArray[np.floating]], weights: Sequence[float]) -> StreamStatistics:
    """Statistics of parts [n, dim], of which part k is sampled in proportion to weights[k], its rows evenly."""
    if len(parts) == 1:
        return StreamStatistics.of(parts[0])
    total = math.fsum(weights)
    shares = [weight / total for weight in weights]
    x = [np.asarray(part, np.float64) for part in parts]
    mean = _sum([share * each.mean(0) for share, each in zip(shares, x, strict=True)])
    variance = _sum([share * ((each - mean) ** 2).mean(0) for share, each in zip(shares, x, strict=True)])
    rows = np.concatenate(x)
    weight = np.concatenate([np.full(len(each), share / len(each)) for share, each in zip(shares, x, strict=True)])
    q01, q99 = (np.array([_quantile(column, weight, q) for column in rows.T]) for q in (0.01, 0.99))
    columns = {'min': rows.min(0), 'max': rows.max(0), 'mean': mean, 'std': np.sqrt(variance), 'q01': q01, 'q99': q99}
    return StreamStatistics(**{name: tuple(column.tolist()) for name, column in columns.items()})


def _sum(terms: Sequence[Floats]) -> Floats:
    """Exactly rounded, so that the order of the terms does not matter."""
    return np.array([math.fsum(column) for column in np.array(terms).T])


def _quantile(values: Floats, weights: Floats, q: float) -> float:
    """Linear between the values, as numpy's; with equal weights it is numpy's."""
    order = np.lexsort((weights, values))
    x, w = values[order], weights[order]
    before = np.cumsum(w) - w
    return float(np.interp(q, before / before[-1], x)) if before[-1] > 0 else float(x[0])
