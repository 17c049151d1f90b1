"""Taking a thing along in the fingers: what the skills that bring something somewhere have in common."""

import math
from abc import abstractmethod
from collections.abc import Mapping

import numpy as np

from mode_ros.sim.libero_expert_boxes import Boxes
from mode_ros.sim.libero_expert_hold import ON_HEIGHT, Grasping
from mode_ros.sim.libero_expert_motion import CLOSED, Command
from mode_ros.sim.libero_expert_scene import Pose
from mode_ros.sim.libero_expert_skill import Phase

LIFT = 0.07
"""How high a thing is lifted before it is looked at whether it came along, m."""
STANDING = math.cos(0.4)
"""Cosine of how far a thing may lean that has to stand, in the hand or in the world."""
SLIPPED = 0.045
"""How much a held thing may move in the hand before it counts as lost, m."""


class Carrying(Grasping):
    """A skill that takes hold of a goal's subject and lifts it; where to, its phase 'carry' says."""

    after_closing = 'lift'

    def _phases(self) -> Mapping[str, Phase]:
        return {**super()._phases(), 'lift': self._lift, 'carry': self._carry, 'lower': self._lower}

    def _thing_pose(self) -> Pose:
        return self._scene.pose(self._goal.subject)

    def _thing_shape(self) -> Boxes:
        return self._scene.shape(self._goal.subject)

    def _others(self) -> Boxes:
        return self._scene.surroundings(without=(self._goal.subject,))

    def _lift(self, elapsed: float) -> Command | str:
        if self._slip() > SLIPPED:
            return self._give_up()
        if self._risen() > LIFT - ON_HEIGHT:
            came_along = self._thing.position[2] - self._start_thing.position[2] > self._risen() / 2
            return 'carry' if came_along else self._give_up()
        return self._rise(LIFT, CLOSED)

    @abstractmethod
    def _carry(self, elapsed: float) -> Command | str: ...

    @abstractmethod
    def _lower(self, elapsed: float) -> Command | str: ...

    def _slip(self) -> float:
        """How far the thing has moved in the hand since this phase began, m."""
        now = self._hand.rotation.T @ (self._thing.position - self._hand.position)
        then = self._start.rotation.T @ (self._start_thing.position - self._start.position)
        return float(np.linalg.norm(now - then))

    def _hanging(self) -> float:
        """How far the thing reaches below the grip site, m."""
        return float(self._hand.position[2] - self._thing_shape().points()[:, 2].min())
