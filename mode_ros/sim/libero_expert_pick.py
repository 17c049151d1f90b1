"""Picking one thing up and putting it somewhere: the skill that most of LIBERO's tasks are made of."""

import math

import numpy as np

from mode_ros.sim.libero_expert_boxes import Boxes, penetration
from mode_ros.sim.libero_expert_carry import SLIPPED, Carrying
from mode_ros.sim.libero_expert_grasps import downward, grasp_settings, place_settings
from mode_ros.sim.libero_expert_hold import ABOVE, AWAY, ON_HEIGHT, SLOPE
from mode_ros.sim.libero_expert_motion import CLOSED, Command, Variation, nearest_yaw
from mode_ros.sim.libero_expert_scene import Goal, Kinds, LiberoScene
from mode_ros.sim.libero_expert_skill import NEAR, STALLED
from mode_ros.sim.simulator import Floats

PLACE_SPEED = 0.4
"""Speed down to the place, as a share of the demonstration's."""
IN_PLACE = 0.03
"""How far off its place, seen from above, a thing that was let go there still is in it, m."""
HEADROOM, BESIDE = 0.25, 0.01
"""How far above a thing nothing may be when it is raised, and how far beside it, m."""
WAYS_OUT = [
    distance * np.array([math.cos(angle), math.sin(angle), 0.0])
    for distance in (0.02, 0.04, 0.06, 0.08, 0.10, 0.12, 0.14)
    for angle in np.arange(8) * (math.pi / 4)
]
"""Steps aside, the shortest first, from under what hangs over a thing, such as an open drawer, m."""


def can_pick_and_place(task: Kinds, goal: Goal) -> bool:
    """Whether it is known how to hold the goal's subject and where to let it go."""
    return (
        goal.predicate in ('on', 'in')
        and goal.place is not None
        and grasp_settings(task.kind(goal.subject)) is not None
        and place_settings(task.place_kind(goal.place)) is not None
    )


class PickAndPlace(Carrying):
    """Brings a goal's subject to its place: approach, descend, close, lift, carry, lower, open, retreat.

    A hand that was pushed away goes back to its way; a thing that was missed or lost is picked up again.
    """

    def __init__(self, scene: LiberoScene, goal: Goal, variation: Variation, generator: np.random.Generator) -> None:
        holding = grasp_settings(scene.kind(goal.subject))
        letting_go = place_settings(scene.place_kind(goal.place or ''))
        if holding is None or letting_go is None:
            raise ValueError(f'{goal} cannot be reached by picking and placing.')
        self._letting_go = letting_go
        super().__init__(scene, goal, variation, holding, generator)

    def _reached(self) -> bool:
        if self._letting_go.floor is None:
            return super()._reached()
        aside = float(np.linalg.norm((self._hand_target() - self._hand.position)[:2]))
        over_floor = self._thing_shape().points()[:, 2].min() - self._scene.pose(self._place).position[2]
        return super()._reached() or (aside < IN_PLACE and over_floor < self._letting_go.floor + ON_HEIGHT)

    def _carry(self, elapsed: float) -> Command | str:
        if self._slip() > SLIPPED:
            return self._give_up()
        aside = self._way_out()
        if aside is not None:
            here = np.append(self._hand.position[:2], self._start.position[2])
            return Command(here + aside, self._rotation(), CLOSED, self._slow(), self._slow())
        target = self._hand_target()
        travel = self._travel_height(target, self._others(), self._hanging())
        travel = max(travel, self._release_height() + ABOVE / 2)
        turned = self._letting_go.fingers is None or self._is_turned(self._placing())
        if self._is_over(target) and turned and self._hand.position[2] > travel - ABOVE / 2:
            return 'lower'
        return self._over(target, travel, self._placing(), CLOSED)

    def _lower(self, elapsed: float) -> Command | str:
        if self._slip() > SLIPPED:
            return 'open' if self._scene.satisfied(self._goal) else self._give_up()
        target, height = self._hand_target(), self._release_height()
        sideways = float(np.linalg.norm((target - self._hand.position)[:2]))
        if sideways > AWAY:
            return 'carry'
        if (self._hand.position[2] - height < ON_HEIGHT and sideways < NEAR) or self._still > STALLED:
            return 'open'
        height += SLOPE * max(sideways - NEAR, 0.0)
        return Command(np.append(target[:2], height), self._placing(), CLOSED, self._slow(PLACE_SPEED))

    def _way_out(self) -> Floats | None:
        """[3] the shortest step aside, m, from under what hangs over the thing; None where nothing does."""
        corners, others = self._thing_shape().points(), self._others()
        low, high = corners.min(axis=0), corners.max(axis=0)
        half = np.append((high - low)[:2] / 2 + BESIDE, HEADROOM / 2)
        above = np.append((low + high)[:2] / 2, high[2] + HEADROOM / 2)
        ways = (np.zeros(3), *WAYS_OUT)
        free = (
            way for way in ways if penetration(Boxes((above + way)[None], half[None], np.eye(3)[None]), others) == 0
        )
        way = next(free, None)
        return way if way is not None and way.any() else None

    def _hand_target(self) -> Floats:
        """[3] where the hand must be for the thing to be over the middle of its place; its height is the hand's."""
        place = self._scene.pose(self._place)
        target = place.position + place.rotation @ self._letting_go.shift + self._beside()
        thing = self._thing.position
        if self._letting_go.middle:
            corners = self._thing_shape().points()
            thing = (corners.min(axis=0) + corners.max(axis=0)) / 2
        return self._hand.position + np.append((target - thing)[:2] + self._variation.offset, 0.0)

    def _placing(self) -> Floats:
        """[3, 3] of the hand when it lets go."""
        if self._letting_go.fingers is None:
            return self._rotation()
        x, y, _ = self._scene.pose(self._place).rotation @ self._letting_go.fingers
        return downward(nearest_yaw(self._yaw, math.atan2(-x, y)))

    def _beside(self) -> Floats:
        """[3] from the middle of the place to where the thing goes, m: aside where the place is for two.

        The first of the task's goals for that place has one side, all others the other: no task has three.
        """
        sharing = [goal.subject for goal in self._scene.goals if goal.place == self._place]
        if self._letting_go.apart is None or len(sharing) < 2:
            return np.zeros(3)
        side = 1.0 if sharing.index(self._goal.subject) == 0 else -1.0
        return side * self._scene.pose(self._place).rotation @ (*self._letting_go.apart, 0.0)

    def _release_height(self) -> float:
        """Height of the grip site at which to let go."""
        bottom = self._scene.pose(self._place).position[2] + self._letting_go.rest
        height = self._hanging() + bottom
        if self._letting_go.clear is not None:
            walls = self._scene.shape(self._scene.owner(self._place)).points()
            height = max(height, walls[:, 2].max() + self._letting_go.clear)
        return float(height)
