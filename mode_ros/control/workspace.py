"""Where the robot may be: a box per group, and a distance from itself. Optional keys of the contract.

Judged is where the robot would be, before it is told to go there. A robot that is found outside may come back, never go
further out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import ActionGroup, Contract, State
from mode_ros.control.kinematics import RobotModel, require_pin
from mode_ros.control.space import Box
from mode_ros.errors import UserError

Vector = NDArray[np.float64]

# What noise of the measured position may add (m).
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Finding:
    """One thing that would be wrong. key: what it is about; depth: by how many metres; text: in words."""

    key: str
    depth: float
    text: str


class Workspace:
    """Judges commands. Without a box and self_collision in the contract it finds nothing and costs nothing."""

    def __init__(self, contract: Contract) -> None:
        """Raises UserError where the contract asks for what needs the library pin and it is not installed."""
        self._contract = contract
        self._boxes = [group for group in contract.action if group.box is not None]
        self.needs_description = contract.self_collision is not None or any(
            group.box is not None and group.box.frame is not None for group in self._boxes
        )
        self.needed = bool(self._boxes) or self.needs_description
        if self.needs_description:
            require_pin("The contract's self_collision" if contract.self_collision else "The contract's box")
        self._model: RobotModel | None = None
        self._described = ''
        self._outside: dict[str, float] = {}

    def describe(self, urdf: str, folders: Sequence[str] = ()) -> None:
        """Takes the robot's description, where it is another one; none is there after a bad one.

        Raises UserError where the contract names what it does not have.
        """
        if urdf == self._described:
            return  # a latched word comes more than once, and its model takes long to make
        self._model, self._described = None, ''
        model = RobotModel(urdf, folders)
        for group in self._boxes:
            assert group.box is not None
            if group.box.frame is None:
                continue
            missing = sorted(set(group.names) - set(model.joints))
            if missing:
                raise UserError(
                    f'The robot description has no joints {missing}, which the group {group.name!r} commands; it has '
                    f'{list(model.joints)}.'
                )
            model.require_link(group.box.frame, f'the box of the group {group.name!r}')
            if group.box.base:
                model.require_link(group.box.base, f'the box of the group {group.name!r}')
        if self._contract.self_collision is not None:
            if not set(self._contract.action_names) & set(model.joints):
                raise UserError(
                    f'The robot description has none of the joints {list(self._contract.action_names)} that the '
                    f'contract commands; it has {list(model.joints)}.'
                )
            model.watch_collisions(self._contract.self_collision.disabled)
        self._model, self._described = model, urdf

    @property
    def missing(self) -> str:
        """'' when commands can be judged, else what is waited for."""
        return 'no robot description yet' if self.needs_description and self._model is None else ''

    def problem(self, action: Vector, measured: Mapping[str, Vector]) -> str:
        """'' where the robot may go to `action` [d], else why not.

        action: where it would be, NaN in a dimension that is not commanded; a displacement counts from the measured
        pose. measured: state stream to its values. The command is judged against where the robot is: what is outside
        already may come nearer, not go further out.
        """
        if not self.needed:
            return ''
        here = {finding.key: finding.depth for finding in self._findings(np.full(len(action), np.nan), measured)}
        # Once it has come back by some way it must not go out again by as much.
        self._outside = {key: min(depth, self._outside.get(key, depth)) for key, depth in here.items()}
        wrong = [
            finding.text
            for finding in self._findings(action, measured)
            if finding.depth > self._outside.get(finding.key, 0.0) + TOLERANCE
        ]
        return '; '.join(wrong)

    def _findings(self, action: Vector, measured: Mapping[str, Vector]) -> Iterator[Finding]:
        joints = self._joints(action, measured) if self._model is not None else {}
        for group in self._boxes:
            assert group.box is not None
            place = self._place(group, group.box, action, measured, joints)
            if place is not None:
                yield from outside(group.name, group.box, place)
        limits = self._contract.self_collision
        if limits is not None and self._model is not None:
            for pair, distance in self._model.distances(joints):
                if distance < limits.distance:
                    yield Finding(
                        f'{pair}',
                        limits.distance - distance,
                        f'{pair[0]} and {pair[1]} would be {1000 * max(distance, 0.0):.0f} mm apart (limit '
                        f'{1000 * limits.distance:.0f} mm)',
                    )

    def _place(
        self, group: ActionGroup, box: Box, action: Vector, measured: Mapping[str, Vector], joints: Mapping[str, float]
    ) -> Vector | None:
        if box.frame is not None:
            return None if self._model is None else self._model.position(box.frame, joints, box.base)
        assert box.state is not None
        if box.state not in measured:
            return None
        displacement = action[self._contract.group_slices[group.name]][:3]
        return measured[box.state][:3] + np.nan_to_num(displacement, nan=0.0)

    def _joints(self, action: Vector, measured: Mapping[str, Vector]) -> dict[str, float]:
        """Every joint of the description that is commanded or measured; a command wins."""
        assert self._model is not None
        known = set(self._model.joints)
        found: dict[str, float] = {}
        for state in self._contract.observation.states:
            if _measures_joints(state) and state.name in measured:
                found.update(zip(state.names, measured[state.name].tolist(), strict=True))
        for group in self._contract.action:
            if group.kind == 'absolute':
                values = action[self._contract.group_slices[group.name]]
                found.update(
                    {name: float(value) for name, value in zip(group.names, values, strict=True) if not np.isnan(value)}
                )
        return {name: value for name, value in found.items() if name in known}


def outside(name: str, box: Box, place: Vector) -> Iterator[Finding]:
    """A finding where `place` [3] lies outside the box of the group `name`."""
    beyond = np.maximum(np.asarray(box.lower) - place, place - np.asarray(box.upper))
    axis = int(beyond.argmax())
    if beyond[axis] > 0.0:
        yield Finding(
            f'box {name}',
            float(beyond[axis]),
            f'{name} would leave its box: {"xyz"[axis]} = {place[axis]:.3f} m, allowed are {box.lower[axis]:g} to '
            f'{box.upper[axis]:g}',
        )


def _measures_joints(state: State) -> bool:
    return state.type == 'joint_state' and state.field == 'position' and state.unit in ('rad', 'm')
