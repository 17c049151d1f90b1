"""Turning a knob: the skill that switches LIBERO's stove on."""

from collections.abc import Mapping

import numpy as np

from mode_ros.sim.libero_expert_boxes import Boxes
from mode_ros.sim.libero_expert_grasps import downward, knob_settings
from mode_ros.sim.libero_expert_hold import AWAY, Grasping
from mode_ros.sim.libero_expert_motion import CLOSED, Command, Variation
from mode_ros.sim.libero_expert_scene import Goal, Kinds, LiberoScene, Pose
from mode_ros.sim.libero_expert_skill import Phase

TURN = 1.2
"""How far the hand turns, rad; the benchmark counts the stove as on from 0.5."""


def can_turn_on(task: Kinds, goal: Goal) -> bool:
    """Whether the goal is to switch something on whose knob it is known how to hold."""
    return goal.predicate == 'turnon' and knob_settings(task.kind(goal.subject)) is not None


class TurnOn(Grasping):
    """Switches a goal's subject on by its knob: approach, descend, close, turn, open, retreat."""

    after_closing = 'turn'

    def __init__(self, scene: LiberoScene, goal: Goal, variation: Variation, generator: np.random.Generator) -> None:
        holding = knob_settings(scene.kind(goal.subject))
        if holding is None:
            raise ValueError(f'{goal} cannot be reached by turning a knob.')
        super().__init__(scene, goal, variation, holding, generator)

    def _phases(self) -> Mapping[str, Phase]:
        return {**super()._phases(), 'turn': self._turn}

    def _thing_pose(self) -> Pose:
        return self._scene.moving_part(self._goal.subject)

    def _thing_shape(self) -> Boxes:
        return self._scene.moving_shape(self._goal.subject)

    def _others(self) -> Boxes:
        return self._scene.surroundings(without=(self._goal.subject,))

    def _turn(self, elapsed: float) -> Command | str:
        if self._scene.satisfied(self._goal):
            return 'open'
        if np.linalg.norm(self._hand.position - self._start.position) > AWAY:
            return self._give_up()
        return Command(self._start.position, downward(self._yaw + TURN), CLOSED, self._slow())
