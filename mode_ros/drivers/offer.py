"""What a running graph offers to a contract, as plain data. Needs no ROS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from mode_ros.drivers.urdf import JointLimit
from mode_ros.errors import UserError


@dataclass(frozen=True)
class Command:
    """A topic or an action that somebody listens to. joints: in its order, () where it tells none; frame: of poses."""

    adapter: str
    name: str
    node: str = ''
    joints: tuple[str, ...] = ()
    interface: str = ''
    frame: str = ''
    action_type: str = ''


@dataclass
class Survey:
    """cameras: topic to transport; joints: topic to joint names; poses: topics; limits: by joint; publishers: of a
    topic of joints, where there are several; unknown: command topics to the nodes that listen and were not recognised.
    """

    cameras: dict[str, str] = field(default_factory=dict)
    joints: dict[str, tuple[str, ...]] = field(default_factory=dict)
    poses: tuple[str, ...] = ()
    commands: tuple[Command, ...] = ()
    limits: Mapping[str, JointLimit] = field(default_factory=dict)
    publishers: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def without(self, names: Sequence[str]) -> Survey:
        """The same but for topics and actions of these names; UserError for one that was not seen."""
        seen = [*self.cameras, *self.joints, *self.poses, *(command.name for command in self.commands)]
        for name in names:
            if name not in seen:
                raise UserError(
                    f'{name} was not seen on the graph, so it cannot be left out; seen were {sorted(seen)}.'
                )
        return replace(
            self,
            cameras={topic: kind for topic, kind in self.cameras.items() if topic not in names},
            joints={topic: joints for topic, joints in self.joints.items() if topic not in names},
            poses=tuple(topic for topic in self.poses if topic not in names),
            commands=tuple(command for command in self.commands if command.name not in names),
        )
