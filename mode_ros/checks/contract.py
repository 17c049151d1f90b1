"""What is legal in a contract and still looks like a slip."""

from __future__ import annotations

from collections.abc import Sequence

from mode_ros.checks.finding import Finding
from mode_ros.checks.units import OPENING, REACH, TURNS
from mode_ros.control.contract import TWIST_NAMES, ActionGroup, Contract
from mode_ros.control.grippers import is_gripper, opens

# A stream that is given fewer control periods than this to speak stops the robot by rounding.
_PERIODS = 1.5


def contract_slips(contract: Contract) -> list[Finding]:
    """Bounds of another unit, limits that are missing, streams that may never be silent."""
    found = []
    for group in contract.action:
        for dimension in group.dimensions:
            largest = max(abs(dimension.lower), abs(dimension.upper))
            if dimension.unit == 'rad' and largest > TURNS:
                found.append(
                    Finding('contract', f'{dimension.name} may go to {largest:g} rad: are these degrees (unit: deg)?')
                )
            reach = OPENING if is_gripper(group.name, dimension.name) else REACH
            if dimension.unit == 'm' and largest > reach:
                found.append(
                    Finding('contract', f'{dimension.name} may go to {largest:g} m: are these millimetres (unit: mm)?')
                )
        if unlimited := _unlimited(group):
            found.append(Finding('contract', _leaps(group, unlimited)))
    for stream in contract.observation.streams:
        if stream.max_age * contract.rate < _PERIODS:
            found.append(
                Finding(
                    'contract',
                    f'{stream.name} counts as dead after {stream.max_age:g} s, {stream.max_age * contract.rate:.1f} '
                    'control periods: one late message stops the robot.',
                )
            )
    return found


def _unlimited(group: ActionGroup) -> list[str]:
    """Dimensions whose targets nothing keeps from leaping: of an arm, since a gripper may shut at once."""
    if group.kind == 'delta':
        return []
    speeds = (group.output.max_speed, group.output.max_rotation_speed)
    return [
        dimension.name
        for dimension in group.dimensions
        if dimension.max_step is None
        and not opens(group, dimension)
        and not (group.output.adapter == 'pose' and speeds[dimension.name not in TWIST_NAMES[:3]] is not None)
    ]


def _leaps(group: ActionGroup, unlimited: Sequence[str]) -> str:
    lacking = 'has no max_step' if len(unlimited) == 1 else 'have no max_step'
    policys = "and the policy's as far as max_tracking_error" if group.feedback else "and so is the policy's"
    if group.output.adapter == 'pose':
        way = 'output.max_speed and output.max_rotation_speed'
    else:
        way = 'max_step, the largest change in one control period' + ('' if group.feedback else ', and feedback for it')
    return (
        f'{", ".join(unlimited)} of {group.name} {lacking}: the target of a person who drives is sent whole at once, '
        f'however far it lies within the bounds, {policys}. Give {way}.'
    )
