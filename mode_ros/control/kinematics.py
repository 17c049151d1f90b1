"""A robot's description (URDF) as numbers: where a link is, and how near the robot is to itself.

The library pin (Pinocchio) does it, which is an extra: nothing else of mode_ros needs it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mode_ros.errors import UserError

Vector = NDArray[np.float64]

# std_msgs/String, latched: the robot's URDF, as robot_state_publisher tells it. Relative, as that one's is: it follows
# namespaces and remappings, and is /robot_description where there are none.
DESCRIPTION_TOPIC = 'robot_description'


def require_pin(what: str) -> Any:
    """The library; UserError where it is missing. what: begins the sentence, such as "The contract's box"."""
    try:
        import pinocchio
    except ImportError as error:
        raise UserError(
            # PyPI's pin brings NumPy 2, with which the cv_bridge of an installed ROS does not load.
            f"{what} needs the robot's kinematics, and the library pin is not installed ({error}). Type `sudo apt "
            "install ros-$ROS_DISTRO-pinocchio` beside an installed ROS, `pip install 'mode_ros[collision]'` without "
            'one, or take it out of the contract.'
        ) from error
    return pinocchio


class RobotModel:
    """A robot whose joints are known by name. Lengths in metres, angles in radians."""

    def __init__(self, urdf: str, folders: Sequence[str] = ()) -> None:
        """urdf: the text of the description; folders: where package:// leads. Raises UserError for what is no URDF."""
        self._pin = require_pin('A robot description')
        self._urdf, self._folders = urdf, list(folders)
        try:
            self._model = self._pin.buildModelFromXML(urdf)
        except (ValueError, RuntimeError) as error:
            raise UserError(f'The robot description is not a valid URDF: {error}') from error
        self._data = self._model.createData()
        # The first is the universe, which does not move.
        named = list(zip(self._model.joints, self._model.names, strict=True))[1:]
        self._places = {name: joint for joint, name in named if joint.nv == 1}
        self._geometry: Any = None

    @property
    def joints(self) -> tuple[str, ...]:
        """The movable joints of one degree of freedom."""
        return tuple(self._places)

    @property
    def links(self) -> tuple[str, ...]:
        """Every link, fixed or not."""
        return tuple(frame.name for frame in self._model.frames if frame.type == self._pin.FrameType.BODY)

    def position(self, link: str, joints: Mapping[str, float], base: str = '') -> Vector:
        """[3]: where the origin of `link` is, seen from `base` (default: the description's root).

        joints: radians or metres; what is not named stands at its neutral position.
        """
        self._pin.framesForwardKinematics(self._model, self._data, self._configuration(joints))
        placement = self._data.oMf[self._model.getFrameId(link)]
        if base:
            placement = self._data.oMf[self._model.getFrameId(base)].actInv(placement)
        return np.array(placement.translation)

    def watch_collisions(self, disabled: Sequence[tuple[str, str]]) -> None:
        """Prepares `nearest`. disabled: pairs of links that are allowed to touch; neighbours always are.

        Raises UserError for links that are not there and for meshes that cannot be read.
        """
        for link in {link for pair in disabled for link in pair}:
            self.require_link(link, 'self_collision.disabled')
        try:
            geometry = self._pin.buildGeomFromUrdfString(
                self._model, self._urdf, self._pin.GeometryType.COLLISION, package_dirs=self._folders
            )
        except (ValueError, RuntimeError) as error:
            raise UserError(
                f'The collision shapes of the robot description cannot be read: {error} Source the workspace of the '
                "robot's description package, or describe the shapes by boxes, cylinders and spheres."
            ) from error
        allowed = {frozenset(pair) for pair in disabled}
        self._pairs: list[tuple[str, str]] = []
        for second, b in enumerate(geometry.geometryObjects):
            for first, a in enumerate(geometry.geometryObjects[:second]):
                links = self._model.frames[a.parentFrame].name, self._model.frames[b.parentFrame].name
                if not self._neighbours(a.parentJoint, b.parentJoint) and frozenset(links) not in allowed:
                    geometry.addCollisionPair(self._pin.CollisionPair(first, second))
                    self._pairs.append(links)
        self._geometry, self._geometry_data = geometry, geometry.createData()

    def distances(self, joints: Mapping[str, float]) -> list[tuple[tuple[str, str], float]]:
        """((link, link), distance) of every watched pair of shapes; negative where they are inside each other."""
        assert self._geometry is not None, 'watch_collisions comes first'
        self._pin.computeDistances(
            self._model, self._data, self._geometry, self._geometry_data, self._configuration(joints)
        )
        results = self._geometry_data.distanceResults
        return [(pair, float(result.min_distance)) for pair, result in zip(self._pairs, results, strict=True)]

    def require_link(self, link: str, key: str) -> None:
        """Raises UserError where the description has no such link. key: of the contract."""
        if link not in self.links:
            raise UserError(
                f'The robot description has no link {link!r}, which {key} names; it has {list(self.links)}.'
            )

    def _neighbours(self, first: int, second: int) -> bool:
        """Whether two joints carry the same body, or one's body hangs on the other's."""
        parents = self._model.parents
        return first == second or parents[first] == second or parents[second] == first

    def _configuration(self, joints: Mapping[str, float]) -> Vector:
        configuration: Vector = self._pin.neutral(self._model)
        for name, value in joints.items():
            joint = self._places[name]
            if joint.nq == 2:  # turns without end: cosine and sine
                configuration[joint.idx_q : joint.idx_q + 2] = np.cos(value), np.sin(value)
            else:
                configuration[joint.idx_q] = value
        return configuration
