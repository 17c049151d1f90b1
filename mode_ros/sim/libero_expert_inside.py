"""Putting a mug into something that has a roof: the hand holds it by its handle and stays outside."""

import math
from collections.abc import Mapping

import numpy as np

from mode_ros.sim.libero_expert_carry import SLIPPED, STANDING, Carrying
from mode_ros.sim.libero_expert_grasps import downward, grasp_settings, inside_settings
from mode_ros.sim.libero_expert_hold import AWAY, LONGEST_RECOVERY, ON_GRASP, ON_HEIGHT, OPENING, TURNED
from mode_ros.sim.libero_expert_motion import (
    CLOSED,
    OPEN,
    Command,
    Variation,
    hand_yaw,
    nearest_yaw,
    tilted,
    turn_angle,
)
from mode_ros.sim.libero_expert_scene import Goal, Kinds, LiberoScene
from mode_ros.sim.libero_expert_skill import NEAR, STALLED, Phase
from mode_ros.sim.simulator import Floats

FORWARDS = 1.0
"""How far from straight down the fingers point forwards, rad: the palm has to stay outside."""
INSERT_SPEED = 0.4
"""Speed into the opening, as a share of the demonstration's."""
OFF_LINE = 0.014
"""How far aside of its way in the thing has been pushed off it, m: less than there is to the nearer wall."""
OUT, BACK = 0.15, 0.15
"""How far in front of the opening the hand is out of it, and how far back it is told to go at a time, m."""
TOO_DEEP = 0.05
"""How far in front of the opening the handle must be for the fingers to come down on it, m."""
TOWARDS_HAND = 0.8
"""Cosine of how far the handle may be turned from the way out."""


def can_put_inside(task: Kinds, goal: Goal) -> bool:
    """Whether the goal is to put something with a handle into something whose opening is known."""
    return (
        goal.predicate == 'in'
        and goal.place is not None
        and (holding := grasp_settings(task.kind(goal.subject))) is not None
        and holding.handle is not None
        and inside_settings(task.place_kind(goal.place)) is not None
    )


class PutInside(Carrying):
    """Puts a goal's subject inside: approach, descend, close, lift, carry before the opening, insert, lower, open,
    retreat.

    The thing has to stand with its handle away from the opening, which has to be open, as in the benchmark's task. One
    that fell over, or whose handle cannot be reached, is given up: the hand stays where it is. Of the past it also
    keeps how the hand is to be turned, chosen when it began to approach.
    """

    leans = False

    def __init__(self, scene: LiberoScene, goal: Goal, variation: Variation, generator: np.random.Generator) -> None:
        holding, inside = grasp_settings(scene.kind(goal.subject)), inside_settings(scene.place_kind(goal.place or ''))
        if holding is None or holding.handle is None or inside is None:
            raise ValueError(f'{goal} cannot be reached by putting something in by its handle.')
        self._handle, self._inside = holding.handle, inside
        self._facing = 0.0
        super().__init__(scene, goal, variation, holding, generator)

    def _phases(self) -> Mapping[str, Phase]:
        return {**super()._phases(), 'insert': self._insert, 'stay': self._stay}

    def _approach(self, elapsed: float) -> Command | str:
        if elapsed == 0:
            x, y, _ = self._forwards()
            self._facing = nearest_yaw(hand_yaw(self._hand), math.atan2(y, x))
            if not self._reached() and not self._is_in_reach():
                return 'stay'
        return super()._approach(elapsed)

    def _aim(self) -> tuple[Floats, Floats]:
        return self._thing.position + self._thing.rotation @ self._handle, self._rotation()

    def _is_turned(self, rotation: Floats) -> bool:
        return turn_angle(rotation @ self._hand.rotation.T) < TURNED

    def _stay(self, elapsed: float) -> Command | str:
        return self._hold(OPEN)

    def _hold(self, gripper: float) -> Command:
        return Command(self._start.position, self._start.rotation, gripper, self._slow(), leans=False)

    def _carry(self, elapsed: float) -> Command | str:
        if self._is_lost():
            return self._give_up()
        way = self._way(self._inside.before)
        inwards = float(way @ self._forwards())
        if np.linalg.norm(way[:2]) < NEAR and abs(way[2]) < ON_HEIGHT:
            return 'insert'
        if inwards < -NEAR:  # straight out of the opening first
            way = inwards * self._forwards()
        return self._by(way, CLOSED)

    def _insert(self, elapsed: float) -> Command | str:
        if self._is_lost() or self._still > STALLED:
            return self._give_up()
        way = self._way(self._inside.depth)
        inwards = float(way @ self._forwards())
        if inwards < ON_HEIGHT:
            return 'lower'
        if np.linalg.norm((way - inwards * self._forwards())[:2]) > OFF_LINE:
            return 'carry'
        return self._by(way, CLOSED, INSERT_SPEED)

    def _lower(self, elapsed: float) -> Command | str:
        target, speed = self._start.position - (0.0, 0.0, self._inside.clear), self._slow(INSERT_SPEED)
        lost = self._slip() > SLIPPED or np.linalg.norm(self._hand.position - target) > AWAY
        if lost or self._still > STALLED or self._hand.position[2] < target[2] + ON_GRASP:
            return 'open'
        return Command(target, self._rotation(), CLOSED, speed, speed, leans=False)

    def _retreat(self, elapsed: float) -> Command | str:
        if self._is_out() or self._still > STALLED:
            return 'finished' if self._reached() else 'approach'
        return self._by(-BACK * self._forwards(), OPEN)

    def _recover(self, elapsed: float) -> Command | str:
        if elapsed < OPENING:
            return self._hold(OPEN)
        # Back and not up: the fingers may be under the roof. Once out, the way to the next approach begins upwards.
        if self._is_out() or elapsed > LONGEST_RECOVERY:
            return 'approach'
        return self._by(-BACK * self._forwards(), OPEN)

    def _by(self, way: Floats, gripper: float, share: float = 1.0) -> Command:
        """By `way` [3] m from where the hand is."""
        speed = self._slow(share)
        return Command(self._hand.position + way, self._rotation(), gripper, speed, speed, leans=False)

    def _is_in_reach(self) -> bool:
        """Whether the thing stands, its handle outside and towards the hand."""
        grip, _ = self._aim()
        outwards = -float((self._thing.rotation @ self._handle) @ self._forwards())
        turned = outwards > TOWARDS_HAND * np.linalg.norm(self._handle[:2])
        return bool(self._stands() and turned and self._depth(grip) < self._inside.edge - TOO_DEEP)

    def _stands(self) -> bool:
        return float(self._thing.rotation[2, 2]) > STANDING

    def _is_lost(self) -> bool:
        return self._slip() > SLIPPED or not self._stands()

    def _depth(self, point: Floats) -> float:
        """How far a point [3] is beyond the place's origin, m."""
        return float((point - self._scene.pose(self._place).position) @ self._forwards())

    def _is_out(self) -> bool:
        return self._depth(self._hand.position) < self._inside.edge - OUT

    def _way(self, depth: float) -> Floats:
        """[3] m from where the thing is to `depth` m beyond the place's origin, clear of its floor."""
        place = self._scene.pose(self._place).position
        goal = place + depth * self._forwards() + (0.0, 0.0, self._inside.floor + self._inside.clear)
        return goal - self._thing.position

    def _forwards(self) -> Floats:
        """[3] horizontal unit vector into the opening."""
        return self._scene.pose(self._place).rotation[:, 1]

    def _rotation(self) -> Floats:
        """[3, 3] of a hand whose fingers, side by side, point forwards and down."""
        return tilted(downward(self._facing), self._forwards()[:2], FORWARDS)
