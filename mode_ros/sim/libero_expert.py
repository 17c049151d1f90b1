"""A scripted demonstrator for LIBERO, which comes without any: it sees the true state and does what the task asks."""

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

ABLE = (
    can_pick_and_place,
    can_lay_down,
    can_put_inside,
    can_open_drawer,
    can_turn_on,
    can_slide,
    can_shut_drawer,
    can_shut_door,
)
CAN = 'all of libero_spatial, libero_object, libero_goal and libero_10'


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
        if not any(can(task, goal) for can in ABLE):
            asked = ' '.join(part for part in (goal.predicate, goal.subject, goal.place) if part)
            return f'no skill for its goal {asked!r}'
    return ''


def _skills(scene: LiberoScene, goal: Goal, variation: Variation, generator: np.random.Generator) -> list[Skill]:
    """What is to be done for one goal that there is a skill for, in this order."""
    if can_pick_and_place(scene, goal):
        opening = Goal('open', goal.place or '')
        before: list[Skill] = []
        if can_open_drawer(scene, opening):
            before.append(OpenDrawer(scene, opening, variation))
        return [*before, PickAndPlace(scene, goal, variation, generator)]
    if can_open_drawer(scene, goal):
        return [OpenDrawer(scene, goal, variation)]
    if can_lay_down(scene, goal):
        return [LayDown(scene, goal, variation, generator)]
    if can_slide(scene, goal):
        return [Slide(scene, goal, variation)]
    if can_put_inside(scene, goal):
        return [PutInside(scene, goal, variation, generator)]
    if can_shut_door(scene, goal):
        return [ShutDoor(scene, goal, variation)]
    if can_shut_drawer(scene, goal):
        return [ShutDrawer(scene, goal, variation)]
    return [TurnOn(scene, goal, variation, generator)]
