"""Oriented boxes, which every collision shape of LIBERO fits into, and what a hand that moves among them must know."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mode_ros.sim.simulator import Floats

CORNERS = np.array(np.meshgrid([-1.0, 1.0], [-1.0, 1.0], [-1.0, 1.0])).reshape(3, -1).T
LATTICE = np.array(np.meshgrid([-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0])).reshape(3, -1).T
PARALLEL = 1e-6
"""Length below which the cross product of two unit vectors names no axis."""


@dataclass(frozen=True)
class Boxes:
    """B boxes in one frame. centres: [B, 3] m; halves: [B, 3] half edges in m; axes: [B, 3, 3], unit columns."""

    centres: Floats
    halves: Floats
    axes: Floats

    def points(self, pattern: Floats = CORNERS) -> Floats:
        """[B * P, 3] the points of `pattern` [P, 3] in each box, whose faces are at -1 and 1."""
        offsets = np.einsum('bij,pj->bpi', self.axes * self.halves[:, None, :], pattern)
        return (self.centres[:, None, :] + offsets).reshape(-1, 3)

    def moved(self, position: Floats, rotation: Floats) -> 'Boxes':
        """The same boxes, given in a frame that lies at `position` [3] with `rotation` [3, 3], in the outer frame."""
        return Boxes(self.centres @ rotation.T + position, self.halves, rotation @ self.axes)

    def chosen(self, mask: NDArray[np.bool_]) -> 'Boxes':
        """Those whose element of `mask` [B] is true."""
        return Boxes(self.centres[mask], self.halves[mask], self.axes[mask])


def joined(parts: list[Boxes]) -> Boxes:
    """All boxes of some sets, in one set; an empty set for an empty list."""
    if not parts:
        return Boxes(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros((0, 3, 3)))
    return Boxes(
        np.concatenate([part.centres for part in parts]),
        np.concatenate([part.halves for part in parts]),
        np.concatenate([part.axes for part in parts]),
    )


def penetration(some: Boxes, others: Boxes) -> float:
    """How deep, in m and summed, the boxes of `some` reach into `others`; 0 where no two touch.

    By separating axes, of which two boxes have fifteen: two boxes overlap as deep as on the axis where they do least.
    """
    if not len(some.centres) or not len(others.centres):
        return 0.0
    return float(sum(_depths(some, index, others).sum() for index in range(len(some.centres))))


def highest_near(points: Floats, start: Floats, end: Floats, radius: float) -> float:
    """The largest z of `points` [N, 3] within `radius` m, seen from above, of the way from `start` [2] to `end` [2].

    -inf where there is none.
    """
    way = end - start
    length = float(way @ way)
    offsets = points[:, :2] - start
    share = np.clip(offsets @ way / length, 0.0, 1.0) if length > 0 else np.zeros(len(points))
    near = np.linalg.norm(offsets - share[:, None] * way, axis=1) < radius
    return float(points[near, 2].max()) if near.any() else -np.inf


def _depths(boxes: Boxes, index: int, others: Boxes) -> Floats:
    """[B] how deep each of `others` and one of `boxes` reach into each other, 0 where they do not."""
    mine = boxes.axes[index]
    theirs = others.axes
    count = len(others.centres)
    crossed = np.cross(mine.T[None, :, None, :], np.swapaxes(theirs, 1, 2)[:, None, :, :]).reshape(count, 9, 3)
    lengths = np.linalg.norm(crossed, axis=2, keepdims=True)
    crossed = crossed / np.maximum(lengths, PARALLEL)
    axes = np.concatenate([np.broadcast_to(mine.T, (count, 3, 3)), np.swapaxes(theirs, 1, 2), crossed], axis=1)
    reach = np.abs(axes @ mine) @ boxes.halves[index]
    reach += np.einsum('bkj,bj->bk', np.abs(axes @ theirs), others.halves)
    apart = np.abs(np.einsum('bkj,bj->bk', axes, others.centres - boxes.centres[index]))
    overlap = reach - apart
    overlap[:, 6:][lengths[..., 0] < PARALLEL] = np.inf
    return np.maximum(overlap.min(axis=1), 0.0)
