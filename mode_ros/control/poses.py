"""Targets of a hand: position with a rotation vector or two axes, to and from a quaternion, and how fast they may go.

A pose vector is [x, y, z, rotation vector] (6 numbers) or [x, y, z, x axis, y axis] (9 numbers: the first two columns
of the rotation matrix, which no rotation makes jump). Quaternions are x, y, z, w as in geometry_msgs.

One rotation has several rotation vectors: v, and v turned round by a full turn. The one within the contract's bounds
is taken, so that a hand that points down (half a turn) does not jump between two signs where the bounds of one axis
are, say, 0 and 2 pi.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import ActionGroup, Contract

Vector = NDArray[np.float64]

# Below this angle (rad) or length a direction means nothing.
_TINY = 1e-9


def pose_vector(position: Vector, quaternion: Vector, group: ActionGroup) -> Vector:
    """The values [6 or 9] of `group` for a position [3] in metres and a quaternion [4].

    Raises ValueError for a quaternion of length 0.
    """
    if len(group.names) == 6:
        lower = np.array([dimension.lower for dimension in group.dimensions[3:]])
        upper = np.array([dimension.upper for dimension in group.dimensions[3:]])
        return np.concatenate([position, _within(rotation_vector(quaternion), lower, upper)])
    return np.concatenate([position, rotation_matrix(quaternion)[:, :2].T.ravel()])


def split_pose(values: Vector) -> tuple[Vector, Vector]:
    """Position [3] and unit quaternion [4], w not negative, of a pose vector [6 or 9].

    Axes that are not perpendicular are made so: the y axis gives way. Raises ValueError for axes that point nowhere or
    along one line.
    """
    if len(values) == 6:
        return values[:3], quaternion_of_vector(values[3:])
    return values[:3], _quaternion_of_matrix(_orthonormal(values[3:6], values[6:9]))


def without_rotation(actions: Vector, contract: Contract) -> tuple[int, str] | None:
    """The first of actions [A, d] with a pose whose numbers say no rotation, and its group. NaN asks for none."""
    for group in contract.action:
        if group.output.adapter != 'pose':
            continue
        for row, values in enumerate(actions[:, contract.group_slices[group.name]]):
            try:
                if not np.isnan(values).any():
                    split_pose(values)
            except ValueError:
                return row, group.name
    return None


def limit_pose(before: Vector, target: Vector, group: ActionGroup, distance: float, angle: float) -> Vector:
    """The pose vector on the way from `before` to `target` that goes no further than `distance` m and `angle` rad.

    Position and rotation are limited each by itself, both along the straight way; within the limits, `target`. One
    whose axes give no rotation, as numbers that were clipped or averaged may, keeps that of `before`.
    """
    limited = target.copy()
    away = target[:3] - before[:3]
    length = float(np.linalg.norm(away))
    if length > distance:
        limited[:3] = before[:3] + away * (distance / length)
    _, start = split_pose(before)
    try:
        _, end = split_pose(target)
    except ValueError:
        limited[3:] = before[3:]
        return limited
    turn = rotation_vector(multiply(end, conjugate(start)))
    turned = float(np.linalg.norm(turn))
    if turned > angle:
        part = multiply(quaternion_of_vector(turn * (angle / turned)), start)
        limited[3:] = pose_vector(limited[:3], part, group)[3:]
    return limited


def nearest_sign(quaternion: Vector, before: Vector | None) -> Vector:
    """Either q or -q, which are one rotation: the one nearer to `before`."""
    return -quaternion if before is not None and float(quaternion @ before) < 0 else quaternion


def rotation_vector(quaternion: Vector) -> Vector:
    """[3], in rad, at most half a turn. Raises ValueError for a quaternion of length 0."""
    length = float(np.linalg.norm(quaternion))
    if length < _TINY:
        raise ValueError('a quaternion of length 0')
    x = quaternion / length * (-1.0 if quaternion[3] < 0 else 1.0)
    sine = float(np.linalg.norm(x[:3]))
    if sine < _TINY:
        return 2.0 * x[:3]
    return np.asarray(x[:3] / sine * (2.0 * np.arctan2(sine, x[3])))


def quaternion_of_vector(vector: Vector) -> Vector:
    """Unit quaternion [4], w not negative, of a rotation vector [3] in rad."""
    angle = float(np.linalg.norm(vector))
    share = np.sin(angle / 2) / angle if angle > _TINY else 0.5
    quaternion = np.append(vector * share, np.cos(angle / 2))
    return -quaternion if quaternion[3] < 0 else quaternion


def rotation_matrix(quaternion: Vector) -> NDArray[np.float64]:
    """[3, 3]; raises ValueError for a quaternion of length 0."""
    length = float(np.linalg.norm(quaternion))
    if length < _TINY:
        raise ValueError('a quaternion of length 0')
    x, y, z, w = quaternion / length
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def multiply(first: Vector, second: Vector) -> Vector:
    """The rotation `second`, then `first`."""
    a, b = first[:3], second[:3]
    return np.append(first[3] * b + second[3] * a + np.cross(a, b), first[3] * second[3] - a @ b)


def conjugate(quaternion: Vector) -> Vector:
    """The rotation back."""
    return quaternion * np.array([-1.0, -1.0, -1.0, 1.0])


def _within(vector: Vector, lower: Vector, upper: Vector) -> Vector:
    """`vector` or the same rotation the long way round: the first that lies within the bounds, else the short one."""
    angle = float(np.linalg.norm(vector))
    if angle < _TINY:
        return vector
    around = vector * (1.0 - 2.0 * np.pi / angle)
    for choice in (vector, around):
        if np.all((choice >= lower - _TINY) & (choice <= upper + _TINY)):
            return choice
    return vector


def _orthonormal(x_axis: Vector, y_axis: Vector) -> NDArray[np.float64]:
    length = float(np.linalg.norm(x_axis))
    if length < _TINY:
        raise ValueError('an x axis of length 0')
    x = x_axis / length
    y = y_axis - (y_axis @ x) * x
    length = float(np.linalg.norm(y))
    if length < _TINY:
        raise ValueError('an x axis and a y axis along one line')
    y = y / length
    return np.column_stack([x, y, np.cross(x, y)])


def _quaternion_of_matrix(matrix: NDArray[np.float64]) -> Vector:
    """The largest of the four numbers is taken from the diagonal, so that none is divided by a small one."""
    m = matrix
    squares: Sequence[float] = (
        1 + m[0, 0] - m[1, 1] - m[2, 2],
        1 - m[0, 0] + m[1, 1] - m[2, 2],
        1 - m[0, 0] - m[1, 1] + m[2, 2],
        1 + m[0, 0] + m[1, 1] + m[2, 2],
    )
    rows = (
        (squares[0], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0], m[2, 1] - m[1, 2]),
        (m[0, 1] + m[1, 0], squares[1], m[1, 2] + m[2, 1], m[0, 2] - m[2, 0]),
        (m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], squares[2], m[1, 0] - m[0, 1]),
        (m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], squares[3]),
    )
    quaternion = np.array(rows[int(np.argmax(squares))])
    quaternion = quaternion / np.linalg.norm(quaternion)
    return -quaternion if quaternion[3] < 0 else quaternion
