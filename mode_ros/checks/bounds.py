"""Commands and measured states beyond what the contract says can be: most often another unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mode_ros.checks.finding import Finding
from mode_ros.checks.units import guess, impossible_actions, impossible_states, in_per_cent, small_states
from mode_ros.control.contract import ActionGroup, Contract, Dimension, State
from mode_ros.control.units import unit_factor

# Rounding of float32, as a share of the range: a command at its bound is not beyond it.
COMMAND_TOLERANCE = 1e-4
# A measured joint overshoots its target a little, as a share of the range.
STATE_TOLERANCE = 0.05
# Of a range that is only likely to be the state's, as that of the group of its name: another unit leaves it by far.
_LIKELY_TOLERANCE = 0.5

_WAY_OUT = (
    "Say the messages' unit in the contract (message_unit, or scale and offset) and convert again, or mend the bounds."
)


def beyond_bounds(contract: Contract, actions: NDArray[np.floating], where: str = 'the data set') -> list[Finding]:
    """actions: [n, d], the contract's units. One finding per dimension that leaves [lower, upper], and one where bounds
    and numbers are both of another unit than they say.
    """
    x = np.asarray(actions)
    # By the names of the action vector: two arms may have joints of one name.
    ranges = [
        Range(name, dimension.unit, dimension.lower, dimension.upper)
        for name, dimension in zip(contract.action_names, contract.dimensions, strict=True)
    ]
    return beyond_ranges(ranges, x, COMMAND_TOLERANCE, 'action', where) + impossible_actions(contract, x, where)


def states_beyond_bounds(
    contract: Contract, stream: str, values: NDArray[np.floating], where: str = 'the data set'
) -> list[Finding]:
    """values: [n, m] of one state stream, held to its own bounds, to those of the commands that it measures, to those
    of a group that is likely to move it, and else to what its unit can be.
    """
    state, x = contract.state(stream), np.asarray(values)
    if state.lower is not None or state.upper is not None:
        lower = -np.inf if state.lower is None else state.lower
        upper = np.inf if state.upper is None else state.upper
        own = [Range(name, state.unit, lower, upper) for name in state.names]
        found = beyond_ranges(own, x, 0.0, f'state {stream}', where)
        if np.isfinite([lower, upper]).all():
            return found or small_states(state, dict.fromkeys(state.names, max(abs(lower), abs(upper))), x, where)
        return found or impossible_states(state, range(len(own)), x, where) or small_states(state, {}, x, where)
    found = []
    known: dict[str, float] = {}
    measured = state_bounds(contract, stream)
    for bounds, tolerance in ((measured, STATE_TOLERANCE), (likely_bounds(contract, stream), _LIKELY_TOLERANCE)):
        columns = [at for at, name in enumerate(state.names) if name in bounds and name not in known]
        ranges = [bounds[state.names[at]] for at in columns]
        found += beyond_ranges(ranges, x[:, columns], tolerance, f'state {stream}', where)
        known |= {state.names[at]: max(abs(b.lower), abs(b.upper)) for at, b in zip(columns, ranges, strict=True)}
    rest = [column for column, name in enumerate(state.names) if name not in known]
    return found + impossible_states(state, rest, x, where) + small_states(state, known, x, where)


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


def likely_bounds(contract: Contract, stream: str) -> dict[str, Range]:
    """Names of a state whose range is likely that of an absolute group without feedback: one that has the state's name,
    or commands numbers of its names. In the state's unit; groups in a unit of another kind say nothing.
    """
    state = contract.state(stream)
    if state.type not in ('joint_state', 'array', 'number') or state.field != 'position':
        return {}
    found: dict[str, Range] = {}
    for group in contract.action:
        if group.kind != 'absolute' or group.feedback is not None:
            continue
        for name, dimension in _same_numbers(state, group):
            try:
                factor = unit_factor(dimension.unit, state.unit)
            except ValueError:
                continue
            lower, upper = factor * dimension.lower, factor * dimension.upper
            if name in found:  # two arms whose joints have the same names
                lower, upper = min(lower, found[name].lower), max(upper, found[name].upper)
            found[name] = Range(name, state.unit, lower, upper)
    return found


def _same_numbers(state: State, group: ActionGroup) -> list[tuple[str, Dimension]]:
    same = [(dimension.name, dimension) for dimension in group.dimensions if dimension.name in state.names]
    if not same and group.name == state.name and len(state.names) == len(group.dimensions) == 1:
        return [(state.names[0], group.dimensions[0])]
    return same


class Range(NamedTuple):
    """What is asked of a number: as a contract's Dimension, of which it is a part."""

    name: str
    unit: str
    lower: float
    upper: float


def beyond_ranges(
    dimensions: Sequence[Dimension | Range],
    values: NDArray[np.floating],
    tolerance: float,
    kind: str,
    where: str,
    whose: str = '',
    otherwise: str = '',
) -> list[Finding]:
    """values: [n, k], a column for each dimension; tolerance: share of the range; whose: the limits are, in words;
    otherwise: what to do where no other unit explains the numbers.
    """
    found = []
    for column, dimension in enumerate(dimensions):
        x = values[:, column].astype(np.float64)
        slack = tolerance * (dimension.upper - dimension.lower) if tolerance else 0.0
        outside = (x < dimension.lower - slack) | (x > dimension.upper + slack)
        if not outside.any():
            continue
        excess = np.maximum(dimension.lower - x, x - dimension.upper)
        worst = float(x[int(np.argmax(excess))])
        words = _guess(x, dimension)
        found.append(
            Finding(
                'bounds',
                f'{kind} {dimension.name}: {in_per_cent(float(outside.mean()))} of the frames in {where} are beyond '
                f'{whose}{dimension.lower:g} to {dimension.upper:g} {dimension.unit}, the farthest is '
                f'{worst:.4g}{words}. {(not words and otherwise) or _WAY_OUT}',
            )
        )
    return found


def _guess(x: NDArray[np.float64], dimension: Dimension | Range) -> str:
    """What the numbers would fit as, where they would: only then is it worth a word."""
    # Extremes are said above; nearly all must fit.
    seen = float(np.quantile(np.abs(x), 0.99))
    return guess(dimension.unit, seen, max(abs(dimension.lower), abs(dimension.upper)), is_bound=True)
