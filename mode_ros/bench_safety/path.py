"""The path that the fake policy drives: a circle in the first two dimensions, at a speed that never changes.

Whatever slows down was therefore slowed by the controller.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

RADIUS = 0.4  # rad
JOINT_STEP = 0.03  # rad per period
TWIST_STEP = 0.018  # m per period
TURN = 0.075  # rad per period, of a displacement's direction


def circle(start: Vector, count: int) -> Vector:
    """[count, d]: targets from `start` [d] on around the origin of the first two dimensions, the others to 0.

    A start inside or outside is led onto the circle by a third of a step each period.
    """
    rows, place = [], np.array(start, dtype=np.float64)
    for _ in range(count):
        radius, angle = float(np.hypot(place[0], place[1])), float(np.arctan2(place[1], place[0]))
        nearer = radius + float(np.clip(RADIUS - radius, -JOINT_STEP / 3, JOINT_STEP / 3))
        angle += min(JOINT_STEP / max(nearer, RADIUS / 4), JOINT_STEP * 4 / RADIUS)
        place = place.copy()
        place[:2] = nearer * np.cos(angle), nearer * np.sin(angle)
        place[2:] -= np.clip(place[2:], -JOINT_STEP / 3, JOINT_STEP / 3)
        rows.append(place)
    return np.array(rows)


def turning(before: Vector, count: int) -> Vector:
    """[count, d]: displacements of one length whose direction turns evenly, on from the one `before` [d]."""
    angle = float(np.arctan2(before[1], before[0])) if np.any(before[:2]) else 0.0
    rows = np.zeros((count, len(before)))
    angles = angle + TURN * np.arange(1, count + 1)
    rows[:, 0], rows[:, 1] = TWIST_STEP * np.cos(angles), TWIST_STEP * np.sin(angles)
    return rows
