"""joint_trajectory_controller (ros2_controllers): what it needs to follow a stream of short trajectories."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mode_ros.control.contract import ActionGroup
from mode_ros.drivers.findings import Finding, refuse, tell, warn
from mode_ros.drivers.manners import JOINT_TRAJECTORY, silence_seconds

_FROM_DESIRED = ('interpolate_from_desired_state', 'open_loop_control')


def recognises(parameters: Mapping[str, Any]) -> bool:
    """Whether a node with these parameters is such a controller."""
    return 'joints' in parameters and any(name in parameters for name in (*_FROM_DESIRED, 'allow_partial_joints_goal'))


def examine(
    node: str, parameters: Mapping[str, Any], group: ActionGroup, ends_moving: bool, together: Sequence[str] = ()
) -> Iterator[Finding]:
    """Findings about the controller `node`.

    ends_moving: whether the messages of `group` end with a velocity that is not zero; together: the joints of all
    groups that leave in the same message.
    """
    who = f'{node} (joint_trajectory_controller, for the group {group.name!r})'
    joints = list(parameters.get('joints', ()))
    unknown = [name for name in group.names if name not in joints]
    if unknown:
        yield refuse(
            f'{who} moves the joints {joints} and would reject {unknown}: name the dimensions of the group as its '
            'parameter `joints` does.'
        )
        return
    left_out = [name for name in joints if name not in (*group.names, *together)]
    if left_out and not parameters.get('allow_partial_joints_goal', False):
        yield refuse(
            f'{who} rejects a trajectory without {left_out}: add them to the group, or type '
            f'`ros2 param set {node} allow_partial_joints_goal true`.'
        )
    if ends_moving and parameters.get('allow_nonzero_velocity_at_trajectory_end') is False:
        yield refuse(
            f'{who} rejects trajectories that end with a velocity: type '
            f'`ros2 param set {node} allow_nonzero_velocity_at_trajectory_end true`, and write it into its YAML file.'
        )
    switches = [name for name in _FROM_DESIRED if name in parameters]
    # After ros2_controllers 6.9 a new trajectory is spliced into the one that runs, wherever the arm is measured.
    spliced = parameters.get('allow_trajectory_replacement') is True
    if switches and not spliced and not any(parameters[name] for name in switches):
        yield warn(
            f'{who} begins every new trajectory at the measured position, so that the arm is pulled back by its lag '
            f'once a period and moves unevenly: write `{switches[0]}: true` into its YAML file and start it anew (the '
            'parameter cannot be changed while it runs).'
        )
    if parameters.get('interpolation_method') == 'none':
        yield warn(
            f'{who} does not interpolate (interpolation_method: none), so that every command is a step: write '
            '`interpolation_method: splines` into its YAML file.'
        )
    yield tell(f'{who}: on silence it {_on_silence(parameters)}.')


def _on_silence(parameters: Mapping[str, Any]) -> str:
    seconds, asked = silence_seconds(JOINT_TRAJECTORY, parameters), parameters.get('cmd_timeout')
    if seconds:
        return f'goes to its last point and, {seconds:g} s after it was due, holds where the arm is measured then'
    if isinstance(asked, float) and asked > 0:
        return (
            f'holds its last point (it ignores its cmd_timeout of {asked:g} s, which must be more than '
            f'constraints.goal_time, {parameters["constraints.goal_time"]:g} s)'
        )
    return 'holds its last point'
