"""Shutting a door: closed fingers push it from outside, near its upper edge, and follow its arc."""

import numpy as np

from mode_ros.sim.libero_expert_grasps import FINGERTIP
from mode_ros.sim.libero_expert_hold import RETREAT
from mode_ros.sim.libero_expert_motion import CLOSED, Command, Variation
from mode_ros.sim.libero_expert_push import Pushing
from mode_ros.sim.libero_expert_scene import Goal, Kinds, LiberoScene
from mode_ros.sim.libero_expert_skill import LOW, STALLED
from mode_ros.sim.simulator import Floats

DOORS = ('microwave',)
"""Fixtures whose only joint is a door's, with an upright axis."""
ALONG = 0.8
"""Where it is pushed, from the hinge on, as a share of the door's length."""
BESIDE = 0.055
"""How far outside the door's face the hand comes down, m."""
LOST = 0.16
"""How far from where it pushes the hand has been pushed away, m."""
OVERLAP = 0.02
"""How far below the door's upper edge the fingertips are, m."""
AHEAD = 0.085
"""How far inside the door's face the hand is told to be when it pushes, m."""


def can_shut_door(task: Kinds, goal: Goal) -> bool:
    """Whether the goal is to close something by its door."""
    return goal.predicate == 'close' and task.place_kind(goal.subject) in DOORS


class ShutDoor(Pushing):
    """Closes a door: approach, come down outside, push along its arc, retreat; the fingers stay closed."""

    pushing = 'push'
    rises = RETREAT

    def __init__(self, scene: LiberoScene, goal: Goal, variation: Variation) -> None:
        super().__init__(scene, goal, variation)
        self._door = scene.door(goal.subject)

    def _look(self) -> None:
        self._door = self._scene.door(self._goal.subject)

    def _approach(self, elapsed: float) -> Command | str:
        if elapsed == 0 and self._scene.satisfied(self._goal):
            return 'finished'
        beside = self._touch()
        if self._is_over(beside):
            return 'descend'
        travel = self._travel_height(beside, self._scene.surroundings(), FINGERTIP)
        return self._over(beside, max(travel, beside[2] + LOW), self._rotation(), CLOSED)

    def _push(self, elapsed: float) -> Command | str:
        if self._scene.satisfied(self._goal):
            return 'retreat'
        away = float(np.linalg.norm(self._at(0.0) - self._hand.position))
        if away > LOST or self._still > STALLED:
            return 'recover'
        return Command(self._at(-AHEAD), self._rotation(), CLOSED, self._slow(), self._slow())

    def _touch(self) -> Floats:
        return self._at(BESIDE)

    def _at(self, distance: float) -> Floats:
        """[3] the grip site's place when the fingertips are `distance` m outside the door's face."""
        door = self._door
        pushed = door.hinge + ALONG * door.length * door.along + (door.face + distance) * door.outwards
        return np.append(pushed[:2], door.top - OVERLAP + FINGERTIP)
