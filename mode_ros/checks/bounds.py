"""Commands and measured states beyond what the contract says can be: most often another unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mode_ros.checks.finding import Finding
from mode_ros.control.contract import Contract, Dimension

# Rounding of float32, as a share of the range: a command at its bound is not beyond it.
_COMMAND_TOLERANCE = 1e-4
# A measured joint overshoots its target a little, as a share of the range.
_STATE_TOLERANCE = 0.05
# What people mistake a unit for, and by which factor at most.
_MISTAKEN = {
    'rad': (180 / np.pi, 'degrees for radians'),
    'm': (1000.0, 'millimetres or per cent for metres'),
    '1': (100.0, 'per cent for a share'),
}


def beyond_bounds(contract: Contract, actions: NDArray[np.floating], where: str = 'the data set') -> list[Finding]:
    """actions: [n, d], the contract's units. One finding per dimension that leaves [lower, upper]."""
    return _beyond(contract.dimensions, np.asarray(actions), _COMMAND_TOLERANCE, 'action', where)


def states_beyond_bounds(
    contract: Contract, stream: str, values: NDArray[np.floating], where: str = 'the data set'
) -> list[Finding]:
    """values: [n, m] of one state stream, held to its own bounds or to those of the commands that it measures."""
    state, x = contract.state(stream), np.asarray(values)
    if state.lower is not None or state.upper is not None:
        lower = -np.inf if state.lower is None else state.lower
        upper = np.inf if state.upper is None else state.upper
        own = [_Range(name, state.unit, lower, upper) for name in state.names]
        return _beyond(own, x, 0.0, f'state {stream}', where)
    bounds = state_bounds(contract, stream)
    columns = [at for at, name in enumerate(state.names) if name in bounds]
    dimensions = [bounds[state.names[at]] for at in columns]
    return _beyond(dimensions, x[:, columns], _STATE_TOLERANCE, f'state {stream}', where)


def state_bounds(contract: Contract, stream: str) -> dict[str, Dimension]:
    """Names of a state whose range is known, because an absolute group commands them and measures them there."""
    state = contract.state(stream)
    if state.field != 'position':
        return {}
    return {
        dimension.name: dimension
        for group in contract.action
        if group.kind == 'absolute' and group.feedback == stream
        for dimension in group.dimensions
    }


class _Range(NamedTuple):
    """What is asked of a number: as a contract's Dimension, of which it is a part."""

    name: str
    unit: str
    lower: float
    upper: float


def _beyond(
    dimensions: Sequence[Dimension | _Range], values: NDArray[np.floating], tolerance: float, kind: str, where: str
) -> list[Finding]:
    found = []
    for column, dimension in enumerate(dimensions):
        x = values[:, column].astype(np.float64)
        slack = tolerance * (dimension.upper - dimension.lower) if tolerance else 0.0
        outside = (x < dimension.lower - slack) | (x > dimension.upper + slack)
        if not outside.any():
            continue
        excess = np.maximum(dimension.lower - x, x - dimension.upper)
        worst = float(x[int(np.argmax(excess))])
        found.append(
            Finding(
                'bounds',
                f'{kind} {dimension.name}: {_share(float(outside.mean()))} of the frames in {where} are beyond '
                f'{dimension.lower:g} to {dimension.upper:g} {dimension.unit}, the farthest is {worst:.4g}'
                f"{_guess(x, dimension)}. Say the messages' unit in the contract (message_unit, or scale and offset) "
                'and convert again, or mend the bounds.',
            )
        )
    return found


def _guess(x: NDArray[np.float64], dimension: Dimension | _Range) -> str:
    """What the numbers would fit as, where they would: only then is it worth a word."""
    largest = max(abs(dimension.lower), abs(dimension.upper))
    # Extremes are said above; nearly all must fit.
    seen = float(np.quantile(np.abs(x), 0.99))
    factor, words = _MISTAKEN.get(dimension.unit, (0.0, ''))
    return f' ({words}?)' if 1.5 * largest < seen <= 1.05 * factor * largest else ''


def _share(value: float) -> str:
    return f'{value:.0%}' if value >= 0.01 else f'{value:.2%}'
