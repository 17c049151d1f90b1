"""What the server needs of the ROS side. mode_ros.nodes.page_node is the one that runs; tests give another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from mode_ros.page.driving import Held
from mode_ros.page.pictures import Camera

# Names by which the page may be told to do something: of the controller, the recorder and the simulator.
CONTROLLER_CALLS = ('start', 'pause', 'reset')
RECORDER_CALLS = ('start', 'stop', 'success', 'failure', 'discard')


class Robot(Protocol):
    """Everything but `call` and `release` returns at once."""

    cameras: Mapping[str, Camera]

    def about(self) -> Mapping[str, Any]:
        """What does not change: the robot's name, cameras, keys, the sentences of the training."""

    def state(self) -> Mapping[str, Any]:
        """What is shown of the robot and its nodes now; see the keys in page_node."""

    def age(self, stamp: int) -> float:
        """Seconds since a stamp, on the robot's clock."""

    def stop(self) -> None:
        """Says `estop`."""

    def say_goal(self, goal: str) -> None:
        """Publishes a goal that `check_goal` has let through."""

    def say_goals(self, goals: Sequence[str]) -> None:
        """Gives the queue of goals these, one after the other."""

    async def release(self) -> tuple[bool, str]:
        """Lifts the page's own stop and asks the controller to go on: (whether, its words)."""

    async def call(self, node: str, word: str) -> tuple[bool, str]:
        """A service of 'controller', 'recorder', 'simulator' or 'goals': (whether it did, its words)."""

    def come(self, session: str, name: str) -> None:
        """Somebody might drive."""

    def drive(self, session: str, held: Held) -> str:
        """What is held down; '' or why it does not drive."""

    def leave(self, session: str) -> None:
        """That connection has ended."""
