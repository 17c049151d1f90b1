"""What a launch argument's text means. Standard library only: `ros2 launch` reads this with the system's Python."""

from __future__ import annotations

from pathlib import Path

from mode_ros.errors import UserError

# A node that could not start ends with this status; a crash ends with another one (mode_ros.nodes.process).
REFUSED = 1

# What launch's own conditions (IfCondition) accept, in any case.
_BOOLEANS = {'true': True, '1': True, 'false': False, '0': False}


def read_boolean(name: str, text: str) -> bool:
    """The value of a launch argument that is true or false; UserError for anything else."""
    try:
        return _BOOLEANS[text.strip().lower()]
    except KeyError:
        raise UserError(f'The launch argument {name} is {text!r}; it can be true, false, 1 or 0.') from None


def settings_file(text: str) -> str:
    """The path of the nodes' settings; UserError if no file is there, which launch_ros would only mention."""
    path = Path(text).expanduser()
    if path.is_file():
        return str(path)
    raise UserError(
        f'The settings file {text!r} does not exist: give settings:= the path of a ROS parameter file, '
        "or leave it out for mode_ros's own config/nodes.yaml."
    )


def ends_the_launch(status: int, respawn: bool) -> bool:
    """Whether a node that ended by itself takes the others along: always after a refusal, which repeats itself."""
    return status == REFUSED or (status != 0 and not respawn)
