"""Joints and their limits from a robot's description (URDF, as on `robot_description`). Needs no ROS."""

from __future__ import annotations

import math
from dataclasses import dataclass
from xml.etree import ElementTree

from mode_ros.errors import UserError

# A description of a large robot is a few hundred kilobytes.
MAX_CHARACTERS = 20_000_000


@dataclass(frozen=True)
class JointLimit:
    """One movable joint. unit: 'rad' or 'm'; lower, upper in it, None for a joint without end; velocity in unit/s or
    None; mimics: the joint that it follows, '' for one that moves by itself.
    """

    unit: str
    lower: float | None
    upper: float | None
    velocity: float | None
    mimics: str = ''


def joint_limits(description: str) -> dict[str, JointLimit]:
    """The movable joints of a URDF by name, in its order; UserError for text that is no URDF.

    Limits that are no finite numbers, or whose lower end is not below the upper one, count as none.
    """
    if len(description) > MAX_CHARACTERS:
        raise UserError(f'The robot description has {len(description)} characters, more than {MAX_CHARACTERS}.')
    try:
        root = ElementTree.fromstring(description)
    except ElementTree.ParseError as error:
        raise UserError(
            f'The robot description is no XML: {error}. Look at `ros2 topic echo /robot_description`.'
        ) from error
    if root.tag != 'robot':
        raise UserError(f'The robot description is <{root.tag}>, not <robot>: it must be a URDF.')
    found = {}
    for joint in root.findall('joint'):
        name, kind = joint.get('name', ''), joint.get('type', '')
        if not name or kind not in ('revolute', 'continuous', 'prismatic'):
            continue
        limit, mimic = joint.find('limit'), joint.find('mimic')
        lower, upper, velocity = (
            None if limit is None else _number(limit.get(key)) for key in ('lower', 'upper', 'velocity')
        )
        if kind == 'continuous' or lower is None or upper is None or not lower < upper:
            lower = upper = None
        found[name] = JointLimit(
            unit='m' if kind == 'prismatic' else 'rad',
            lower=lower,
            upper=upper,
            velocity=velocity if velocity is not None and velocity > 0 else None,
            mimics='' if mimic is None else mimic.get('joint', ''),
        )
    return found


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None
