"""Taking hold of something, by phases that other skills build on: approach, descend, close; open, retreat, recover."""

import math
from abc import abstractmethod
from collections.abc import Mapping

import numpy as np

from mode_ros.sim.libero_expert_boxes import Boxes
from mode_ros.sim.libero_expert_grasps import FINGERTIP, Grasp, GraspSettings, choose_grasp, half_turn
from mode_ros.sim.libero_expert_motion import CLOSED, OPEN, Command, Variation, hand_yaw, turn_angle, yaw_of
from mode_ros.sim.libero_expert_scene import Goal, LiberoScene, Pose
from mode_ros.sim.libero_expert_skill import STALLED, STILL, Phase, Skill
from mode_ros.sim.simulator import Floats

ABOVE = 0.05
"""Least height over the grasp or the place from which the hand comes straight down, m."""
BACK_UP, RETREAT = 0.07, 0.10
"""How far the hand rises before another try, and after it let go, m."""
TURNED = 0.12
"""How close to the turn that is wanted is close enough to start going down, rad."""
AWAY = 0.05
"""How far off, seen from above, a hand that goes down has been pushed away and starts over, m."""
TIPPED = 0.2
"""How much a thing may turn, in rad, before a grasp chosen for it is chosen anew."""
ON_GRASP, CLOSE_TO_GRASP = 0.006, 0.015
"""How close to the grasp the fingers close, and if the hand gets no further, m."""
ON_HEIGHT = 0.008
"""How close to a height is there, m."""
SLOPE = 3.0
"""Metres that a hand which goes down stays higher per metre that it is off sideways."""
CLOSING, LONGEST_CLOSING, OPENING = 0.4, 1.0, 0.35
"""Seconds that the fingers need: at least and at most to close, and to open."""
LONGEST_RECOVERY = 2.0
"""Seconds after which a hand that cannot rise tries again from where it is."""


class Grasping(Skill):
    """A skill that takes hold of one thing. Of the past it also keeps the grasp that it is trying, which is fixed to
    the thing, and those that have failed.
    """

    first = 'approach'
    after_closing: str
    """The phase that follows when the fingers have closed."""

    def __init__(
        self,
        scene: LiberoScene,
        goal: Goal,
        variation: Variation,
        holding: GraspSettings,
        generator: np.random.Generator,
    ) -> None:
        super().__init__(scene, goal, variation)
        self._holding = holding
        self._generator = generator
        self._grasp: tuple[Floats, float, Pose] | None = None
        self._tried: tuple[Grasp, ...] = ()
        self._attempts = 0
        self._thing = self._start_thing = self._thing_pose()

    @property
    def attempts(self) -> int:
        """How often it has closed the fingers."""
        return self._attempts

    def _phases(self) -> Mapping[str, Phase]:
        return {
            'approach': self._approach,
            'descend': self._descend,
            'close': self._close,
            'open': self._open,
            'retreat': self._retreat,
            'recover': self._recover,
            'finished': self._finished,
        }

    @abstractmethod
    def _thing_pose(self) -> Pose: ...

    @abstractmethod
    def _thing_shape(self) -> Boxes: ...

    @abstractmethod
    def _others(self) -> Boxes:
        """What the hand must not touch when it takes hold."""

    def _look(self) -> None:
        self._thing = self._thing_pose()

    def _enter(self, phase: str, now: float) -> None:
        super()._enter(phase, now)
        self._start_thing = self._thing

    def _approach(self, elapsed: float) -> Command | str:
        if elapsed == 0 and self._reached():
            return 'finished'
        grip, rotation = self._aim()
        if self._is_over(grip) and self._is_turned(rotation):
            return 'descend'
        travel = self._travel_height(grip, self._scene.surroundings(), FINGERTIP)
        return self._over(grip, max(travel, grip[2] + ABOVE), rotation, OPEN)

    def _descend(self, elapsed: float) -> Command | str:
        grip, rotation = self._aim()
        error = grip - self._hand.position
        sideways = float(np.linalg.norm(error[:2]))
        if sideways > AWAY:
            return 'approach'
        if np.linalg.norm(error) < ON_GRASP:
            return 'close'
        if self._still > STALLED:
            return 'close' if abs(error[2]) < CLOSE_TO_GRASP and sideways < CLOSE_TO_GRASP else self._give_up()
        target = np.append(grip[:2], grip[2] + SLOPE * max(sideways - ON_GRASP, 0.0))
        return Command(target, rotation, OPEN, self._slow(), leans=self.leans)

    def _close(self, elapsed: float) -> Command | str:
        if np.linalg.norm(self._hand.position - self._start.position) > AWAY:
            return self._give_up()
        if elapsed > LONGEST_CLOSING or (elapsed > CLOSING + self._variation.pause and self._finger_speed < STILL):
            self._attempts += 1
            return self.after_closing
        return self._hold(CLOSED)

    def _open(self, elapsed: float) -> Command | str:
        return 'retreat' if elapsed > OPENING + self._variation.pause else self._hold(OPEN)

    def _retreat(self, elapsed: float) -> Command | str:
        if self._risen() > RETREAT - ON_HEIGHT or self._still > STALLED:
            self._grasp = None
            return 'finished' if self._reached() else 'approach'
        return self._rise(RETREAT, OPEN)

    def _recover(self, elapsed: float) -> Command | str:
        if elapsed < OPENING:
            return self._hold(OPEN)
        if self._risen() > BACK_UP - ON_HEIGHT or elapsed > LONGEST_RECOVERY:
            return 'approach'
        return self._rise(BACK_UP, OPEN)

    def _aim(self) -> tuple[Floats, Floats]:
        """Where the grip site goes to take hold, [3] m, and how the hand is turned then, [3, 3]."""
        grasp = self._current_grasp()
        return grasp.position, grasp.rotation

    def _is_turned(self, rotation: Floats) -> bool:
        # Told by yaws, since a hand that is far out leans.
        return abs(math.remainder(yaw_of(rotation) - hand_yaw(self._hand), 2 * math.pi)) < TURNED

    def _reached(self) -> bool:
        """Whether nothing is left to do for the goal."""
        return self._scene.satisfied(self._goal)

    def _give_up(self) -> str:
        """Another grasp, and the way there."""
        if self._grasp is not None:
            self._tried = (*self._tried, self._current_grasp())
            self._grasp = None
        return 'recover'

    def _current_grasp(self) -> Grasp:
        """The grasp that is being tried, where the thing is now; another one if it has tipped over."""
        thing = self._thing
        if self._grasp is None or turn_angle(thing.rotation @ self._grasp[2].rotation.T) > TIPPED:
            shape, others = self._thing_shape(), self._others()
            chosen = choose_grasp(self._holding, thing, shape, others, self._tried, self._generator)
            self._grasp = (thing.rotation.T @ (chosen.position - thing.position), chosen.yaw, thing)
        offset, yaw, then = self._grasp
        turned = thing.rotation @ then.rotation.T
        yaw = half_turn(yaw + math.atan2(turned[1, 0], turned[0, 0]))
        return Grasp(thing.position + thing.rotation @ offset, yaw)
