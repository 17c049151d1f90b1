"""What LIBERO's expert sees: the true poses and shapes of a scene, and what the task asks for. Reads, never writes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mode_ros.sim.libero_expert_boxes import Boxes, joined
from mode_ros.sim.simulator import Floats

HAND_SITE = 'gripper0_grip_site'
FINGERS = ('gripper0_finger_joint1', 'gripper0_finger_joint2')
BASE_BODY = 'robot0_link0'
ROBOT_BODIES = ('robot0_base', 'mount0_base')
PLANE = 0
FLOOR_HALF = 5.0


@dataclass(frozen=True)
class Pose:
    """position: [3] m in the world; rotation: [3, 3], whose columns are the axes in the world."""

    position: Floats
    rotation: Floats


@dataclass(frozen=True)
class Hand:
    """The grip site between the fingertips; its x is the way the fingers open, its z points out of the hand.

    opening: distance between the fingers, m.
    """

    position: Floats
    rotation: Floats
    opening: float


@dataclass(frozen=True)
class Goal:
    """One thing that the task asks for, as the benchmark writes it: ('on', 'akita_black_bowl_1', 'plate_1')."""

    predicate: str
    subject: str
    place: str | None = None


class Kinds(Protocol):
    """What a task asks for and what these things are: enough to know which skills it takes."""

    @property
    def goals(self) -> tuple[Goal, ...]:
        """All that has to be reached."""

    def kind(self, name: str) -> str:
        """The benchmark's category of an object or a fixture: 'akita_black_bowl' for 'akita_black_bowl_1'."""

    def place_kind(self, name: str) -> str:
        """The category of what a place is or belongs to, and the region: 'plate', 'basket/contain_region'."""


def read_goals(parsed: Mapping[str, Any]) -> tuple[Goal, ...]:
    """The goals of a scene file, as the benchmark parses it."""
    return tuple(Goal(*(str(part) for part in goal)) for goal in parsed['goal_state'])


@dataclass(frozen=True)
class Drawer:
    """handle: [3] m, the middle of its bar in the world. opens: [3] the horizontal unit vector along which it opens."""

    handle: Floats
    opens: Floats


@dataclass(frozen=True)
class Door:
    """A leaf that turns about an upright axis.

    hinge: [3] m, a point of the axis. along, outwards: [3] horizontal unit vectors, from the hinge to the free edge and
    away from what it closes. length, face: m, of the free edge and of the outer face from the axis, along these. top:
    height of the upper edge, m.
    """

    hinge: Floats
    along: Floats
    outwards: Floats
    length: float
    face: float
    top: float


class LiberoScene:
    """One task's scene, as MuJoCo has it at the moment of each call."""

    def __init__(self, env: Any, model: Any, data: Any) -> None:
        self._env = env
        self._model = model
        self._data = data
        self._site = model.site(HAND_SITE).id
        self._base = model.body(BASE_BODY).id
        self._fingers = [model.joint(name).qposadr[0] for name in FINGERS]
        self._bodies: dict[str, int] = dict(env.obj_body_id)
        solid = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
        roots = np.asarray(model.body_rootid)[np.asarray(model.geom_bodyid)]
        robot = {model.body(index).id for index in range(model.nbody) if model.body(index).name in ROBOT_BODIES}
        self._solid = np.flatnonzero(solid & ~np.isin(roots, list(robot)))
        self._geoms_of: dict[str, NDArray[np.int64]] = {
            name: self._solid[roots[self._solid] == model.body_rootid[body]] for name, body in self._bodies.items()
        }
        self.goals = read_goals(env.parsed_problem)

    def hand(self) -> Hand:
        """The hand now."""
        opening = abs(self._data.qpos[self._fingers[0]] - self._data.qpos[self._fingers[1]])
        return Hand(
            self._data.site_xpos[self._site].copy(),
            self._data.site_xmat[self._site].reshape(3, 3).copy(),
            float(opening),
        )

    def reach(self) -> Floats:
        """[2] from the robot's base to the hand, seen from above, m."""
        return np.asarray(self._data.site_xpos[self._site] - self._data.xpos[self._base])[:2]

    def pose(self, name: str) -> Pose:
        """Where an object, a fixture or a region (site) of the benchmark is now."""
        if name in self._bodies:
            body = self._bodies[name]
            return Pose(self._data.xpos[body].copy(), self._data.xmat[body].reshape(3, 3).copy())
        site = self._model.site(name).id
        return Pose(self._data.site_xpos[site].copy(), self._data.site_xmat[site].reshape(3, 3).copy())

    def is_region(self, name: str) -> bool:
        """Whether `name` is a region (site) instead of an object or a fixture."""
        return name not in self._bodies

    def owner(self, name: str) -> str:
        """The object or fixture that a region belongs to, '' for a region of the table; other names themselves."""
        return str(self._env.object_sites_dict[name].parent_name or '') if self.is_region(name) else name

    def kind(self, name: str) -> str:
        """As in `Kinds`."""
        return str(self._env.get_object(name).category_name)

    def place_kind(self, name: str) -> str:
        """As in `Kinds`."""
        owner = self.owner(name)
        if name == owner:
            return self.kind(name)
        if owner:
            return f'{self.kind(owner)}/{name.removeprefix(f"{owner}_")}'
        parsed = self._env.parsed_problem
        table = parsed['regions'][name]['target']
        kind = next(kind for kind, names in parsed['fixtures'].items() if table in names)
        return f'{kind}/{name.removeprefix(f"{table}_")}'

    def shape(self, name: str) -> Boxes:
        """The collision boxes of an object or a fixture, in the world."""
        return self._boxes(self._geoms_of[name])

    def moving_part(self, name: str) -> Pose:
        """Where the part of a fixture is now that its first joint moves, such as the knob of a stove."""
        body = self._moving_body(name)
        return Pose(self._data.xpos[body].copy(), self._data.xmat[body].reshape(3, 3).copy())

    def moving_shape(self, name: str) -> Boxes:
        """The collision boxes of that part, in the world."""
        geoms = self._geoms_of[name]
        return self._boxes(geoms[self._model.geom_bodyid[geoms] == self._moving_body(name)])

    def drawer(self, name: str) -> Drawer:
        """The drawer that a region of a cabinet is the inside of; its handle is what stands out furthest."""
        joint = self._model.joint(self._env.object_sites_dict[name].joints[0]).id
        opens = -self._data.xaxis[joint].copy()  # all cabinets of the benchmark open towards negative positions
        geoms = self._geoms_of[self.owner(name)]
        boxes = self._boxes(geoms[self._model.geom_bodyid[geoms] == self._model.jnt_bodyid[joint]])
        return Drawer(boxes.centres[int(np.argmax(boxes.centres @ opens))].copy(), opens)

    def door(self, name: str) -> Door:
        """The door of a fixture, its first joint's; its largest box is the leaf."""
        joint = self._moving_joint(name)
        leaf = self.moving_shape(name)
        leaf = leaf.chosen(np.arange(len(leaf.centres)) == np.argmax(np.prod(leaf.halves, axis=1)))
        hinge, axis = self._data.xanchor[joint].copy(), self._data.xaxis[joint]
        lengths = leaf.halves[0] * (1.0 - np.abs(axis @ leaf.axes[0]))
        along = leaf.axes[0][:, int(np.argmax(lengths))]
        along = along * np.sign((leaf.centres[0] - hinge) @ along)
        outwards = np.cross(along, axis)  # it shuts towards positive angles; checked on the microwave
        corners = leaf.points()
        length, face = ((corners - hinge) @ direction for direction in (along, outwards))
        return Door(hinge, along, outwards, float(length.max()), float(face.max()), float(corners[:, 2].max()))

    def surroundings(self, without: tuple[str, ...] = ()) -> Boxes:
        """The collision boxes, in the world, of everything but the robot and the objects in `without`."""
        left_out = np.concatenate([np.zeros(0, dtype=np.int64), *(self._geoms_of[name] for name in without)])
        return self._boxes(np.setdiff1d(self._solid, left_out))

    def satisfied(self, goal: Goal) -> bool:
        """Whether the benchmark counts the goal as reached now."""
        parts = [goal.predicate, goal.subject] + ([goal.place] if goal.place is not None else [])
        return bool(self._env._eval_predicate(parts))

    def _moving_body(self, name: str) -> int:
        return int(self._model.jnt_bodyid[self._moving_joint(name)])

    def _moving_joint(self, name: str) -> int:
        return int(self._model.joint(self._env.get_object(name).joints[0]).id)

    def _boxes(self, geoms: NDArray[np.int64]) -> Boxes:
        model, data = self._model, self._data
        rotations = data.geom_xmat[geoms].reshape(-1, 3, 3)
        boxes = Boxes(
            data.geom_xpos[geoms] + np.einsum('bij,bj->bi', rotations, model.geom_aabb[geoms, :3]),
            model.geom_aabb[geoms, 3:].copy(),
            rotations,
        )
        planes = model.geom_type[geoms] == PLANE
        if not planes.any():
            return boxes
        heights = data.geom_xpos[geoms][planes]
        floor = Boxes(
            heights - (0.0, 0.0, FLOOR_HALF),
            np.full((len(heights), 3), FLOOR_HALF),
            np.broadcast_to(np.eye(3), (len(heights), 3, 3)),
        )
        return joined([boxes.chosen(~planes), floor])
