"""Where two chunks meet: how far the motion jumps there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import Contract

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Seam:
    """position: from what was planned for the tick to what the new chunk has for it; velocity: change of the speed per
    second from the tick before. Both are lengths over the dimensions of the contract's first group that share its
    first unit, in that unit (and per second).
    """

    position: float
    velocity: float


def measured_dimensions(contract: Contract) -> slice:
    """The dimensions [of the action vector] that seams and jerk are measured on."""
    group = contract.action[0]
    unit = group.dimensions[0].unit
    alike = 0
    while alike < len(group.dimensions) and group.dimensions[alike].unit == unit:
        alike += 1
    return slice(0, alike)


def seam(contract: Contract, before: Vector, last: Vector, old: Vector | None, new: Vector) -> Seam:
    """The seam at the tick after the commands `before` and `last` [d].

    old: what was planned for that tick (None: the motion would have gone on as it went); new: what is played.
    """
    place = measured_dimensions(contract)
    delta = contract.delta_mask[place]
    before, last, new = before[place], last[place], new[place]
    step = np.where(delta, last, last - before)
    expected = np.where(delta, last, last + step) if old is None else old[place]
    now = np.where(delta, new, new - last)
    return Seam(float(np.linalg.norm(new - expected)), float(np.linalg.norm(now - step)) * contract.rate)


def jerk(contract: Contract, commands: NDArray[np.float64]) -> float:
    """The root mean square of the jerk of commands [n, d], one per period, in the unit of the measured dimensions per
    s^3; 0 for fewer than four.
    """
    place = measured_dimensions(contract)
    order = np.where(contract.delta_mask[place], 2, 3)
    found = [np.diff(commands[:, place][:, i], n=int(n))[-max(len(commands) - 3, 0) :] for i, n in enumerate(order)]
    if len(commands) < 4:
        return 0.0
    squares = np.sum(np.square(np.array(found)), axis=0)
    return float(np.sqrt(squares.mean())) * contract.rate**3
