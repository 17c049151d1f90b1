"""What is legal in a contract and still looks like a slip."""

from __future__ import annotations

from mode_ros.checks.finding import Finding
from mode_ros.checks.units import OPENING, REACH, TURNS, is_gripper
from mode_ros.control.contract import Contract

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
        unlimited = [d.name for d in group.dimensions if group.kind == 'absolute' and d.max_step is None]
        if unlimited and group.feedback is not None:
            found.append(
                Finding(
                    'contract',
                    f'{", ".join(unlimited)} of {group.name} have no max_step: the policy may ask for any jump within '
                    'the bounds.',
                )
            )
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
