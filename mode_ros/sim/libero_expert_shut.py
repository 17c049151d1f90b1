"""Pushing a drawer shut: the hand comes from the front, its closed fingers pointing forwards and down at the handle."""

import math
from collections.abc import Mapping

import numpy as np

from mode_ros.sim.libero_expert_grasps import FINGERTIP, downward, half_turn
from mode_ros.sim.libero_expert_hold import AWAY, LONGEST_RECOVERY
from mode_ros.sim.libero_expert_motion import CLOSED, Command, hand_yaw, tilted, turn_angle
from mode_ros.sim.libero_expert_scene import Goal, Kinds
from mode_ros.sim.libero_expert_skill import LOW, NEAR, STALLED, Phase, Skill
from mode_ros.sim.simulator import Floats

SHUT = ('white_cabinet/bottom_region',)
"""Drawers that it has been tried on."""
BEFORE = 0.06
"""How far in front of the handle the hand comes down, m."""
FORWARDS = 0.5
"""How far from straight down the fingers point forwards, rad: the palm must not meet the handles higher up."""
AHEAD = 0.05
"""How far behind the handle the hand is told to be when it pushes, m: as much as moves a drawer with friction."""
BACK = 0.07
"""How far the hand goes back from the shut drawer, m."""
TURNED = 0.15
"""How close to that turn is close enough to come down, rad."""


def can_shut(task: Kinds, goal: Goal) -> bool:
    """Whether the goal is to close a drawer whose front the hand can come to."""
    return goal.predicate == 'close' and task.place_kind(goal.subject) in SHUT


class Shut(Skill):
    """Closes a drawer: approach, come down in front, push, back; the fingers stay closed."""

    first = 'approach'

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
        self._drawer = self._scene.drawer(self._goal.subject)

    def _approach(self, elapsed: float) -> Command | str:
        if elapsed == 0 and self._scene.satisfied(self._goal):
            return 'finished'
        before = self._at(BEFORE)
        if self._is_over(before) and turn_angle(self._upright() @ self._hand.rotation.T) < TURNED:
            return 'descend'
        travel = self._travel_height(before, self._scene.surroundings(), FINGERTIP)
        return self._turned(self._over(before, max(travel, before[2] + LOW), self._upright(), CLOSED))

    def _descend(self, elapsed: float) -> Command | str:
        before = self._at(BEFORE)
        error = before - self._hand.position
        if np.linalg.norm(error[:2]) > AWAY:
            return 'approach'
        if np.linalg.norm(error) < NEAR or self._still > STALLED:
            return 'push'
        return Command(before, self._upright(), CLOSED, self._slow(), leans=False)

    def _push(self, elapsed: float) -> Command | str:
        if self._scene.satisfied(self._goal):
            return 'retreat'
        error = self._at(0.0) - self._hand.position
        if np.linalg.norm(error - (error @ self._drawer.opens) * self._drawer.opens) > AWAY or self._still > STALLED:
            return 'recover'
        return Command(self._at(-AHEAD), self._upright(), CLOSED, self._slow(), self._slow(), leans=False)

    def _retreat(self, elapsed: float) -> Command | str:
        gone = float(np.linalg.norm(self._hand.position - self._start.position))
        if gone > BACK - NEAR or self._still > STALLED:
            return 'finished' if self._scene.satisfied(self._goal) else 'approach'
        target = self._start.position + BACK * self._drawer.opens
        return Command(target, self._upright(), CLOSED, self._slow(), self._slow(), leans=False)

    def _recover(self, elapsed: float) -> Command | str:
        before = self._at(BEFORE)
        if np.linalg.norm(before - self._hand.position) < NEAR or elapsed > LONGEST_RECOVERY:
            return 'approach'
        return Command(before, self._upright(), CLOSED, self._slow(), self._slow(), leans=False)

    def _finished(self, elapsed: float) -> Command | str:
        return self._turned(self._hold(CLOSED))

    def _at(self, distance: float) -> Floats:
        """[3] a point that is `distance` m in front of the handle."""
        return self._drawer.handle + distance * self._drawer.opens

    def _upright(self) -> Floats:
        """[3, 3] of a hand whose fingers, side by side, point at the drawer's front from above."""
        x, y, _ = self._drawer.opens
        yaw = hand_yaw(self._hand)
        yaw += half_turn(math.atan2(y, x) - yaw)
        return tilted(downward(yaw), -self._drawer.opens[:2], FORWARDS)

    def _turned(self, command: Command) -> Command:
        return Command(command.position, self._upright(), command.gripper, command.speed, command.sideways, leans=False)
