"""Pushing something with closed fingers from above: what sliding a plate and shutting a door have in common."""

from abc import abstractmethod
from collections.abc import Mapping

import numpy as np

from mode_ros.sim.libero_expert_hold import AWAY, LONGEST_RECOVERY, ON_HEIGHT, RETREAT
from mode_ros.sim.libero_expert_motion import CLOSED, Command
from mode_ros.sim.libero_expert_skill import STALLED, Phase, Skill
from mode_ros.sim.simulator import Floats


class Pushing(Skill):
    """A skill that comes down to a point, pushes from there and rises: approach, descend, push, retreat, recover."""

    first = 'approach'
    pushing: str
    """What the phase that pushes is called."""
    rises: float
    """How high the hand rises before another try, m."""

    def _phases(self) -> Mapping[str, Phase]:
        return {
            'approach': self._approach,
            'descend': self._descend,
            self.pushing: self._push,
            'retreat': self._retreat,
            'recover': self._recover,
            'finished': self._finished,
        }

    @abstractmethod
    def _touch(self) -> Floats:
        """[3] the grip site's place when the hand has come down."""

    @abstractmethod
    def _approach(self, elapsed: float) -> Command | str: ...

    @abstractmethod
    def _push(self, elapsed: float) -> Command | str: ...

    def _descend(self, elapsed: float) -> Command | str:
        error = self._touch() - self._hand.position
        if np.linalg.norm(error[:2]) > AWAY:
            return 'approach'
        if abs(error[2]) < ON_HEIGHT or self._still > STALLED:
            return self.pushing
        return Command(self._touch(), self._rotation(), CLOSED, self._slow())

    def _retreat(self, elapsed: float) -> Command | str:
        if self._risen() > RETREAT - ON_HEIGHT or self._still > STALLED:
            return 'finished' if self._scene.satisfied(self._goal) else 'approach'
        return self._rise(RETREAT, CLOSED)

    def _recover(self, elapsed: float) -> Command | str:
        if self._risen() > self.rises - ON_HEIGHT or elapsed > LONGEST_RECOVERY:
            return 'approach'
        return self._rise(self.rises, CLOSED)

    def _finished(self, elapsed: float) -> Command | str:
        return self._hold(CLOSED)
