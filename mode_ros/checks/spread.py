"""Numbers that hardly change or repeat one another: what scaling would blow up, and what teaches nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mode_ros.checks.bounds import state_bounds
from mode_ros.checks.finding import Finding
from mode_ros.control.contract import Contract
from mode_ros.control.grippers import is_gripper

# Below this share of a command's range nothing is meant: a joint of 6 rad is held to 6 mrad by few drivers.
RANGE_SHARE = 1e-3
# Of a number in a unit that is not known, whose range nothing says: a deviation below this share of its size is named.
_STEADY_SHARE = 1e-4
# What a sensor's noise is at most, by unit: the smallest spread that is taken for a signal.
UNIT_FLOOR: Mapping[str, float] = {
    'rad': 2e-3,
    'deg': 0.1,
    'm': 5e-4,
    'mm': 0.5,
    'rad/s': 5e-3,
    'deg/s': 0.3,
    'm/s': 1e-3,
    'N': 0.05,
    'Nm': 5e-3,
    'A': 1e-2,
    '%': 0.1,
    'degC': 0.05,
    '1': 1e-3,
}


def action_floor(contract: Contract) -> tuple[float, ...]:
    """[d] the smallest spread that each command is scaled by, in its unit: a share of its range."""
    return tuple(RANGE_SHARE * (dimension.upper - dimension.lower) for dimension in contract.dimensions)


def state_floor(contract: Contract, stream: str) -> tuple[float, ...]:
    """The same for a state: from the range of the commands that it measures, else from its unit, else from its own
    `lower` and `upper`; 0 where nothing tells.

    A position of a pose is in metres and its quaternion has none, whatever the stream's unit says.
    """
    state, bounds = contract.state(stream), state_bounds(contract, stream)
    by_unit = UNIT_FLOOR.get(state.unit, 0.0)
    if state.unit not in UNIT_FLOOR and state.lower is not None and state.upper is not None:
        by_unit = RANGE_SHARE * (state.upper - state.lower)
    if state.type == 'wrench':
        return tuple(UNIT_FLOOR['N' if name.startswith('force') else 'Nm'] for name in state.names)
    if state.type == 'pose':
        return tuple(UNIT_FLOOR['m'] if name in 'xyz' else UNIT_FLOOR['1'] for name in state.names)
    return tuple(
        RANGE_SHARE * (bounds[name].upper - bounds[name].lower) if name in bounds else by_unit for name in state.names
    )


def nearly_constant(
    names: Sequence[str],
    values: NDArray[np.floating],
    floor: Sequence[float],
    kind: str,
    parts: Iterable[slice] = (slice(None),),
) -> list[Finding]:
    """Names those whose deviation is below their floor, constants included.

    values: [n, d]; floor: [d]; parts: of d, what belongs together: an action group, a stream. A constant beside numbers
    of its part that change, as a rotation that is held still, is a note.
    """
    x = np.asarray(values, np.float64)
    spread = x.std(axis=0)
    constant = spread <= 1e-9
    dead = np.zeros(len(names), bool)
    for part in parts:
        dead[part] = constant[part].all()
    shaking = [
        f'{name} (deviation {s:.2g}, floor {least:.2g})'
        for name, s, least in zip(names, spread, floor, strict=True)
        if 1e-9 < s < least
    ]
    found = []
    if shaking:
        found.append(
            Finding(
                'spread',
                f'{kind}: nearly constant are {", ".join(shaking)}: they are scaled by the floor, so that noise is not '
                'blown up. Leave them out of the contract if they are to say nothing.',
            )
        )
    unknown = [
        f'{name} (deviation {s:.2g} at {abs(at):.4g})'
        for name, s, at, least in zip(names, spread, x.mean(axis=0), floor, strict=True)
        if least == 0 and 1e-9 < s < _STEADY_SHARE * abs(at)
    ]
    if unknown:
        found.append(
            Finding(
                'spread',
                f'{kind}: nearly constant are {", ".join(unknown)}, and since their unit is not known, nothing keeps '
                'noise from being blown up: give the state lower and upper, or leave it out of the contract.',
            )
        )
    beside, whole = ([name for name, s in zip(names, chosen, strict=True) if s] for chosen in (constant & ~dead, dead))
    if whole:
        words = f'{kind}: {", ".join(whole)} never changed, and nothing that belongs to it: is its topic the right one?'
        found.append(Finding('spread', words))
    if beside:
        words = f'{kind}: {", ".join(beside)} never changed here, so these episodes teach nothing about them.'
        found.append(Finding('spread', words, note=True))
    return found


def duplicates(names: Sequence[str], values: NDArray[np.floating], kind: str) -> list[Finding]:
    """Columns that say the same number frame for frame, constants aside."""
    x = np.asarray(values)
    same = [
        f'{names[a]} and {names[b]}'
        for a in range(x.shape[1])
        for b in range(a + 1, x.shape[1])
        if np.ptp(x[:, a]) > 0 and np.array_equal(x[:, a], x[:, b])
    ]
    if not same:
        return []
    return [Finding('duplicates', f'{kind}: {", ".join(same)} are the same number in every frame: is one meant twice?')]


def gripper_still(contract: Contract, actions: NDArray[np.floating]) -> list[Finding]:
    """A group called like a gripper or a hand whose commands never change."""
    found = []
    for name, part in contract.group_slices.items():
        if (
            (is_gripper(name) or 'hand' in name.lower())
            and len(actions)
            and not np.ptp(np.asarray(actions)[:, part], axis=0).any()
        ):
            found.append(
                Finding('gripper', f'The group {name} is told the same in every frame: is its topic the right one?')
            )
    return found
