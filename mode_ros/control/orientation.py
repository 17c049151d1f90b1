"""One sign for quaternions: q and -q are the same orientation, and a policy must not see both.

A driver may flip the sign whenever it likes. The first quaternion of a stream gets the sign on the side of a fixed
direction, each later message that which is nearer to the one before, whether an observation holds them or not: a pose
that stands still stays one point, one that turns moves without a jump. Recorded and live streams go through the same
code.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Of x, y, z, w. Chosen far from a right angle to every orientation that robots are built in (all that turn axes onto
# axes or onto diagonals: |dot| > 0.09), so that noise does not decide the sign at the start of an episode.
_REFERENCE = np.array([0.897, 0.229, -0.096, 0.366])


def continuous(pose: NDArray[np.float64], before: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """`pose` [7] (x, y, z, qx, qy, qz, qw) with the sign of its quaternion that is nearer to that of `before` [7], or
    to the fixed direction where that is None. Not changed in place.
    """
    reference = _REFERENCE if before is None else before[3:]
    if float(pose[3:] @ reference) >= 0.0:
        return pose
    return np.concatenate([pose[:3], -pose[3:]])
