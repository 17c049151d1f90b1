"""Opening and shutting a drawer: the hand comes from the front, to the bar of its handle."""

import math
from collections.abc import Mapping

import numpy as np

from mode_ros.sim.libero_expert_grasps import FINGERTIP, downward, half_turn
from mode_ros.sim.libero_expert_hold import AWAY, CLOSING, LONGEST_CLOSING, LONGEST_RECOVERY, ON_GRASP, OPENING, TURNED
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
from mode_ros.sim.libero_expert_skill import LOW, NEAR, STALLED, STILL, Phase, Skill
from mode_ros.sim.simulator import Floats

OPENS = ('wooden_cabinet/middle_region', 'wooden_cabinet/top_region')
"""Those whose handles the hand has room to take hold of; the lowest is too close to the table."""
SHUTS = ('white_cabinet/bottom_region',)
"""Those that pushing them shut was tried on."""
DOWNWARDS = 0.15
"""How far below the horizontal the fingers point that pull, rad: the more, the further the palm is from the table."""
FORWARDS = 0.5
"""How far from straight down the fingers point that push, rad: the palm must not meet the handles higher up, nor the
arm what stands before the cabinet."""
BEYOND = 0.006
"""How far beyond the middle of the bar the grip site goes, m."""
AHEAD = 0.06
"""How far in front of the handle the hand is told to be when it pulls, and how far behind it when it pushes, m: as much
as moves a drawer with friction."""


def can_open_drawer(task: Kinds, goal: Goal) -> bool:
    """Whether the goal is to open a drawer whose handle the hand can come to."""
    return goal.predicate == 'open' and task.place_kind(goal.subject) in OPENS


def can_shut_drawer(task: Kinds, goal: Goal) -> bool:
    """Whether the goal is to close a drawer whose front the hand can come to."""
    return goal.predicate == 'close' and task.place_kind(goal.subject) in SHUTS


class AtDrawer(Skill):
    """What a hand does in front of a drawer, before and after: approach, come down; go back, recover."""

    first = 'approach'
    leans = False
    gripper: float
    """Of a hand that does not hold the bar."""
    before: float
    """How far in front of the handle the hand comes down, m."""
    back: float
    """How far it goes back from the drawer at the end, m."""
    after_descending: str
    """The phase that follows when it is in front of the handle."""

    def __init__(self, scene: LiberoScene, goal: Goal, variation: Variation) -> None:
        super().__init__(scene, goal, variation)
        self._drawer = scene.drawer(goal.subject)

    def _phases(self) -> Mapping[str, Phase]:
        return {
            'approach': self._approach,
            'descend': self._descend,
            'retreat': self._retreat,
            'recover': self._recover,
            'finished': self._finished,
        }

    def _look(self) -> None:
        self._drawer = self._scene.drawer(self._goal.subject)

    def _approach(self, elapsed: float) -> Command | str:
        if elapsed == 0 and self._scene.satisfied(self._goal):
            return 'finished'
        before = self._at(self.before)
        travel = self._travel_height(before, self._scene.surroundings(), FINGERTIP)
        if self._is_over(before) and turn_angle(self._rotation() @ self._hand.rotation.T) < TURNED:
            return 'descend'
        return self._over(before, max(travel, before[2] + LOW), self._rotation(), self.gripper)

    def _descend(self, elapsed: float) -> Command | str:
        before = self._at(self.before)
        error = before - self._hand.position
        if np.linalg.norm(error[:2]) > AWAY:
            return 'approach'
        if np.linalg.norm(error) < NEAR or self._still > STALLED:
            return self.after_descending
        return Command(before, self._rotation(), self.gripper, self._slow(), leans=False)

    def _retreat(self, elapsed: float) -> Command | str:
        gone = float(np.linalg.norm(self._hand.position - self._start.position))
        if gone > self.back - NEAR or self._still > STALLED:
            return 'finished' if self._scene.satisfied(self._goal) else 'approach'
        target = self._start.position + self.back * self._drawer.opens
        return Command(target, self._rotation(), self.gripper, self._slow(), self._slow(), leans=False)

    def _recover(self, elapsed: float) -> Command | str:
        before = self._at(self.before)
        if np.linalg.norm(before - self._hand.position) < NEAR or elapsed > LONGEST_RECOVERY:
            return 'approach'
        return Command(before, self._rotation(), self.gripper, self._slow(), self._slow(), leans=False)

    def _finished(self, elapsed: float) -> Command | str:
        return self._hold(self.gripper)

    def _at(self, distance: float) -> Floats:
        """[3] a point that is `distance` m in front of the handle."""
        return self._drawer.handle + distance * self._drawer.opens


class OpenDrawer(AtDrawer):
    """Opens a drawer: approach, come down in front, reach, close, pull, open, back; the fingers hold the bar from above
    and below.
    """

    gripper = OPEN
    before = 0.10
    back = 0.08
    after_descending = 'reach'

    def __init__(self, scene: LiberoScene, goal: Goal, variation: Variation) -> None:
        super().__init__(scene, goal, variation)
        self._attempts = 0

    @property
    def attempts(self) -> int:
        """How often it has closed the fingers."""
        return self._attempts

    def _phases(self) -> Mapping[str, Phase]:
        return {
            **super()._phases(),
            'reach': self._reach,
            'close': self._close,
            'pull': self._pull,
            'open': self._open,
        }

    def _reach(self, elapsed: float) -> Command | str:
        target = self._at(-BEYOND)
        error = target - self._hand.position
        if abs(error[2]) > AWAY:
            return 'approach'
        if np.linalg.norm(error) < ON_GRASP:
            return 'close'
        if self._still > STALLED:
            return 'close' if np.linalg.norm(error) < 2 * ON_GRASP else 'recover'
        return Command(target, self._rotation(), OPEN, self._slow(), self._slow(), leans=False)

    def _close(self, elapsed: float) -> Command | str:
        if elapsed > LONGEST_CLOSING or (elapsed > CLOSING + self._variation.pause and self._finger_speed < STILL):
            self._attempts += 1
            return 'pull'
        return self._hold(CLOSED)

    def _pull(self, elapsed: float) -> Command | str:
        if self._scene.satisfied(self._goal):
            return 'open'
        if np.linalg.norm(self._hand.position - self._drawer.handle) > AWAY or self._still > STALLED:
            return 'recover'
        return Command(self._at(AHEAD), self._rotation(), CLOSED, self._slow(), leans=False)

    def _open(self, elapsed: float) -> Command | str:
        return 'retreat' if elapsed > OPENING + self._variation.pause else self._hold(OPEN)

    def _recover(self, elapsed: float) -> Command | str:
        return self._hold(OPEN) if elapsed < OPENING else super()._recover(elapsed)

    def _rotation(self) -> Floats:
        """[3, 3] of a hand that points at the drawer's front, its fingers one above the other."""
        x, y, _ = self._drawer.opens
        yaw = half_turn(math.atan2(-x, y))
        return tilted(downward(yaw), -self._drawer.opens[:2], math.pi / 2 - DOWNWARDS)


class ShutDrawer(AtDrawer):
    """Closes a drawer: approach, come down in front, push, back; the closed fingers, side by side, point forwards and
    down.
    """

    gripper = CLOSED
    before = 0.06  # further away the arm would meet what stands before the cabinet
    back = 0.07
    after_descending = 'push'

    def __init__(self, scene: LiberoScene, goal: Goal, variation: Variation) -> None:
        super().__init__(scene, goal, variation)
        self._facing = 0.0

    def _phases(self) -> Mapping[str, Phase]:
        return {**super()._phases(), 'push': self._push}

    def _approach(self, elapsed: float) -> Command | str:
        if elapsed == 0:
            x, y, _ = self._drawer.opens
            self._facing = nearest_yaw(hand_yaw(self._hand), math.atan2(y, x))
        return super()._approach(elapsed)

    def _push(self, elapsed: float) -> Command | str:
        if self._scene.satisfied(self._goal):
            return 'retreat'
        off = self._drawer.handle - self._hand.position
        sideways = off - (off @ self._drawer.opens) * self._drawer.opens
        if np.linalg.norm(sideways) > AWAY or self._still > STALLED:
            return 'recover'
        return Command(self._at(-AHEAD), self._rotation(), CLOSED, self._slow(), self._slow(), leans=False)

    def _rotation(self) -> Floats:
        """[3, 3] of a hand that points at the drawer's front from above."""
        return tilted(downward(self._facing), -self._drawer.opens[:2], FORWARDS)
