"""Putting a mug into something with a door at its front and a roof: the hand holds it by its handle, from behind."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mode_ros.sim.libero_expert_carry import SLIPPED, Carrying
from mode_ros.sim.libero_expert_grasps import FINGERTIP, downward, grasp_settings, half_turn, inside_settings
from mode_ros.sim.libero_expert_hold import ABOVE, AWAY, CLOSE_TO_GRASP, ON_GRASP, ON_HEIGHT, SLOPE, TURNED
from mode_ros.sim.libero_expert_motion import CLOSED, OPEN, Command, Variation, hand_yaw, tilted, turn_angle
from mode_ros.sim.libero_expert_scene import Goal, Kinds, LiberoScene
from mode_ros.sim.libero_expert_skill import NEAR, STALLED, Phase
from mode_ros.sim.simulator import Floats

FORWARDS = 1.0
"""How far from straight down the fingers point forwards, rad: the palm has to stay outside."""
INSERT_SPEED = 0.4
"""Speed into the opening, as a share of the demonstration's."""
BACK = 0.12
"""How far the hand goes back before it does anything else, m."""


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

    The thing has to stand so that its handle is on the side of the hand, away from the opening.
    """

    def __init__(self, scene: LiberoScene, goal: Goal, variation: Variation, generator: np.random.Generator) -> None:
        holding, inside = grasp_settings(scene.kind(goal.subject)), inside_settings(scene.place_kind(goal.place or ''))
        if holding is None or holding.handle is None or inside is None:
            raise ValueError(f'{goal} cannot be reached by putting something in by its handle.')
        self._handle, self._inside = holding.handle, inside
        super().__init__(scene, goal, variation, holding, generator)

    def _phases(self) -> Mapping[str, Phase]:
        return {**super()._phases(), 'insert': self._insert}

    def _approach(self, elapsed: float) -> Command | str:
        if elapsed == 0 and self._scene.satisfied(self._goal):
            return 'finished'
        grip = self._grip()
        if self._is_over(grip) and turn_angle(self._upright() @ self._hand.rotation.T) < TURNED:
            return 'descend'
        travel = self._travel_height(grip, self._scene.surroundings(), FINGERTIP)
        return self._straight(self._over(grip, max(travel, grip[2] + ABOVE), self._upright(), OPEN))

    def _descend(self, elapsed: float) -> Command | str:
        grip = self._grip()
        error = grip - self._hand.position
        sideways = float(np.linalg.norm(error[:2]))
        if sideways > AWAY:
            return 'approach'
        if np.linalg.norm(error) < ON_GRASP:
            return 'close'
        if self._still > STALLED:
            return 'close' if np.linalg.norm(error) < CLOSE_TO_GRASP else 'recover'
        height = grip[2] + SLOPE * max(sideways - ON_GRASP, 0.0)
        return Command(np.append(grip[:2], height), self._upright(), OPEN, self._slow(), leans=False)

    def _carry(self, elapsed: float) -> Command | str:
        if self._slip() > SLIPPED:
            return self._give_up()
        before = self._hand_target(self._inside.before)
        error = before - self._hand.position
        if np.linalg.norm(error[:2]) < NEAR and abs(error[2]) < ON_HEIGHT:
            return 'insert'
        return Command(before, self._upright(), CLOSED, self._slow(), self._slow(), leans=False)

    def _insert(self, elapsed: float) -> Command | str:
        if self._slip() > SLIPPED:
            return self._give_up()
        target = self._hand_target(self._inside.depth)
        if np.linalg.norm((target - self._hand.position)[:2]) < ON_HEIGHT or self._still > STALLED:
            return 'lower'
        speed = self._slow(INSERT_SPEED)
        return Command(target, self._upright(), CLOSED, speed, speed, leans=False)

    def _lower(self, elapsed: float) -> Command | str:
        target = self._start.position - (0.0, 0.0, self._inside.clear)
        if self._still > STALLED or self._hand.position[2] < target[2] + ON_GRASP:
            return 'open'
        return Command(target, self._upright(), CLOSED, self._slow(INSERT_SPEED), leans=False)

    def _retreat(self, elapsed: float) -> Command | str:
        back = -self._forwards()
        gone = float((self._hand.position - self._start.position) @ back)
        if gone > BACK - ON_HEIGHT or self._still > STALLED:
            return 'finished' if self._scene.satisfied(self._goal) else 'approach'
        return Command(
            self._start.position + BACK * back, self._upright(), OPEN, self._slow(), self._slow(), leans=False
        )

    def _hold(self, gripper: float) -> Command:
        return self._straight(super()._hold(gripper))

    def _rise(self, height: float, gripper: float) -> Command:
        return self._straight(super()._rise(height, gripper))

    def _straight(self, command: Command) -> Command:
        return replace(command, leans=False)

    def _grip(self) -> Floats:
        """[3] the middle of the handle's bar."""
        return self._thing.position + self._thing.rotation @ self._handle

    def _hand_target(self, depth: float) -> Floats:
        """[3] where the hand is when the thing is `depth` m beyond the opening's middle, clear of its floor."""
        place = self._scene.pose(self._place)
        goal = place.position + place.rotation @ (self._inside.aside, 0.0, self._inside.floor + self._inside.clear)
        return self._hand.position + goal + depth * self._forwards() - self._thing.position

    def _forwards(self) -> Floats:
        """[3] horizontal unit vector into the opening."""
        return self._scene.pose(self._place).rotation[:, 1]

    def _upright(self) -> Floats:
        """[3, 3] of a hand whose fingers, side by side, point forwards and down."""
        x, y, _ = self._forwards()
        yaw = hand_yaw(self._hand)
        yaw += half_turn(math.atan2(y, x) - yaw)
        return tilted(downward(yaw), self._forwards()[:2], FORWARDS)
