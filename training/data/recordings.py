"""What can be converted, found by content: bags, LIBERO's demonstrations, CALVIN's episodes.

A Recording is one unit of work: it is read once, from its beginning to its end, and gives frames, spans that were left
out, and what is known about it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mode_ros.control.contract import Contract
from mode_ros.training.data.frames import Frame, LeftOut
from mode_ros.training.data.layout import Layout

# Called while reading with the seconds done since the last call; raises KeyboardInterrupt to stop.
Progress = Callable[[float], None]

# Kinds of input, as --from names them.
KINDS = ('bag', 'libero', 'calvin')


class RecordingProblem(Exception):
    """A recording cannot be used at all, or not from here on; the message says why."""


@dataclass
class About:
    """What is known about a recording once it was read.

    health: what a report says of each stream; judged: whether its success was said by the recorder, which nothing in it
    changes; topics: the recording's, by the contract's names; notes: what is odd and no reason to leave anything out;
    limits: by joint, its unit, lower and upper end in the robot's description, where the recording has one.
    """

    start: int = 0
    success: bool | None = None
    drops: dict[str, int] = field(default_factory=dict)
    recovered: str = ''
    health: dict[str, Any] = field(default_factory=dict)
    judged: bool = False
    topics: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    limits: dict[str, tuple[str, float, float]] = field(default_factory=dict)


class Recording(ABC):
    """One demonstration or a run of several, as recorded."""

    name: str
    path: Path

    @abstractmethod
    def key(self) -> str:
        """What tells its content from any other's, wherever it lies."""

    def parts(self) -> tuple[str, ...]:
        """The keys of what it is made of, each as of a recording that is that part alone."""
        return (self.key(),)

    def former_key(self) -> str:
        """The same as data sets of earlier releases have it."""
        return self.key()

    def described(self) -> str:
        """What people said about it and may correct afterwards, '' for nothing."""
        return ''

    def origin(self) -> str:
        """What makes a simulated demonstration the same as another one, as text; '' where it is none."""
        return ''

    def unreadable(self) -> str:
        """Why nothing of it can be read, '' where something can."""
        return ''

    @abstractmethod
    def seconds(self) -> float:
        """About how long it is, for the progress bar; 0 where that cannot be told."""

    @abstractmethod
    def contract(self) -> tuple[Contract, str] | None:
        """The contract that it names and its text; None where it names none."""

    @abstractmethod
    def read(self, contract: Contract, goal: str, about: About, progress: Progress) -> Iterator[Frame | LeftOut]:
        """Its frames and left-out spans in the order of time; fills `about`.

        goal: replaces the recorded one unless ''. Raises RecordingProblem, also after some frames: those before it
        are good.
        """


def contract_layout(contract: Contract) -> Layout:
    """Rows of a data set recorded under a contract."""
    return Layout(
        rate=contract.rate,
        cameras=tuple((camera.name, camera.width, camera.height) for camera in contract.observation.cameras),
        streams=tuple((state.name, state.names) for state in contract.observation.states),
        groups=tuple(contract.group_action_names.items()),
        depth={
            camera.name: (camera.near, camera.far)
            for camera in contract.observation.cameras
            if camera.near is not None and camera.far is not None
        },
    )
