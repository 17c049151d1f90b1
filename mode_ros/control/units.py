"""Numbers of messages that are in another unit than the contract: converted on the way in, and back on the way out.

contract value = message value * scale + offset. Written in the contract as a unit by name (`message_unit: deg`) or as
`scale` and `offset`, for what no name tells, such as per cent of a gripper's opening.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Factor = Annotated[float, Field(allow_inf_nan=False)]

# Units by name: quantity and size in the quantity's first unit.
_UNITS: dict[str, tuple[str, float]] = {
    'rad': ('angle', 1.0),
    'deg': ('angle', 0.017453292519943295),
    'm': ('length', 1.0),
    'cm': ('length', 0.01),
    'mm': ('length', 0.001),
    'in': ('length', 0.0254),
    'm/s': ('speed', 1.0),
    'mm/s': ('speed', 0.001),
    'rad/s': ('turning speed', 1.0),
    'deg/s': ('turning speed', 0.017453292519943295),
    '1': ('share', 1.0),
    'percent': ('share', 0.01),
    '%': ('share', 0.01),
    'N': ('force', 1.0),
    'kN': ('force', 1000.0),
    'Nm': ('torque', 1.0),
    'Nmm': ('torque', 0.001),
}


def unit_factor(message_unit: str, unit: str) -> float:
    """By what a number in `message_unit` is multiplied to be one in `unit`; ValueError where that is not known."""
    if message_unit == unit:
        return 1.0
    for name in (message_unit, unit):
        if name not in _UNITS:
            raise ValueError(
                f'the unit {name!r} is not known by name (known: {", ".join(_UNITS)}); give scale and offset instead'
            )
    ours, theirs = _UNITS[unit], _UNITS[message_unit]
    if ours[0] != theirs[0]:
        raise ValueError(
            f'{message_unit!r} is a {theirs[0]} and {unit!r} a {ours[0]}; give scale and offset for what one means '
            'in the other'
        )
    return theirs[1] / ours[1]


def is_other_size(unit: str, other: str) -> bool:
    """Whether two units measure the same in different sizes, as rad and deg; False where one is not known by name."""
    if unit not in _UNITS or other not in _UNITS:
        return False
    (ours, size), (theirs, their_size) = _UNITS[unit], _UNITS[other]
    return ours == theirs and size != their_size


def conversion(unit: str, message_unit: str | None, scale: float | None, offset: float) -> tuple[float, float]:
    """(scale, offset) from a message's number to the contract's; ValueError for what contradicts itself."""
    if message_unit is not None and (scale is not None or offset != 0.0):
        raise ValueError('give either message_unit, or scale and offset')
    if message_unit is not None:
        return unit_factor(message_unit, unit), 0.0
    if scale == 0.0:
        raise ValueError('scale 0 makes every number the same; leave it out, or give another')
    return (1.0 if scale is None else scale), offset
