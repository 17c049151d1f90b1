"""How LIBERO's expert moves: what a skill wants of the hand, and the controller that turns it into an action."""

import math
from dataclasses import dataclass

import numpy as np

from mode_ros.sim.libero_expert_grasps import half_turn
from mode_ros.sim.libero_expert_scene import Hand
from mode_ros.sim.simulator import Floats

OPEN, CLOSED = -1.0, 1.0

GAIN, TURN_GAIN = 2.0, 1.5
"""How much of the remaining way and turn is commanded per step. The compliant arm covers a fraction of it: with a gain
of 1 it stops up to 2 cm short where it is stretched out, and up to 3 it does not swing."""
MOST_TURN = 0.35
"""Largest turn commanded per period, as a share of the benchmark's limit."""
ROOM = 0.2
"""Half of how much further a hand rather turns in the positive sense, rad: from how it stands when a task begins the
arm's last joint can turn by 3.7 rad that way and by 2.1 the other."""
UPRIGHT_REACH, TILT_PER_METRE, MOST_TILT = 0.70, 2.5, 0.35
"""Up to how many m from the robot's base the hand points straight down, and by how many rad it tilts beyond."""


@dataclass(frozen=True)
class Command:
    """What a skill wants now: the grip site at `position` [3] m with `rotation` [3, 3], and the gripper.

    speed: largest displacement per step as a share of the benchmark's limit, in (0, 1]. sideways: the same for the part
    in the horizontal plane. leans: whether a hand that is far away may be tilted, as by `reaching`.
    """

    position: Floats
    rotation: Floats
    gripper: float
    speed: float
    sideways: float = 1.0
    leans: bool = True


@dataclass(frozen=True)
class Variation:
    """What differs from one demonstration to the next.

    speed: as in `Command`; bow: sideways share of a long way, so that paths are curved; clearance: m above what is in
    the way; offset: [2] m from the middle of the place; pause: s longer at the grasp and the release.
    """

    speed: float
    bow: float
    clearance: float
    offset: Floats
    pause: float


def draw_variation(generator: np.random.Generator) -> Variation:
    """One demonstration's variation."""
    return Variation(
        speed=float(generator.uniform(0.65, 1.0)),
        bow=float(generator.uniform(-0.25, 0.25)),
        clearance=float(generator.uniform(0.025, 0.06)),
        offset=generator.uniform(-0.006, 0.006, size=2),
        pause=float(generator.uniform(0.0, 0.15)),
    )


def native_action(hand: Hand, command: Command, step_limits: Floats, steps: float) -> Floats:
    """[7] shares of the largest displacement, turn and gripper command, in [-1, 1], that bring the hand to `command`.

    step_limits: [6] m and rad per step; steps: how many steps the action will be held for. Held longer, less of the
    way is asked for, because the action is a displacement from where the hand is at each step.
    """
    gain = 1.0 / max(steps, 1.0)
    shift = gain * GAIN * (command.position - hand.position) / step_limits[:3]
    # Apart from each other: a limit is also one on force, and an arm that is stretched out needs some to keep its line.
    shift = np.append(capped(shift[:2], command.sideways), np.clip(shift[2], -command.speed, command.speed))
    turn = gain * TURN_GAIN * rotation_vector(command.rotation @ hand.rotation.T) / step_limits[3:]
    return np.concatenate([shift, capped(turn, MOST_TURN), [command.gripper]])


def reaching(rotation: Floats, reach: Floats) -> Floats:
    """[3, 3] `rotation` with the fingers tilted outwards where the hand is far from the robot's base.

    reach: [2] from the base to the hand, m. Held upright there, the arm would be stretched out, and the benchmark's
    controller can neither steer such an arm nor bring it back.
    """
    distance = float(np.linalg.norm(reach))
    angle = min(TILT_PER_METRE * max(distance - UPRIGHT_REACH, 0.0), MOST_TILT)
    return rotation if angle == 0.0 else tilted(rotation, reach / distance, angle)


def tilted(rotation: Floats, towards: Floats, angle: float) -> Floats:
    """[3, 3] `rotation`, turned so that what points down points by `angle` rad towards `towards` [2], a unit vector."""
    x, y = towards
    axis = np.array([[0.0, 0.0, -x], [0.0, 0.0, -y], [x, y, 0.0]])
    return (np.eye(3) + math.sin(angle) * axis + (1 - math.cos(angle)) * axis @ axis) @ rotation


def rotation_vector(rotation: Floats) -> Floats:
    """[3] axis times angle, rad, of a rotation [3, 3]."""
    angle = turn_angle(rotation)
    axis = np.array([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]])
    length = float(np.linalg.norm(axis))
    # At half a turn the axis cannot be read from the differences; any way round is then as good as another.
    return axis / length * angle if length > 1e-9 else np.array([0.0, 0.0, angle])


def turn_angle(rotation: Floats) -> float:
    """The angle of a rotation [3, 3], in [0, pi] rad."""
    return math.acos(min(max((float(np.trace(rotation)) - 1) / 2, -1.0), 1.0))


def hand_yaw(hand: Hand) -> float:
    """How far the way the fingers open is turned from the world's y about its z, rad in (-pi, pi]."""
    return yaw_of(hand.rotation)


def yaw_of(rotation: Floats) -> float:
    """The same of a hand with `rotation` [3, 3]."""
    across = rotation[:, 0]
    return math.atan2(-across[0], across[1])


def nearest_yaw(start: float, yaw: float) -> float:
    """Of the two yaws that turn the fingers' axis, which has two ends, as `yaw` does: that for a hand at `start`, rad.

    It is the nearer one, but a turn of the positive sense may be longer by 2 * `ROOM`.
    """
    return start + ROOM + half_turn(yaw - start - ROOM)


def capped(vector: Floats, longest: float) -> Floats:
    """The vector, shortened to the length `longest` where it is longer; its direction is kept."""
    length = float(np.linalg.norm(vector))
    return vector * (longest / length) if length > longest else vector


def bowed(start: Floats, end: Floats, bow: float) -> Floats:
    """[2] where to head from `start` [2] so that the way to `end` [2] is a curve; `end` itself when there."""
    way = end - start
    return end + bow * np.array([-way[1], way[0]])
