"""Pulling a drawer open by its handle: the hand comes from the front, its fingers above and below the bar."""

import math
from collections.abc import Mapping

import numpy as np

from mode_ros.sim.libero_expert_grasps import FINGERTIP, downward, half_turn
from mode_ros.sim.libero_expert_hold import AWAY, CLOSING, LONGEST_CLOSING, LONGEST_RECOVERY, ON_GRASP, OPENING
from mode_ros.sim.libero_expert_motion import CLOSED, OPEN, Command, Variation, tilted, turn_angle
from mode_ros.sim.libero_expert_scene import Goal, Kinds, LiberoScene
from mode_ros.sim.libero_expert_skill import LOW, NEAR, STALLED, STILL, Phase, Skill
from mode_ros.sim.simulator import Floats

DRAWERS = ('wooden_cabinet/middle_region', 'wooden_cabinet/top_region')
"""Those whose handles the hand has room to come to; the lowest is too close to the table."""
BEFORE = 0.10
"""How far in front of the handle the hand comes down, m."""
DOWNWARDS = 0.15
"""How far below the horizontal the fingers point, rad: the more, the further the palm is from the table."""
TURNED = 0.12
"""How close to that turn is close enough to come down, rad."""
BEYOND = 0.006
"""How far beyond the middle of the bar the grip site goes, m."""
AHEAD = 0.06
"""How far in front of the handle the hand is told to be when it pulls, m: as much as moves a drawer with friction."""
BACK = 0.08
"""How far the hand goes back from the open drawer, m."""


def can_open_drawer(task: Kinds, goal: Goal) -> bool:
    """Whether the goal is to open a drawer whose handle the hand can come to."""
    return goal.predicate == 'open' and task.place_kind(goal.subject) in DRAWERS


class OpenDrawer(Skill):
    """Opens a drawer: approach, come down in front, reach, close, pull, open, back."""

    first = 'approach'

    def __init__(self, scene: LiberoScene, goal: Goal, variation: Variation) -> None:
        super().__init__(scene, goal, variation)
        self._drawer = scene.drawer(goal.subject)
        self._attempts = 0

    @property
    def attempts(self) -> int:
        """How often it has closed the fingers."""
        return self._attempts

    def _phases(self) -> Mapping[str, Phase]:
        return {
            'approach': self._approach,
            'descend': self._descend,
            'reach': self._reach,
            'close': self._close,
            'pull': self._pull,
            'open': self._open,
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
        travel = self._travel_height(before, self._scene.surroundings(), FINGERTIP)
        if self._is_over(before) and turn_angle(self._upright() @ self._hand.rotation.T) < TURNED:
            return 'descend'
        return self._turned(self._over(before, max(travel, before[2] + LOW), self._upright(), OPEN))

    def _descend(self, elapsed: float) -> Command | str:
        before = self._at(BEFORE)
        error = before - self._hand.position
        if np.linalg.norm(error[:2]) > AWAY:
            return 'approach'
        if np.linalg.norm(error) < NEAR or self._still > STALLED:
            return 'reach'
        return Command(before, self._upright(), OPEN, self._slow(), leans=False)

    def _reach(self, elapsed: float) -> Command | str:
        target = self._at(-BEYOND)
        error = target - self._hand.position
        if abs(error[2]) > AWAY:
            return 'approach'
        if np.linalg.norm(error) < ON_GRASP:
            return 'close'
        if self._still > STALLED:
            return 'close' if np.linalg.norm(error) < 2 * ON_GRASP else 'recover'
        return Command(target, self._upright(), OPEN, self._slow(), self._slow(), leans=False)

    def _close(self, elapsed: float) -> Command | str:
        if elapsed > LONGEST_CLOSING or (elapsed > CLOSING + self._variation.pause and self._finger_speed < STILL):
            self._attempts += 1
            return 'pull'
        return self._turned(self._hold(CLOSED))

    def _pull(self, elapsed: float) -> Command | str:
        if self._scene.satisfied(self._goal):
            return 'open'
        if np.linalg.norm(self._hand.position - self._drawer.handle) > AWAY or self._still > STALLED:
            return 'recover'
        target = self._at(AHEAD)
        return Command(target, self._upright(), CLOSED, self._slow(), leans=False)

    def _open(self, elapsed: float) -> Command | str:
        return 'retreat' if elapsed > OPENING + self._variation.pause else self._turned(self._hold(OPEN))

    def _retreat(self, elapsed: float) -> Command | str:
        gone = float(np.linalg.norm(self._hand.position - self._start.position))
        if gone > BACK - NEAR or self._still > STALLED:
            return 'finished' if self._scene.satisfied(self._goal) else 'approach'
        target = self._start.position + BACK * self._drawer.opens
        return Command(target, self._upright(), OPEN, self._slow(), self._slow(), leans=False)

    def _recover(self, elapsed: float) -> Command | str:
        if elapsed < OPENING:
            return self._turned(self._hold(OPEN))
        before = self._at(BEFORE)
        if np.linalg.norm(before - self._hand.position) < NEAR or elapsed > LONGEST_RECOVERY:
            return 'approach'
        return Command(before, self._upright(), OPEN, self._slow(), self._slow(), leans=False)

    def _finished(self, elapsed: float) -> Command | str:
        return self._turned(self._hold(OPEN))

    def _at(self, distance: float) -> Floats:
        """[3] a point that is `distance` m in front of the handle."""
        return self._drawer.handle + distance * self._drawer.opens

    def _upright(self) -> Floats:
        """[3, 3] of a hand that points at the drawer's front, its fingers one above the other."""
        x, y, _ = self._drawer.opens
        yaw = half_turn(math.atan2(-x, y))
        return tilted(downward(yaw), -self._drawer.opens[:2], math.pi / 2 - DOWNWARDS)

    def _turned(self, command: Command) -> Command:
        return Command(command.position, self._upright(), command.gripper, command.speed, command.sideways, leans=False)
