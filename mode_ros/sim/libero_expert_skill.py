"""What all skills of LIBERO's expert share: phases that follow each other, and ways to get over a point."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import numpy as np

from mode_ros.sim.libero_expert_boxes import LATTICE, Boxes, highest_near
from mode_ros.sim.libero_expert_grasps import downward
from mode_ros.sim.libero_expert_motion import OPEN, Command, Variation, bowed, hand_yaw
from mode_ros.sim.libero_expert_scene import Goal, LiberoScene
from mode_ros.sim.simulator import Floats

Phase = Callable[[float], Command | str]
"""Given the seconds since it began, a phase says what the hand should do, or the name of the phase that follows."""

CORRIDOR = 0.12
"""How far from its way the hand, 21 cm wide, may touch something, m."""
NEAR = 0.012
"""How close, seen from above, is over a point, m."""
LOW = 0.02
"""How far below the height at which it travels a hand is still high enough, m."""
CLIMB = 0.05
"""How much lower than that a hand goes straight up only, m; in between it does both."""
SLOW = 0.5
"""Speed up and down beside things, as a share of the demonstration's."""
STILL = 0.0008
"""m per period below which fingers and hand have come to rest."""
STALLED = 8
"""Periods at rest after which the hand will get no closer."""
LONGEST_PHASE = 7.0
"""Seconds after which a phase that has not ended is given up for another try."""


class Skill(ABC):
    """Reaches one goal by phases, each of which looks at where everything is now.

    Of the past it keeps the phase, and where the hand was and how it was turned when that began.
    """

    first: str
    """The phase that it begins with. Those called 'recover' and 'finished' must exist, too."""
    leans = True
    """Whether a hand that is far away may be tilted, as in `Command`, in the phases that all skills share."""

    def __init__(self, scene: LiberoScene, goal: Goal, variation: Variation) -> None:
        self._scene = scene
        self._goal = goal
        self._place = goal.place or ''
        self._variation = variation
        self._hand = self._start = scene.hand()
        self._finger_speed = 0.0
        self._still = 0
        self._yaw = 0.0
        self._phase = self.first
        self._since: float | None = None

    @property
    def phase(self) -> str:
        """What it is doing, one word."""
        return self._phase

    @property
    def finished(self) -> bool:
        """Whether the goal is reached and the hand away from the thing."""
        return self._phase == 'finished'

    def command(self, now: float) -> Command:
        """What the hand should do at `now` s; to be asked once per period."""
        before = self._hand
        self._hand = self._scene.hand()
        self._finger_speed = abs(self._hand.opening - before.opening)
        self._still = self._still + 1 if np.linalg.norm(self._hand.position - before.position) < STILL else 0
        self._look()
        if self._since is not None and now - self._since > LONGEST_PHASE and not self.finished:
            self._enter('recover', now)
        phases = self._phases()
        for _ in range(len(phases)):
            self._since = now if self._since is None else self._since
            result = phases[self._phase](now - self._since)
            if isinstance(result, Command):
                return result
            self._enter(result, now)
        raise RuntimeError(f'The phases of {self._goal} follow each other in a circle, the last being {self._phase}.')

    @abstractmethod
    def _phases(self) -> Mapping[str, Phase]: ...

    @abstractmethod
    def _look(self) -> None:
        """Take note of what else than the hand there is to see in this period."""

    def _enter(self, phase: str, now: float) -> None:
        self._phase, self._since = phase, now
        self._start = self._hand
        self._still = 0
        if phase in ('close', 'open', 'recover'):
            self._yaw = hand_yaw(self._hand)

    def _hold(self, gripper: float) -> Command:
        """Stay where the phase began."""
        return Command(self._start.position, self._rotation(), gripper, self._slow(), leans=self.leans)

    def _rise(self, height: float, gripper: float) -> Command:
        """Straight up by `height` m from where the phase began."""
        target = self._start.position + (0.0, 0.0, height)
        return Command(target, self._rotation(), gripper, self._slow(), leans=self.leans)

    def _risen(self) -> float:
        return float(self._hand.position[2] - self._start.position[2])

    def _finished(self, elapsed: float) -> Command | str:
        return self._hold(OPEN)

    def _over(self, target: Floats, height: float, rotation: Floats, gripper: float) -> Command:
        """Towards the point at `height` over `target`; sideways only as far as the hand is high enough."""
        here, speed = self._hand.position, self._variation.speed
        missing = max(height - LOW - here[2], 0.0)
        heading = bowed(here[:2], target[:2], self._variation.bow)
        sideways = here[:2] + (heading - here[:2]) * max(1.0 - missing / CLIMB, 0.0)
        return Command(np.append(sideways, height), rotation, gripper, speed, speed, leans=self.leans)

    def _is_over(self, target: Floats) -> bool:
        return bool(np.linalg.norm(target[:2] - self._hand.position[:2]) < NEAR)

    def _travel_height(self, target: Floats, surroundings: Boxes, hanging: float) -> float:
        """Height of the grip site at which what hangs `hanging` m below it clears everything on its way."""
        top = highest_near(surroundings.points(LATTICE), self._hand.position[:2], target[:2], CORRIDOR)
        return top + hanging + self._variation.clearance

    def _rotation(self) -> Floats:
        """[3, 3] pointing down, turned as the hand was when it last closed or gave up."""
        return downward(self._yaw)

    def _slow(self, share: float = SLOW) -> float:
        return share * self._variation.speed
