"""The way that planned actions lead a hand through space, without transforms between frames.

Displacements are summed up from the measured pose, targets of a pose are places themselves, and targets of joints are
put through the robot's kinematics where its description is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import ActionGroup, Contract, State
from mode_ros.control.kinematics import RobotModel

Vector = NDArray[np.float64]

JOINT_ADAPTERS = ('joint_trajectory', 'forward_command')


@dataclass(frozen=True)
class Measured:
    """A state: values [n] in the contract's unit, and the frame that its message names."""

    values: Vector
    frame: str = ''


@dataclass(frozen=True)
class Path:
    """group: its name; frame: that its points [n, 3], in metres, are in, the first where the hand is now; decided: so
    many of the points after the first were decided before the chunk was planned.
    """

    group: str
    frame: str
    points: Vector
    decided: int


def pose_stream(contract: Contract, group: ActionGroup) -> State | None:
    """The stream that says where the hand of a group of displacements or poses is: the one that the contract names for
    it, else the only pose that is measured.
    """
    named = group.feedback or (group.box.state if group.box is not None else None)
    if named is not None:
        return contract.state(named)
    poses = [state for state in contract.observation.states if state.type == 'pose']
    return poses[0] if len(poses) == 1 else None


class Paths:
    """Finds the path of each group that has one; `missing` says of the others what they lack."""

    def __init__(self, contract: Contract, link: str = '') -> None:
        """link: whose way is drawn of joints, where a group's box names none."""
        self._contract, self._link = contract, link
        self.model: RobotModel | None = None
        self.missing: dict[str, str] = {}

    @property
    def needs_description(self) -> bool:
        """Whether a robot's description would give a path."""
        return any(self._link_of(group) for group in self._contract.action)

    def of(self, actions: Vector, decided: int, measured: Mapping[str, Measured]) -> list[Path]:
        """actions: [n, d], those ahead, of which the first `decided` were decided before."""
        self.missing = {}
        found = []
        for group in self._contract.action:
            own = actions[:, self._contract.group_slices[group.name]]
            path = self._of_group(group, own, measured)
            if isinstance(path, str):
                self.missing[group.name] = path
            elif path is not None and np.isfinite(path[1]).all():
                found.append(Path(group.name, path[0], path[1], min(decided, len(actions))))
        return found

    def _of_group(
        self, group: ActionGroup, actions: Vector, measured: Mapping[str, Measured]
    ) -> tuple[str, Vector] | str | None:
        """(frame, points), or what is missing; None for a group that has no hand, such as a gripper."""
        adapter = group.output.adapter
        if adapter in ('twist', 'pose'):
            state = pose_stream(self._contract, group)
            if state is None:
                return 'the contract names no state that measures its pose'
            if state.name not in measured:
                return f'{state.name} has not been heard'
            start = measured[state.name]
            if start.frame and start.frame.lstrip('/') != group.output.frame_id.lstrip('/'):
                return f'{state.name} is measured in {start.frame!r}, and commanded in {group.output.frame_id!r}'
            place = start.values[:3]
            ahead = place + np.cumsum(actions[:, :3], axis=0) if group.kind == 'delta' else actions[:, :3]
            return group.output.frame_id, np.vstack([place, ahead])
        if adapter in JOINT_ADAPTERS and (link := self._link_of(group)):
            return self._of_joints(group, link, actions, measured)
        return None

    def _link_of(self, group: ActionGroup) -> str:
        if group.output.adapter not in JOINT_ADAPTERS:
            return ''
        return (group.box.frame or '' if group.box is not None else '') or self._link

    def _of_joints(
        self, group: ActionGroup, link: str, actions: Vector, measured: Mapping[str, Measured]
    ) -> tuple[str, Vector] | str | None:
        if self.model is None:
            return 'the robot description has not come'
        if link not in self.model.links:
            return f'the robot description has no link {link!r}'
        if not set(group.names) & set(self.model.joints):
            return None  # a gripper that the description does not know
        joints: dict[str, float] = {}
        for state in self._contract.observation.states:
            if state.type == 'joint_state' and state.field == 'position' and state.name in measured:
                joints.update(zip(state.names, measured[state.name].values.tolist(), strict=True))
        base = group.box.base if group.box is not None else ''
        rows = [joints, *(joints | dict(zip(group.names, row.tolist(), strict=True)) for row in actions)]
        known = set(self.model.joints)
        points = [
            self.model.position(link, {name: value for name, value in row.items() if name in known}, base)
            for row in rows
        ]
        return base or self.model.links[0], np.array(points)
