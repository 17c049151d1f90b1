"""A scripted demonstrator for LIBERO, which comes without any: it sees the true state and does what the task asks."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mode_ros.errors import UserError
from mode_ros.sim.libero_expert_door import ShutDoor, can_shut_door
from mode_ros.sim.libero_expert_drawer import OpenDrawer, ShutDrawer, can_open_drawer, can_shut_drawer
from mode_ros.sim.libero_expert_inside import PutInside, can_put_inside
from mode_ros.sim.libero_expert_lay import LayDown, can_lay_down
from mode_ros.sim.libero_expert_motion import Variation, draw_variation, native_action, reaching
from mode_ros.sim.libero_expert_pick import PickAndPlace, can_pick_and_place
from mode_ros.sim.libero_expert_scene import Goal, Kinds, LiberoScene
from mode_ros.sim.libero_expert_skill import Skill
from mode_ros.sim.libero_expert_slide import Slide, can_slide
from mode_ros.sim.libero_expert_turn import TurnOn, can_turn_on
from mode_ros.sim.simulator import Floats

CAN = 'all of libero_spatial, libero_object, libero_goal and libero_10'

Able = Callable[[Kinds, Goal], bool]
Make = Callable[[LiberoScene, Goal, Variation, np.random.Generator], list[Skill]]


def _pick_and_place(
    scene: LiberoScene, goal: Goal, variation: Variation, generator: np.random.Generator
) -> list[Skill]:
    opening = Goal('open', goal.place or '')
    before: list[Skill] = [OpenDrawer(scene, opening, variation)] if can_open_drawer(scene, opening) else []
    return [*before, PickAndPlace(scene, goal, variation, generator)]


WAYS: tuple[tuple[Able, Make], ...] = (
    (can_pick_and_place, _pick_and_place),
    (can_lay_down, lambda scene, goal, variation, generator: [LayDown(scene, goal, variation, generator)]),
    (can_put_inside, lambda scene, goal, variation, generator: [PutInside(scene, goal, variation, generator)]),
    (can_open_drawer, lambda scene, goal, variation, generator: [OpenDrawer(scene, goal, variation)]),
    (can_shut_drawer, lambda scene, goal, variation, generator: [ShutDrawer(scene, goal, variation)]),
    (can_shut_door, lambda scene, goal, variation, generator: [ShutDoor(scene, goal, variation)]),
    (can_turn_on, lambda scene, goal, variation, generator: [TurnOn(scene, goal, variation, generator)]),
    (can_slide, lambda scene, goal, variation, generator: [Slide(scene, goal, variation)]),
)
"""For which goals there is a skill, and what is to be done then, in this order; the first that is able does it."""


class LiberoExpert:
    """Reaches the goals of one task one after another; how exactly is drawn from `generator`.

    A closed loop: what it commands depends on the state at that moment and on which phase of which goal it is in.
    Raises UserError for a task with a goal that it has no skill for (with the tasks that it can do).
    """

    def __init__(self, scene: LiberoScene, task: str, generator: np.random.Generator) -> None:
        self._scene = scene
        if missing := missing_skill(scene):
            raise UserError(
                f'The task {task!r} has no scripted expert, because there is {missing}. LIBERO brings none; the one of '
                f'this project can do {CAN}.'
            )
        variation = draw_variation(generator)
        self._skills = [skill for goal in in_order(scene.goals) for skill in _skills(scene, goal, variation, generator)]

    @property
    def skill(self) -> Skill:
        """What it is at: the first skill that is not finished, or the last."""
        return next((skill for skill in self._skills if not skill.finished), self._skills[-1])

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.skill.finished

    def action(self, now: float, step_limits: Floats, steps: float) -> Floats:
        """[7] in [-1, 1], as `native_action`, at `now` s; to be asked once per control period."""
        command = self.skill.command(now)
        if command.leans:
            command = replace(command, rotation=reaching(command.rotation, self._scene.reach()))
        return native_action(self._scene.hand(), command, step_limits, steps)


def in_order(goals: tuple[Goal, ...]) -> list[Goal]:
    """The goals as they can be reached: what something goes into is closed afterwards."""
    return sorted(goals, key=lambda goal: goal.predicate == 'close')


def missing_skill(task: Kinds) -> str:
    """The first of a task's goals that there is no skill for, in words; '' where it can all be done."""
    for goal in task.goals:
        if not any(able(task, goal) for able, _ in WAYS):
            asked = ' '.join(part for part in (goal.predicate, goal.subject, goal.place) if part)
            return f'no skill for its goal {asked!r}'
    return ''


def _skills(scene: LiberoScene, goal: Goal, variation: Variation, generator: np.random.Generator) -> list[Skill]:
    make = next(make for able, make in WAYS if able(scene, goal))
    return make(scene, goal, variation, generator)
