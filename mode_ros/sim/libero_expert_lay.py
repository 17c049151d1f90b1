"""Laying something long on a slope: the skill that puts LIBERO's wine bottle on the rack."""

import math
from collections.abc import Mapping

import numpy as np

from mode_ros.sim.libero_expert_carry import SLIPPED, STANDING, Carrying
from mode_ros.sim.libero_expert_grasps import LaySettings, downward, grasp_settings, lay_settings
from mode_ros.sim.libero_expert_hold import (
    ABOVE,
    BACK_UP,
    LONGEST_RECOVERY,
    ON_GRASP,
    ON_HEIGHT,
    OPENING,
    RETREAT,
    TURNED,
)
from mode_ros.sim.libero_expert_motion import CLOSED, OPEN, UPRIGHT_REACH, Command, Variation, turn_angle
from mode_ros.sim.libero_expert_scene import Goal, Kinds, LiberoScene
from mode_ros.sim.libero_expert_skill import STALLED, Phase
from mode_ros.sim.simulator import Floats

LONG = ('wine_bottle',)
"""What stands upright, is held by its upper end and lies well on a slope."""
LAY_SPEED = 0.4
"""Speed down to the slope, as a share of the demonstration's."""
TILTED, LONGEST_TILT = 0.1, 1.5
"""How close to the slope's angle the thing goes down, rad, and after how many s also a hand that turns no further."""


def can_lay_down(task: Kinds, goal: Goal) -> bool:
    """Whether the goal is to put something long on a slope that is known."""
    return (
        goal.predicate == 'on'
        and goal.place is not None
        and task.kind(goal.subject) in LONG
        and lay_settings(task.place_kind(goal.place)) is not None
    )


class LayDown(Carrying):
    """Lays a goal's subject on a slope, its foot downhill: approach, descend, close, lift, carry, tilt, lower, open,
    retreat.

    It is tilted high above the slope, so that the hand ends uphill of it, its fingers at both sides. One that fell over
    and does not stand in the hand is not laid down.
    """

    def __init__(self, scene: LiberoScene, goal: Goal, variation: Variation, generator: np.random.Generator) -> None:
        holding, laying = grasp_settings(scene.kind(goal.subject)), lay_settings(scene.place_kind(goal.place or ''))
        if holding is None or laying is None:
            raise ValueError(f'{goal} cannot be reached by laying something down.')
        self._laying: LaySettings = laying
        super().__init__(scene, goal, variation, holding, generator)

    def _phases(self) -> Mapping[str, Phase]:
        return {**super()._phases(), 'tilt': self._tilt}

    def _carry(self, elapsed: float) -> Command | str:
        standing = float(self._thing.rotation[:, 2] @ -self._hand.rotation[:, 2])
        if self._slip() > SLIPPED or standing < STANDING:
            return self._give_up()
        target, across = self._hand_target(), self._laid()[:, 0]
        upright = downward(math.atan2(-across[0], across[1]))
        travel = self._travel_height(target, self._others(), self._hanging())
        turned = turn_angle(upright @ self._hand.rotation.T) < TURNED
        if self._is_over(target) and turned and self._hand.position[2] > travel - ABOVE / 2:
            return 'tilt'
        return self._over(target, travel, upright, CLOSED)

    def _tilt(self, elapsed: float) -> Command | str:
        if self._slip() > SLIPPED:
            return self._give_up()
        missing = turn_angle(self._laid() @ self._hand.rotation.T)
        if missing < TILTED or (elapsed > LONGEST_TILT and self._still > STALLED):
            return 'lower'
        above = np.append(self._hand_target()[:2], self._start.position[2])
        return Command(above, self._laid(), CLOSED, self._slow(), self._slow(), leans=False)

    def _lower(self, elapsed: float) -> Command | str:
        if self._slip() > SLIPPED:
            return 'open' if self._scene.satisfied(self._goal) else self._give_up()
        target, speed = self._hand_target(), self._slow(LAY_SPEED)
        if np.linalg.norm(target - self._hand.position) < ON_GRASP or self._still > STALLED:
            return 'open'
        return Command(target, self._laid(), CLOSED, speed, speed, leans=False)

    def _open(self, elapsed: float) -> Command | str:
        if isinstance(command := super()._open(elapsed), str):
            return command
        return Command(command.position, self._laid(), OPEN, command.speed, leans=False)

    def _retreat(self, elapsed: float) -> Command | str:
        back = -self._laid()[:, 2]
        gone = float((self._hand.position - self._start.position) @ back)
        if gone > RETREAT - ON_HEIGHT or self._still > STALLED:
            self._grasp = None
            return 'finished' if self._scene.satisfied(self._goal) else 'approach'
        target = self._start.position + RETREAT * back
        return Command(target, self._laid(), OPEN, self._slow(), self._slow(), leans=False)

    def _recover(self, elapsed: float) -> Command | str:
        # Turned as it is: a tilted hand that turned upright beside the slope would strike it, or the thing.
        here, back = self._start.position, -self._start.rotation[:, 2]
        if elapsed < OPENING:
            return Command(here, self._start.rotation, OPEN, self._slow(), leans=False)
        gone = float((self._hand.position - here) @ back)
        if gone > BACK_UP - ON_HEIGHT or elapsed > LONGEST_RECOVERY:
            return 'approach'
        return Command(here + BACK_UP * back, self._start.rotation, OPEN, self._slow(), self._slow(), leans=False)

    def _finished(self, elapsed: float) -> Command | str:
        return Command(self._start.position, self._start.rotation, OPEN, self._slow(), leans=False)

    def _laid(self) -> Floats:
        """[3, 3] of the hand when the thing lies: it points downhill, its fingers open along the slope's level line.

        Of the two such turns the one that is nearer to how the hand was turned when the phase began.
        """
        # Of the benchmark's racks: x is level, y into the slope, z uphill.
        slope = self._scene.pose(self._place).rotation
        across = slope[:, 0] if self._start.rotation[:, 0] @ slope[:, 0] > 0 else -slope[:, 0]
        return np.stack([across, np.cross(-slope[:, 2], across), -slope[:, 2]], axis=1)

    def _hand_target(self) -> Floats:
        """[3] where the hand is when the thing lies on the slope, if it lies in the hand as it did when lifted.

        From the phase's beginning on that is not looked at any more: a thing that turns in the fingers as it touches
        the slope would drive the hand after it.
        """
        place, laying = self._scene.pose(self._place), self._laying
        carried = self._laid() @ (self._start.rotation.T @ (self._start.position - self._start_thing.position))
        base = self._hand.position[:2] - self._scene.reach()
        near, far = sorted(
            (
                place.position + place.rotation @ (aside, -laying.above, laying.uphill) + carried
                for aside in (-laying.aside, laying.aside)
            ),
            key=lambda target: float(np.linalg.norm(target[:2] - base)),
        )
        # Away from the robot its arm has more room, unless it would be stretched out.
        return far if np.linalg.norm(far[:2] - base) < UPRIGHT_REACH else near
