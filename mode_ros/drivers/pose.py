"""Cartesian controllers that take a target pose: CRISP's, and FZI's cartesian_controllers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mode_ros.control.contract import ActionGroup
from mode_ros.drivers.findings import Finding, refuse, tell, warn

# The parameter that names the frame of a target, by driver. CRISP takes the numbers whatever frame the message names.
_FRAMES = {'base_frame': 'CRISP', 'robot_base_link': 'cartesian_controllers'}


def recognises(parameters: Mapping[str, Any]) -> bool:
    """Whether a node with these parameters is such a controller."""
    return any(name in parameters for name in _FRAMES) and (
        'end_effector_frame' in parameters or 'end_effector_link' in parameters
    )


def examine(
    node: str, parameters: Mapping[str, Any], group: ActionGroup, publishers: int | None = None
) -> Iterator[Finding]:
    """Findings about the controller `node`. publishers: of its topic, the controller node among them, if known."""
    name = next(name for name in _FRAMES if name in parameters)
    who = f'{node} ({_FRAMES[name]}, for the group {group.name!r})'
    frame = str(parameters[name])
    if frame and frame != group.output.frame_id:
        yield refuse(
            f'{who} takes poses in the frame {frame!r} (its parameter `{name}`), and the contract gives them in '
            f'{group.output.frame_id!r}: write `frame_id: {frame}`, and record the pose of the hand in that frame.'
        )
    if publishers is not None and publishers > 1 and _FRAMES[name] == 'CRISP':
        yield refuse(
            f'{who} ignores poses while more than one node publishes them, and {publishers} do: end the others '
            '(`ros2 topic info -v` names them).'
        )
    if group.output.max_speed is None or group.output.max_rotation_speed is None:
        yield warn(f'{who} follows any pose at once: give the output max_speed (m/s) and max_rotation_speed (rad/s).')
    yield tell(f'{who}: on silence it holds the last pose.')
