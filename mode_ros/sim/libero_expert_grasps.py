"""Where a Panda hand can take hold of a thing, and which of these holds is best; settings in libero_grasps.yaml."""

import functools
import math
from dataclasses import dataclass
from importlib import resources
from typing import Annotated, Literal

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from mode_ros.sim.libero_expert_boxes import Boxes, joined, penetration
from mode_ros.sim.libero_expert_scene import Pose
from mode_ros.sim.simulator import Floats

FILE_NAME = 'libero_grasps.yaml'

# The Panda hand as boxes around its grip site, measured from the benchmark's meshes: x is the way the fingers open, z
# points out of the hand. Palm and fingers are drawn out backwards, because the hand comes down that way.
HALF_OPENING = 0.04
FINGERTIP = 0.009
"""How far the fingertips reach beyond the grip site, m."""
SWEEP = 0.2
WIDEST = 0.07
"""Widest thing that fits between the open fingers with 5 mm to spare on both sides, m."""
TABLE_GAP = 0.003

ANGLES = 24
PENETRATION_COST = 20.0
TURN_COST = 0.02
WIDTH_COST = 1.0
RIM_SHIFT_COST = 0.5
TRIED_COST = 0.1
TASTE = 0.01
"""Costs are lengths in m: of penetration times a weight, per quarter turn of the hand, of width, of leaving the rim
between the fingers off their middle, of a hold near one that has failed, and of plain preference, which is drawn."""
BEYOND_RIM = 0.006
"""How far outside the rim the middle of a box is that belongs to a handle, m."""
RIM_SHIFTS = (0.0, -0.018)
"""Offsets of the grip from the rim towards the bowl's middle, for where a wall leaves no room to the outer finger."""


# A coordinate of something on a thing or a place, m.
Near = Annotated[float, Field(ge=-0.3, le=0.3)]


class GraspSettings(BaseModel):
    """How to hold one category of things; lengths in m.

    middle: of the rim, from the origin of the thing's body along its x and y. handle: the middle of its bar, from that
    origin, where it has one that it may be held by.
    """

    model_config = ConfigDict(extra='forbid', frozen=True)

    hold: Literal['across', 'rim']
    depth: float = Field(gt=0, lt=0.03)
    radius: float = Field(default=0.0, ge=0, lt=0.3)
    height: float = Field(default=0.0, ge=0, lt=0.3)
    middle: tuple[Near, Near] = (0.0, 0.0)
    handle: tuple[Near, Near, Near] | None = None


class PlaceSettings(BaseModel):
    """Where to let go over one category of places; lengths in m, along the place's axes.

    apart: half the way between two things that one place is for. shift: of every thing, from the place's origin.
    middle: whether the middle of a thing goes there, and not the origin of its body.
    fingers: the direction in which the fingers open, where it matters; it must not be upright in the world. floor:
    where a thing comes to rest lower than the benchmark counts it, the height of what it rests on.
    """

    model_config = ConfigDict(extra='forbid', frozen=True)

    rest: float = Field(ge=-0.1, le=0.3)
    clear: float | None = Field(default=None, ge=-0.1, le=0.1)
    apart: tuple[Near, Near] | None = None
    shift: tuple[Near, Near, Near] = (0.0, 0.0, 0.0)
    middle: bool = False
    fingers: tuple[float, float, float] | None = None
    floor: Near | None = None


class LaySettings(BaseModel):
    """Where on one category of slopes the foot of a thing lies, from the region's origin; lengths in m.

    above: out of the slope; uphill, aside: along it, to either side.
    """

    model_config = ConfigDict(extra='forbid', frozen=True)

    above: float = Field(ge=0, le=0.1)
    uphill: float = Field(ge=-0.3, le=0.3)
    aside: float = Field(default=0.0, ge=0, le=0.3)


class InsideSettings(BaseModel):
    """How to bring something into one category of places with a roof, from whose origin y goes in; lengths in m.

    floor: its height over the origin. clear: how far over it a thing comes in. edge: where the floor begins, along y.
    before, depth: where the thing's own origin is in front of the opening, and at the end.
    """

    model_config = ConfigDict(extra='forbid', frozen=True)

    floor: Near
    clear: float = Field(gt=0, le=0.05)
    edge: Near
    before: Near
    depth: Near

    @model_validator(mode='after')
    def _from_the_front(self) -> 'InsideSettings':
        if not self.before < self.edge < self.depth:
            raise ValueError(f'before {self.before} < edge {self.edge} < depth {self.depth} does not hold')
        return self


class Settings(BaseModel):
    """The whole of libero_grasps.yaml."""

    model_config = ConfigDict(extra='forbid', frozen=True)

    grasps: dict[str, GraspSettings]
    knobs: dict[str, GraspSettings]
    places: dict[str, PlaceSettings]
    slopes: dict[str, LaySettings]
    insides: dict[str, InsideSettings]


@dataclass(frozen=True)
class Grasp:
    """Where the grip site goes, in the world.

    position: [3] m; yaw: turn of the way the fingers open from the world's y, rad.
    """

    position: Floats
    yaw: float

    @property
    def rotation(self) -> Floats:
        """[3, 3] of the hand, pointing straight down."""
        return downward(self.yaw)


def grasp_settings(kind: str) -> GraspSettings | None:
    """How to hold things of a category of the benchmark; None where it is not known."""
    return _settings().grasps.get(kind)


def knob_settings(kind: str) -> GraspSettings | None:
    """How to hold the knob of a category of fixtures; None where it is not known."""
    return _settings().knobs.get(kind)


def place_settings(place: str) -> PlaceSettings | None:
    """Where to let go over a place, a category or 'CATEGORY/REGION'; None where it is not known."""
    return _settings().places.get(place)


def lay_settings(place: str) -> LaySettings | None:
    """Where to lay something on a slope, 'CATEGORY/REGION'; None where it is not known."""
    return _settings().slopes.get(place)


def inside_settings(place: str) -> InsideSettings | None:
    """How to bring something into a place with a roof, 'CATEGORY/REGION'; None where it is not known."""
    return _settings().insides.get(place)


def downward(yaw: float) -> Floats:
    """[3, 3] rotation of a hand that points straight down, its fingers' axis turned by `yaw` rad from the world's y."""
    s, c = math.sin(yaw), math.cos(yaw)
    return np.array([[-s, c, 0.0], [c, s, 0.0], [0.0, 0.0, -1.0]])


def half_turn(yaw: float) -> float:
    """The same direction of the fingers' axis, which has two ends, in (-pi/2, pi/2]."""
    return math.pi / 2 - (math.pi / 2 - yaw) % math.pi


def choose_grasp(
    settings: GraspSettings,
    pose: Pose,
    shape: Boxes,
    surroundings: Boxes,
    tried: tuple[Grasp, ...],
    generator: np.random.Generator,
) -> Grasp:
    """The best hold of a thing at `pose` whose collision boxes are `shape`, among boxes that must not be touched.

    tried: holds that have failed and that another is preferred to.
    generator: draws which of several equally good holds is taken, and small offsets from it.
    """
    holds = _rim_holds if settings.hold == 'rim' else _across_holds
    found = holds(settings, pose, shape, generator)
    costs = [cost + _cost(grasp, surroundings, tried) + TASTE * generator.random() for grasp, cost in found]
    return found[int(np.argmin(costs))][0]


def hand_boxes(grasp: Grasp) -> Boxes:
    """The open hand at a grasp and above it, in the world."""
    fingers = [
        _box((side * HALF_OPENING, -0.01, low), (side * (HALF_OPENING + thickness), 0.01, high))
        for side in (-1.0, 1.0)
        for thickness, low, high in ((0.018, -0.01, FINGERTIP), (0.027, -0.044, -0.01))
    ]
    palm = _box((-0.104, -0.032, -0.031 - SWEEP), (0.104, 0.032, -0.031))
    parts = [*fingers, palm]
    local = Boxes(
        np.array([centre for centre, _ in parts]),
        np.array([half for _, half in parts]),
        np.broadcast_to(np.eye(3), (len(parts), 3, 3)),
    )
    return local.moved(grasp.position, grasp.rotation)


def _closing_boxes(grasp: Grasp) -> Boxes:
    """The hand at a grasp, in the world, with what lies between its open fingers, which they meet when they close."""
    centre, half = _box((-HALF_OPENING, -0.01, -0.01), (HALF_OPENING, 0.01, FINGERTIP))
    between = Boxes(centre[None], half[None], np.eye(3)[None]).moved(grasp.position, grasp.rotation)
    return joined([hand_boxes(grasp), between])


def _rim_holds(
    settings: GraspSettings, pose: Pose, shape: Boxes, generator: np.random.Generator
) -> list[tuple[Grasp, float]]:
    """Holds all around a rim, each with its own cost: dear where the fingers would meet a handle, or close on it."""
    holds = []
    axis = pose.position + pose.rotation @ (*settings.middle, 0.0)
    aside = np.linalg.norm(((shape.centres - axis) @ pose.rotation)[:, :2], axis=1)
    handle = shape.chosen(aside > settings.radius + BEYOND_RIM)
    start = generator.uniform(0, 2 * math.pi / ANGLES)
    for angle in start + np.arange(ANGLES) * (2 * math.pi / ANGLES):
        outward = pose.rotation @ (math.cos(angle), math.sin(angle), 0.0)
        rim = axis + pose.rotation @ (0.0, 0.0, settings.height) + settings.radius * outward
        yaw = half_turn(math.atan2(outward[1], outward[0]) - math.pi / 2)
        for shift in RIM_SHIFTS:
            grasp = Grasp(rim + shift * outward - (0.0, 0.0, settings.depth), yaw)
            cost = RIM_SHIFT_COST * abs(shift) + PENETRATION_COST * penetration(_closing_boxes(grasp), handle)
            holds.append((grasp, cost))
    return holds


def _across_holds(
    settings: GraspSettings, pose: Pose, shape: Boxes, generator: np.random.Generator
) -> list[tuple[Grasp, float]]:
    """Holds across the upper part of a thing, in all directions, each with its own cost."""
    points = shape.points()
    low, top = float(points[:, 2].min()), float(points[:, 2].max())
    height = max(top - settings.depth, low + FINGERTIP + TABLE_GAP)
    # Boxes that the fingertips' height meets; a thing's foot may be wider than what the fingers have to go around.
    reach = np.einsum('bij,bj->bi', np.abs(shape.axes), shape.halves)[:, 2]
    met = np.abs(shape.centres[:, 2] - height) < reach + FINGERTIP
    upper = (shape.chosen(met) if met.any() else shape).points()[:, :2]
    middle = (upper.min(axis=0) + upper.max(axis=0)) / 2
    holds = []
    for yaw in (np.arange(ANGLES) - ANGLES // 2 + 1) * (math.pi / ANGLES):
        across = np.array([-math.sin(yaw), math.cos(yaw)])
        extent = (upper - middle) @ across
        width = float(extent.max() - extent.min())
        centre = middle + across * (extent.max() + extent.min()) / 2
        along = generator.uniform(-0.004, 0.004) * np.array([math.cos(yaw), math.sin(yaw)])
        too_wide = max(width - WIDEST, 0.0)
        grasp = Grasp(np.append(centre + along, height + generator.uniform(0.0, 0.004)), float(yaw))
        holds.append((grasp, WIDTH_COST * width + PENETRATION_COST * too_wide))
    return holds


def _cost(grasp: Grasp, surroundings: Boxes, tried: tuple[Grasp, ...]) -> float:
    cost = PENETRATION_COST * penetration(hand_boxes(grasp), surroundings)
    cost += TURN_COST * abs(grasp.yaw) / (math.pi / 2)
    near = [
        other
        for other in tried
        if np.linalg.norm(other.position - grasp.position) < 0.015 and abs(half_turn(other.yaw - grasp.yaw)) < 0.3
    ]
    return cost + TRIED_COST * len(near)


def _box(corner: tuple[float, float, float], opposite: tuple[float, float, float]) -> tuple[Floats, Floats]:
    low, high = np.array(corner), np.array(opposite)
    return (low + high) / 2, np.abs(high - low) / 2


@functools.cache
def _settings() -> Settings:
    text = resources.files('mode_ros.sim').joinpath(FILE_NAME).read_text(encoding='utf-8')
    return Settings.model_validate(yaml.safe_load(text))
