"""Numbers that cannot be in the unit that the contract says, whatever its bounds: too large for it, or too small."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mode_ros.checks.finding import Finding, listed
from mode_ros.control.contract import ActionGroup, Contract, State
from mode_ros.control.grippers import is_gripper

# No joint turns further (rad), no arm reaches further (m), no gripper opens further (m).
TURNS = 4 * math.pi
REACH = 5.0
OPENING = 0.5
# Joints that turn faster, and hands that move faster, are of no robot that people stand beside (rad/s, m/s).
_TURNING, _MOVING = 50.0, 10.0
# What people mistake a unit for, and by which factor: numbers are larger by that.
_LARGER = {
    'rad': (180 / math.pi, 'degrees for radians'),
    'rad/s': (180 / math.pi, 'degrees for radians'),
    'm': (1000.0, 'millimetres or per cent for metres'),
    'm/s': (1000.0, 'millimetres for metres'),
    '1': (100.0, 'per cent for a share'),
}
# And numbers that are smaller by a factor, with the largest that they then are where no bounds say so.
_SMALLER = {
    'deg': (math.pi / 180, 2 * math.pi, 'radians for degrees'),
    'mm': (1e-3, 2.0, 'metres for millimetres'),
    'cm': (1e-2, 2.0, 'metres for centimetres'),
    '%': (1e-2, 1.0, 'a share for per cent'),
    'percent': (1e-2, 1.0, 'a share for per cent'),
}
# Rounding, and a gripper that is pressed a little too far.
_SLACK = 1.05
# Who mistakes a unit exceeds a bound by nearly its factor: somewhere the motion uses so much of what the bounds allow.
_USED = 0.25

_WAY_OUT = "Say the messages' unit in the contract (message_unit, or scale and offset) and convert again"


def guess(unit: str, seen: float, largest: float, is_bound: bool) -> str:
    """Which slip would explain numbers that are too large.

    seen: how large they are; largest: what they should be at most; is_bound: that is how far they go, not merely what
    no robot exceeds. As ' (degrees for radians?)'; '' for none.
    """
    factor, words = _LARGER.get(unit, (0.0, ''))
    least = max(_USED * factor, 1.5) if is_bound else 1.5
    return f' ({words}?)' if least * largest < seen <= _SLACK * factor * largest else ''


def impossible_states(state: State, columns: Sequence[int], values: NDArray[np.floating], where: str) -> list[Finding]:
    """Numbers too large for their unit, of the columns of a state of which nothing says what they may be.

    values: [n, m].
    """
    names = [state.names[column] for column in columns]
    return _too_large(
        [(name, state.unit, _largest_state(state, name)) for name in names],
        values[:, list(columns)],
        f'state {state.name}',
        f'{where} are beyond what can be',
        'or give the state lower and upper where it goes so far',
    )


def small_states(state: State, ranges: Mapping[str, float], values: NDArray[np.floating], where: str) -> list[Finding]:
    """Numbers so small that they are likely of a larger unit. ranges: the largest number of each name, as far as it is
    known; values: [n, m].
    """
    if state.unit not in _SMALLER:
        return []
    factor, usual, words = _SMALLER[state.unit]
    columns = [at for at, name in enumerate(state.names) if name in ranges or _largest_state(state, name) is not None]
    most = [ranges[state.names[at]] * factor if state.names[at] in ranges else usual for at in columns]
    return _too_small(values[:, columns], np.array(most), f'state {state.name}', state.unit, words, where)


def impossible_actions(contract: Contract, actions: NDArray[np.floating], where: str) -> list[Finding]:
    """Of numbers within their bounds, where those are of another unit. actions: [n, d]."""
    found = []
    for group in contract.action:
        part = contract.group_slices[group.name]
        x = actions[:, part]
        limits = [
            (name, dimension.unit, _largest_command(group, dimension.name, dimension.unit))
            for name, dimension in zip(contract.action_names[part], group.dimensions, strict=True)
        ]
        found += _too_large(
            limits,
            np.clip(x, [d.lower for d in group.dimensions], [d.upper for d in group.dimensions]),
            'action',
            f'{where} are within their bounds, and beyond what can be',
            'with bounds in the unit that it says',
        )
        units = {dimension.unit for dimension in group.dimensions}
        if len(units) == 1 and units <= _SMALLER.keys():
            (unit,) = units
            factor, _, words = _SMALLER[unit]
            most = np.array([max(abs(d.lower), abs(d.upper)) for d in group.dimensions]) * factor
            found += _too_small(x, most, f'action {group.name}', unit, words, where)
    return found


def _too_large(
    limits: Sequence[tuple[str, str, float | None]],
    values: NDArray[np.floating],
    kind: str,
    place: str,
    way: str,
) -> list[Finding]:
    """limits: of each column its name, unit and the largest number that it can be, None where nobody knows."""
    told: dict[tuple[str, float], list[int]] = {}
    for column, (_, unit, most) in enumerate(limits):
        if most is not None and (np.abs(values[:, column]) > _SLACK * most).any():
            told.setdefault((unit, most), []).append(column)
    found = []
    for (unit, most), columns in told.items():
        x = np.asarray(values[:, columns], np.float64)
        share = float((np.abs(x) > _SLACK * most).any(axis=1).mean())
        worst = float(x.flat[int(np.argmax(np.abs(x)))])
        words = guess(unit, float(np.quantile(np.abs(x).max(axis=1), 0.99)), most, is_bound=False)
        names = listed([limits[column][0] for column in columns])
        found.append(
            Finding(
                'units',
                f'{kind} {names}: {in_per_cent(share)} of the frames in {place} ({most:.3g} {unit}), the farthest is '
                f'{worst:.4g}{words}. {_WAY_OUT}, {way}.',
            )
        )
    return found


def _too_small(
    values: NDArray[np.floating], most: NDArray[np.float64], kind: str, unit: str, words: str, where: str
) -> list[Finding]:
    """Numbers of which all stay below `most` [m] although they move: they would fit as another unit."""
    x = np.abs(np.asarray(values, np.float64))
    if not len(x) or not np.ptp(values, axis=0).any() or (x > _SLACK * most).any():
        return []
    return [
        Finding(
            'units',
            f"{kind}: nothing in {where} is larger than {x.max():.3g} {unit} ({words}?). If so, say the messages' unit "
            'in the contract (message_unit, or scale and offset) and convert again.',
        )
    ]


def _largest_state(state: State, name: str) -> float | None:
    """Of a number of a state, in its unit; None where nobody knows."""
    if state.type == 'pose':
        return _by_unit(state.unit, False) if name in ('x', 'y', 'z') else None
    if state.type == 'joint_state' or (state.type in ('array', 'number') and is_gripper(state.name, name)):
        return _by_unit(state.unit, is_gripper(state.name, name))
    return TURNS if state.type == 'array' and state.unit == 'rad' else None


def _largest_command(group: ActionGroup, name: str, unit: str) -> float | None:
    if unit in ('1', '%', 'percent'):
        return None  # who bounds a share by 100 has said that it is none
    gripper = is_gripper(group.name, name) and group.output.adapter not in ('pose', 'twist')
    return _by_unit(unit, gripper)


def _by_unit(unit: str, gripper: bool) -> float | None:
    metres = OPENING if gripper else REACH
    return {
        'rad': TURNS,
        'deg': math.degrees(TURNS),
        'm': metres,
        'cm': 1e2 * metres,
        'mm': 1e3 * metres,
        'rad/s': _TURNING,
        'm/s': _MOVING,
        '1': 1.0,
        '%': 100.0,
        'percent': 100.0,
    }.get(unit)


def in_per_cent(share: float) -> str:
    """'12%', and '0.01%' of what is rare."""
    return f'{share:.0%}' if share >= 0.01 else f'{share:.2%}'
