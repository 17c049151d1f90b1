"""Joint limits from the robot's description in a bag: kept with each recording, and looked at in its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mode_ros.control.contract import Contract
from mode_ros.drivers.urdf import joint_limits
from mode_ros.errors import UserError
from mode_ros.training.data.recordings import About


def hear_description(message: Any, contract: Contract, about: About) -> None:
    """Takes the limits of the contract's joints from a std_msgs/String that holds a URDF; notes one that holds none."""
    if about.limits:
        return  # said again
    try:
        joints = joint_limits(message.data)
    except UserError as error:
        note = f'description: {str(error).rstrip(".")}'
        about.notes += [note] if note not in about.notes else []
        return
    named = {dimension.name for dimension in contract.dimensions}
    named |= {name for state in contract.observation.states for name in state.names}
    about.limits = {
        name: (joint.unit, joint.lower, joint.upper)
        for name, joint in joints.items()
        if name in named and joint.lower is not None and joint.upper is not None
    }


def limits_told(extras: Mapping[str, Any]) -> dict[str, tuple[str, float, float]]:
    """Those of all recordings of a data set, by joint; of two descriptions of one robot the later one's.

    extras: as the data set has them.
    """
    found: dict[str, tuple[str, float, float]] = {}
    for source in extras.get('sources', ()):
        for name, (unit, lower, upper) in source.get('limits', {}).items():
            found[name] = str(unit), float(lower), float(upper)
    return found
