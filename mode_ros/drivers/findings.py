"""What is found out about a driver: sentences for people, in three degrees."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

# The node that plays a robot: it reads the same contract, and stops by itself.
SIMULATOR = 'sim_node'


class Degree(Enum):
    """REFUSE: the robot would not move, or not as the contract says. WARN: it works, and worse than it could."""

    REFUSE = 'refuse'
    WARN = 'warn'
    TELL = 'tell'


@dataclass(frozen=True)
class Finding:
    """One sentence about one group's driver."""

    degree: Degree
    text: str


def refuse(text: str) -> Finding:
    return Finding(Degree.REFUSE, text)


def warn(text: str) -> Finding:
    return Finding(Degree.WARN, text)


def tell(text: str) -> Finding:
    return Finding(Degree.TELL, text)
