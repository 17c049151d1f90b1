"""When a person would take over from the policy, and when they would let go: a rule without a clock or a simulator.

Taken over is where the policy strays: its commands are far from what the expert would do for a while, the hand stands
still for a while, or the policy has driven for longer than it should need. Let go is when the expert has brought the
task on its way again: after a time, which doubles with each takeover of an attempt, so that a policy that cannot do a
step does not have to be rescued at it for ever, and not before the hand has moved.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NANOSECONDS = 1_000_000_000

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Supervision:
    """far: mean distance of the policy's commands from the expert's over far_seconds, see `distance`; still: the hand
    has stayed within a box of this diagonal (m) for still_seconds; patience: seconds that the policy may drive at a
    stretch; least: seconds of the first takeover; moved: how far (m) the hand must have been brought before it is let
    go.
    """

    far: float = 1.0
    far_seconds: float = 0.5
    still: float = 0.005
    still_seconds: float = 1.0
    patience: float = 6.0
    least: float = 1.0
    moved: float = 0.02


def distance(command: Vector, expert: Vector, limits: Vector) -> float:
    """Between two actions [d], each number by its limit [d]: 1 is one axis standing that should go at full speed, 2 one
    axis going the wrong way.
    """
    return float(np.linalg.norm((command - expert) / limits))


class Supervisor:
    """One attempt. Tell it of every control period, either `policy_drove` or `expert_drove`; times in nanoseconds."""

    def __init__(self, rule: Supervision, now: int) -> None:
        self._rule = rule
        self.driving = False
        """Whether the expert is to drive."""
        self.takeovers: list[tuple[int, str]] = []
        """When the expert took over, and why."""
        self._begin(now)

    def policy_drove(self, now: int, hand: Vector, away: float | None) -> None:
        """A period that the policy drove. hand: [3] in m; away: the command's `distance`, None where it waited."""
        rule = self._rule
        self._hands.append((now, hand.copy()))
        _forget(self._hands, now, rule.still_seconds)
        if away is not None:
            self._distances.append((now, away))
        _forget(self._distances, now, rule.far_seconds)
        if reason := self._strays(now):
            self.takeovers.append((now, reason))
            self.driving = True
            self._since, self._path, self._last = now, 0.0, hand.copy()

    def expert_drove(self, now: int, hand: Vector) -> None:
        """A period that the expert drove; hand: [3] in m."""
        self._path += float(np.linalg.norm(hand - self._last))
        self._last = hand.copy()
        least = self._rule.least * 2 ** (len(self.takeovers) - 1) * NANOSECONDS
        if now - self._since >= least and self._path >= self._rule.moved:
            self.driving = False
            self._begin(now)

    def _begin(self, now: int) -> None:
        self._since = now
        self._path, self._last = 0.0, np.zeros(3)
        self._hands: deque[tuple[int, Vector]] = deque()
        self._distances: deque[tuple[int, float]] = deque()

    def _strays(self, now: int) -> str:
        rule, driven = self._rule, (now - self._since) / NANOSECONDS
        if self._distances and driven >= rule.far_seconds:
            mean = sum(away for _, away in self._distances) / len(self._distances)
            if mean > rule.far:
                return 'far from the expert'
        if driven >= rule.still_seconds:
            hands = np.array([hand for _, hand in self._hands])
            if np.linalg.norm(np.ptp(hands, axis=0)) < rule.still:
                return 'stands still'
        return 'takes too long' if driven >= rule.patience else ''


def _forget(history: deque[Any], now: int, seconds: float) -> None:
    while history and now - history[0][0] > seconds * NANOSECONDS:
        history.popleft()
