"""Shutting a door: closed fingers push it from outside, near its upper edge, and follow its arc."""

from collections.abc import Mapping

import numpy as np

from mode_ros.sim.libero_expert_grasps import FINGERTIP
from mode_ros.sim.libero_expert_hold import AWAY, LONGEST_RECOVERY, ON_HEIGHT, RETREAT
from mode_ros.sim.libero_expert_motion import CLOSED, Command, Variation
from mode_ros.sim.libero_expert_scene import Goal, Kinds, LiberoScene
from mode_ros.sim.libero_expert_skill import LOW, STALLED, Phase, Skill
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


class ShutDoor(Skill):
    """Closes a door: approach, come down outside, push along its arc, retreat; the fingers stay closed."""

    first = 'approach'

    def __init__(self, scene: LiberoScene, goal: Goal, variation: Variation) -> None:
        super().__init__(scene, goal, variation)
        self._door = scene.door(goal.subject)

    def _phases(self) -> Mapping[str, Phase]:
        return {
            'approach': self._approach,
            'descend': self._descend,
            'push': self._push,
            'retreat': self._retreat,
            'recover': self._recover,
            'finished': self._finished,
        }

    def _look(self) -> None:
        self._door = self._scene.door(self._goal.subject)

    def _approach(self, elapsed: float) -> Command | str:
        if elapsed == 0 and self._scene.satisfied(self._goal):
            return 'finished'
        beside = self._at(BESIDE)
        if self._is_over(beside):
            return 'descend'
        travel = self._travel_height(beside, self._scene.surroundings(), FINGERTIP)
        return self._over(beside, max(travel, beside[2] + LOW), self._rotation(), CLOSED)

    def _descend(self, elapsed: float) -> Command | str:
        beside = self._at(BESIDE)
        error = beside - self._hand.position
        if np.linalg.norm(error[:2]) > AWAY:
            return 'approach'
        if abs(error[2]) < ON_HEIGHT or self._still > STALLED:
            return 'push'
        return Command(beside, self._rotation(), CLOSED, self._slow())

    def _push(self, elapsed: float) -> Command | str:
        if self._scene.satisfied(self._goal):
            return 'retreat'
        away = float(np.linalg.norm(self._at(0.0) - self._hand.position))
        if away > LOST or self._still > STALLED:
            return 'recover'
        return Command(self._at(-AHEAD), self._rotation(), CLOSED, self._slow(), self._slow())

    def _retreat(self, elapsed: float) -> Command | str:
        if self._risen() > RETREAT - ON_HEIGHT or self._still > STALLED:
            return 'finished' if self._scene.satisfied(self._goal) else 'approach'
        return self._rise(RETREAT, CLOSED)

    def _recover(self, elapsed: float) -> Command | str:
        if self._risen() > RETREAT - ON_HEIGHT or elapsed > LONGEST_RECOVERY:
            return 'approach'
        return self._rise(RETREAT, CLOSED)

    def _finished(self, elapsed: float) -> Command | str:
        return self._hold(CLOSED)

    def _at(self, distance: float) -> Floats:
        """[3] the grip site's place when the fingertips are `distance` m outside the door's face."""
        door = self._door
        pushed = door.hinge + ALONG * door.length * door.along + (door.face + distance) * door.outwards
        return np.append(pushed[:2], door.top - OVERLAP + FINGERTIP)
