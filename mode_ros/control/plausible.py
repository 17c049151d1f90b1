"""Whether the targets of a chunk hang together: how far each lies from the one before it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import Contract
from mode_ros.control.safety import tracking_limits

Vector = NDArray[np.float64]

# A pose begins with so many numbers that are a position.
POSITIONS = 3


class Plausibility:
    """Targets only: a displacement is no place, and what is too large of it is cut off by the limits.

    Two targets in a row may be as far apart as a command may be from what is measured, and a largest step more. What is
    merely too fast is not judged: limits that are set low slow such a plan down.
    """

    def __init__(self, contract: Contract) -> None:
        self._names = contract.action_names
        steps = np.array([dimension.max_step or 0.0 for dimension in contract.dimensions])
        self._limits = tracking_limits(contract) + steps
        for group in contract.action:
            if group.output.adapter == 'pose':
                # A rotation's numbers jump where its angle goes round.
                place = contract.group_slices[group.name]
                self._limits[place.start + POSITIONS : place.stop] = np.inf

    def jump(self, start: Vector, actions: Vector, first: int = 0) -> str:
        """'' or which action jumps: the first of `actions` [n, d] from `start` [d] (NaN: nobody knows), or another from
        the one before it. first: the chunk's index of actions[0].
        """
        shares = np.nan_to_num(np.abs(np.diff(actions, axis=0, prepend=start[None])) / self._limits)
        if not (shares > 1.0).any():
            return ''
        index = int(np.argmax(shares.max(axis=1) > 1.0))
        worst = int(np.argmax(shares[index]))
        return (
            f'{self._names[worst]} jumps by {shares[index, worst] * self._limits[worst]:.3g} to action {first + index} '
            f'(limit {self._limits[worst]:.3g})'
        )
