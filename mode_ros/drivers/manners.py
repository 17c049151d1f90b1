"""What drivers do when nobody speaks to them any more, as data. Needs no ROS.

A controller that dies cannot send a stop. Then the driver decides: a position target is kept, which is a hold; a
velocity goes on until the driver's own timeout, if it has one and it is set. docs/safety.md and docs/drivers.md print
this table, and the checks read the parameters that it names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Manner:
    """One driver's behaviour on silence.

    driver: its name; adapter: of the contract; on_silence: in words; keeps_moving: whether silence alone, with the
    timeout off or absent, leaves the robot moving; timeout: the parameter that ends the motion, '' where there is
    none; default: its value where it is not set, in seconds, 0.0 for off; more_than: the parameter that the timeout
    must be larger than, or the driver ignores it; source: where this is documented.
    """

    driver: str
    adapter: str
    on_silence: str
    keeps_moving: bool
    timeout: str = ''
    default: float = 0.0
    more_than: str = ''
    source: str = ''


JOINT_TRAJECTORY = Manner(
    'joint_trajectory_controller',
    'joint_trajectory',
    'goes on to the last point of the trajectory and holds it; with a last point that still moves, it stops there',
    keeps_moving=False,
    timeout='cmd_timeout',
    default=0.0,
    more_than='constraints.goal_time',
    source='ros2_controllers: joint_trajectory_controller, parameters and on_activate, the same in Humble and Jazzy',
)
FORWARD_POSITION = Manner(
    'forward_command_controller (position)',
    'forward_command',
    'holds the last position',
    keeps_moving=False,
    source='ros2_controllers: forward_command_controller',
)
FORWARD_OTHER = Manner(
    'forward_command_controller (velocity, effort)',
    'forward_command',
    'goes on with the last velocity or effort until somebody commands another',
    keeps_moving=True,
    source='ros2_controllers: forward_command_controller',
)
SERVO = Manner(
    'MoveIt Servo',
    'twist',
    'brings the arm to a smooth halt when the newest command is older than the timeout',
    keeps_moving=False,
    timeout='moveit_servo.incoming_command_timeout',
    default=0.1,
    source='moveit_servo: servo_parameters.yaml',
)
CARTESIAN_POSE = Manner(
    'a Cartesian controller (CRISP, cartesian_controllers)',
    'pose',
    'holds the last pose, with its stiffness',
    keeps_moving=False,
    source='crisp_controllers: cartesian_controller',
)
GRIPPER = Manner(
    'a gripper action server',
    'gripper_command',
    'goes on to the goal it has, or stalls there',
    keeps_moving=False,
    source='ros2_controllers: parallel_gripper_controller; control_msgs/GripperCommand',
)
UNKNOWN_TWIST = Manner(
    'another consumer of twists',
    'twist',
    'not known: assume that the last velocity goes on',
    keeps_moving=True,
)

MANNERS = (JOINT_TRAJECTORY, FORWARD_POSITION, FORWARD_OTHER, SERVO, CARTESIAN_POSE, GRIPPER, UNKNOWN_TWIST)


def silence_seconds(manner: Manner, parameters: Mapping[str, Any]) -> float | None:
    """Seconds of silence after which the driver itself ends the motion, by its `parameters`; None: it never does.

    Of joint_trajectory_controller they count from the end of the last trajectory.
    """
    if not manner.timeout:
        return None
    seconds = _number(parameters.get(manner.timeout), manner.default)
    least = _number(parameters.get(manner.more_than), 0.0) if manner.more_than else 0.0
    return seconds if seconds > least else None


def _number(value: Any, otherwise: float) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else otherwise


def table() -> list[tuple[str, str, str, str]]:
    """Rows for people: driver, adapter, what it does on silence, which parameter ends a motion and its default."""
    rows = []
    for manner in MANNERS:
        ends = (
            'none'
            if not manner.timeout
            else f'{manner.timeout} ({manner.default:g} s' + (', which is off)' if manner.default == 0 else ')')
        )
        rows.append((manner.driver, manner.adapter, manner.on_silence, ends))
    return rows
