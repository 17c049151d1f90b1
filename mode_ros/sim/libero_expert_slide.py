"""Moving a thing over the table to a region of it: the skill that brings LIBERO's plate to the front of the stove."""

import numpy as np

from mode_ros.sim.libero_expert_grasps import FINGERTIP
from mode_ros.sim.libero_expert_hold import ABOVE, AWAY
from mode_ros.sim.libero_expert_motion import CLOSED, Command
from mode_ros.sim.libero_expert_push import Pushing
from mode_ros.sim.libero_expert_scene import Goal, Kinds
from mode_ros.sim.libero_expert_skill import STALLED
from mode_ros.sim.simulator import Floats

FLAT = ('plate',)
"""What lies so flat, and with a rim, that closed fingers inside it take it along."""
INSIDE = 0.004
"""Height over the origin of the thing's body at which the fingertips touch it, m."""
PRESSED = 0.001
"""How far below that the hand is when it slides, m. One or two millimetres less, and the fingers ride up over
the rim; three more, and the plate hardly moves on the table."""
ARRIVED = 0.015
"""How close to the region's middle, seen from above, the thing is let go, m."""


def can_slide(task: Kinds, goal: Goal) -> bool:
    """Whether the goal is to bring something flat to a region of the table."""
    return (
        goal.predicate == 'on'
        and goal.place is not None
        and task.place_kind(goal.place).partition('/')[0].endswith('table')
        and task.kind(goal.subject) in FLAT
    )


class Slide(Pushing):
    """Slides a goal's subject over the table: approach, descend, slide, retreat; the fingers stay closed."""

    pushing = 'slide'
    rises = ABOVE

    def _look(self) -> None:
        self._thing = self._scene.pose(self._goal.subject).position

    def _approach(self, elapsed: float) -> Command | str:
        if elapsed == 0 and self._scene.satisfied(self._goal):
            return 'finished'
        if self._is_over(self._touch()):
            return 'descend'
        travel = self._travel_height(self._thing, self._scene.surroundings(), FINGERTIP)
        return self._over(self._touch(), max(travel, self._touch()[2] + ABOVE), self._rotation(), CLOSED)

    def _push(self, elapsed: float) -> Command | str:
        missing = (self._scene.pose(self._place).position - self._thing)[:2]
        if np.linalg.norm(missing) < ARRIVED:
            return 'retreat'
        if np.linalg.norm((self._thing - self._hand.position)[:2]) > AWAY or self._still > STALLED:
            return 'recover'
        target = np.append(self._hand.position[:2] + missing, self._touch()[2] - PRESSED)
        return Command(target, self._rotation(), CLOSED, self._slow(), self._slow())

    def _touch(self) -> Floats:
        """[3] the grip site's place when the fingertips touch the thing's inside."""
        return self._thing + np.append(self._variation.offset, INSIDE + FINGERTIP)
