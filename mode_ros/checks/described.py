"""Commands and measured joints beyond the limits of the robot's description, where the contract's own reach further."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mode_ros.checks.bounds import COMMAND_TOLERANCE, STATE_TOLERANCE, Range, beyond_ranges, state_bounds
from mode_ros.checks.finding import Finding
from mode_ros.control.contract import Contract, Dimension
from mode_ros.control.units import unit_factor

# By joint: 'rad' or 'm', and its lower and upper limit in it.
Limits = Mapping[str, tuple[str, float, float]]
_WHOSE = "the robot description's "
_OTHERWISE = (
    "That does not look like another unit. See whether the description is this robot's and counts from the driver's "
    "zero; if it is right, the robot cannot follow: mend the contract's bounds."
)


def beyond_description(
    contract: Contract,
    limits: Limits,
    actions: NDArray[np.floating],
    states: Mapping[str, NDArray[np.floating]],
    where: str = 'the data set',
) -> list[Finding]:
    """actions: [n, d]; states: by stream, [n, m]; both in the contract's units.

    Looked at are joints that may go further by the contract than by the description; what is beyond the contract's
    bounds is beyond_bounds' to name. Joints of one name, as of two arms, cannot be told apart and are left out.
    """
    found = []
    count = Counter(dimension.name for dimension in contract.dimensions)
    for group in contract.action:
        start = contract.group_slices[group.name].start
        for column, dimension in enumerate(group.dimensions, start):
            known = _range(limits, dimension.name, dimension.unit)
            if group.kind == 'absolute' and known is not None and count[dimension.name] == 1:
                found += _beyond(known, dimension, np.asarray(actions)[:, [column]], COMMAND_TOLERANCE, 'action', where)
    joints = [state for state in contract.observation.states if state.type == 'joint_state']
    count = Counter(name for state in joints for name in state.names if state.field == 'position')
    for state in joints:
        if state.field != 'position' or state.name not in states:
            continue
        bounds = state_bounds(contract, state.name)
        for column, name in enumerate(state.names):
            own: Range | Dimension | None = bounds.get(name)
            if state.lower is not None and state.upper is not None:
                own = Range(name, state.unit, state.lower, state.upper)
            known = _range(limits, name, state.unit)
            if known is not None and count[name] == 1:
                x = np.asarray(states[state.name])[:, [column]]
                found += _beyond(known, own, x, STATE_TOLERANCE, f'state {state.name}', where)
    return found


def _range(limits: Limits, name: str, unit: str) -> Range | None:
    """Of a joint in `unit`; None where the description does not know it, or measures it in something else."""
    if name not in limits:
        return None
    theirs, lower, upper = limits[name]
    try:
        factor = unit_factor(theirs, unit)
    except ValueError:
        return None
    return Range(name, unit, factor * lower, factor * upper)


def _beyond(
    known: Range, own: Range | Dimension | None, x: NDArray[np.floating], tolerance: float, kind: str, where: str
) -> list[Finding]:
    """own: by the contract, None where it says nothing; x: [n, 1]."""
    slack = COMMAND_TOLERANCE * (known.upper - known.lower)
    if own is not None and own.lower >= known.lower - slack and own.upper <= known.upper + slack:
        return []
    return beyond_ranges([known], x, tolerance, kind, where, _WHOSE, _OTHERWISE)
