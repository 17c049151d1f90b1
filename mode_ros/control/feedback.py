"""Where a group is, in the numbers of its action: from the state that the contract names as its feedback."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import ActionGroup, State
from mode_ros.control.poses import pose_vector


def measured_action(group: ActionGroup, state: State, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The action [n] of `group` that keeps it where `state` measures it with `values`; NaN where that means nothing.

    Joints are found by name; a pose is expressed as the group's dimensions say.
    """
    if group.output.adapter == 'pose':
        try:
            return pose_vector(values[:3], values[3:], group)
        except ValueError:  # a quaternion of length 0, as drivers send before they know
            return np.full(len(group.names), np.nan)
    return values[[state.names.index(name) for name in group.names]]
