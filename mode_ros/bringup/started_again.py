"""Whether a process stands in the place of one that ended: launch names a file, and the first process makes it.

A controller that ended has forgotten what had stopped the robot, and that it was paused. The one that is started in
its place must not let the policy go on by itself.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path

VARIABLE = 'MODE_ROS_STARTED'
"""Of the environment: the file, in a folder that only this launch uses. Without it nobody starts a process again."""
ASKS = 'controller_node'
"""Who asks."""


def started_again(environment: MutableMapping[str, str]) -> bool:
    """To be asked once per process; its children are not told. Where the file cannot be made, the answer is yes.

    Who was first is not known then.
    """
    path = environment.pop(VARIABLE, None)
    if not path:
        return False
    try:
        Path(path).touch(exist_ok=False)
    except OSError:  # mostly since it is there
        return True
    return False
