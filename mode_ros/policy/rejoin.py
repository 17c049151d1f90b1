"""Back to a path that was planned anew, from where what was decided meanwhile has led instead. In NumPy, robot units.

A demonstrator answers at once what they see: the actions that correct an error are the first ones of a chunk. While
the policy thinks, others are executed in their place, and what follows in the chunk takes the correction as done. So a
chunk is planned as if nothing were decided, and read as a path; the decided actions lead away from it, and the chunk's
own ones lead back, each by a share of what is left.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

SHARE = 0.25


def rejoin(
    chunk: Vector, decided: Vector, displacement: NDArray[np.bool_], lower: Vector, upper: Vector, share: float = SHARE
) -> Vector:
    """The chunk [A, d] that begins with `decided` [m, d], at most A of them, and returns to the path of `chunk`.

    displacement: [d], True where actions add up to the path, False where they are its points; lower, upper: [d], what a
    displacement may be made by the return, where it is not beyond that already; share: 0 to 1, of the distance in one
    action.
    """
    joined = chunk.copy()
    count = min(len(decided), len(chunk))
    if not count:
        return joined
    joined[:count] = decided[:count]
    ahead = chunk[:count] - decided[:count]  # of the path, seen from where the decided actions lead
    away = np.where(displacement, ahead.sum(0), ahead[-1])
    for own, action in zip(joined[count:], chunk[count:], strict=True):
        wanted = np.clip(action + share * away, np.minimum(lower, action), np.maximum(upper, action))
        returned = np.where(displacement, wanted - action, share * away)
        away = away - returned
        own[:] = np.where(displacement, wanted, action - away)
    return joined
