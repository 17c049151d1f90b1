"""Two drivers that publish the same numbers on one topic: they alternate, and an arm would follow first one and then
the other. A recording says so by numbers that jump away and come back, faster than they can move.

Of a second driver that is much rarer only the way back is seen, as of a sensor that glitches. Time tells them apart: a
glitch stands in the place of a message, and what a second driver says stands between two that are a period apart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mode_ros.checks.bounds import state_bounds
from mode_ros.checks.finding import Finding
from mode_ros.checks.spread import state_floor
from mode_ros.control.contract import NANOSECONDS, Contract, State

# A message goes on where one of these many before it was. Two drivers at odd rates send two or three in a row.
_BEFORE = 4
# A jump is larger than so many times what noise is at most, and than so many times the way to where it was before.
_NOISE, _FARTHER = 5.0, 4.0
# Of all messages. Two drivers of one rate make half of them jump, and so does one beside another up to three times as
# quick. An arm that chatters against what it holds does so in a quarter of a short recording: 5 of 600 simulated ones,
# in which it pushed something.
SHARE = 0.35
_ENOUGH = 20
# Ways back that are looked at together, and the time that most of them may take, in periods of the topic's messages: of
# a glitch it is two.
_RETURNS, _BETWEEN = 6, 1.5
# Of so many messages the times between them are kept.
_KEPT = 1000


class Alternation:
    """Looks at one state's messages as they come; keeps the last few."""

    def __init__(self, contract: Contract, state: State) -> None:
        self._state = state
        size = 3 if state.type == 'pose' else len(state.names)
        self._used = size if state.type == 'pose' or (state.type, state.field) == ('joint_state', 'position') else 0
        self._noise = _NOISE * np.asarray(state_floor(contract, state.name))[:size]
        bounds = state_bounds(contract, state.name)
        steps = [bounds[name].max_step if name in bounds else None for name in state.names[:size]]
        # Per second, where the contract knows it.
        self._speed = np.array([0.0 if step is None else step * contract.rate for step in steps])
        self._last: deque[tuple[int, NDArray[np.float64]]] = deque(maxlen=_BEFORE)
        self._jumps = np.zeros(size, np.int64)
        self._largest = np.zeros(size)
        self._count = 0
        # Nanoseconds from message to message, and over what was jumped away from and back.
        self._steps: deque[int] = deque(maxlen=_KEPT)
        self._returns: deque[int] = deque(maxlen=_KEPT)

    @property
    def looks(self) -> bool:
        """Whether the state is one of positions, of which no other may jump."""
        return self._used > 0

    def clear(self) -> None:
        """What came before and what comes now are of different clocks."""
        self._last.clear()

    def add(self, stamp: int, values: NDArray[np.float64]) -> None:
        """A message of the stream, decoded. stamp: nanoseconds."""
        if not self._used:
            return
        x = values[: self._used]
        if len(self._last) == _BEFORE:
            then, before = self._last[-1]
            jump = np.abs(x - before)
            way = np.min([np.abs(x - other) for _, other in self._last], axis=0)
            seconds = max(0, stamp - then) / NANOSECONDS
            odd = (jump > self._noise) & (jump > _FARTHER * way) & (jump > self._speed * seconds)
            self._jumps += odd
            self._largest = np.maximum(self._largest, np.where(odd, jump, 0.0))
            self._count += 1
            self._steps.append(stamp - then)
            if odd.any():
                near = [time for time, other in self._last if (np.abs(x - other) * _FARTHER < jump)[odd].all()]
                self._returns += [stamp - near[-1]] if near else []
        self._last.append((stamp, x))

    def findings(self, topic: str) -> list[Finding]:
        """topic: as recorded."""
        if self._count < _ENOUGH or not self._used:
            return []
        worst = int(np.argmax(self._jumps))
        share = self._jumps[worst] / self._count
        if share > SHARE:
            often = f'in {share:.0%} of the messages'
        elif self._is_between:
            often = f'{self._jumps[worst]} times, between two messages that are a period apart,'
        else:
            return []
        name, unit = self._state.names[worst], self._state.unit
        return [
            Finding(
                'sources',
                f'{self._state.name}: two sources on {topic} disagree: {often} {name} jumps by up to '
                f'{self._largest[worst]:.3g} {unit} and comes back; end the second driver of these joints and '
                'record again, or, if there is none and the arm itself shook so, drop the recording',
            )
        ]

    @property
    def _is_between(self) -> bool:
        """Whether what jumped away came besides the other messages, and not in the place of some."""
        if len(self._returns) < _RETURNS:
            return False
        period = min(np.median(self._steps), np.mean(self._steps))  # of bursts the mean, of gaps the median
        return bool(np.median(self._returns) < _BETWEEN * period)


def publisher_findings(states: Sequence[tuple[State, str, int]]) -> list[Finding]:
    """states: each with its topic as recorded, and how many publishers the recording counted there (0: not told)."""
    return [
        Finding(
            'sources',
            f'{state.name}: {count} publishers were recorded on {topic}, expected {state.publishers}; end what should '
            'not be there, or, where each publishes other joints, give their number as `publishers` in the contract',
        )
        for state, topic, count in states
        if count > state.publishers
    ]


def commander_findings(topics: Mapping[str, tuple[Sequence[str], int]]) -> list[Finding]:
    """topics: of commands, as recorded: the groups that they are of, and how many publishers were counted there.

    The numbers do not tell: a target may jump, and come back, as it likes.
    """
    return [
        Finding(
            'sources',
            f'{", ".join(groups)}: {count} publishers were recorded on {topic}, expected 1; where both commanded, the '
            'actions are of first one and then the other: look which (`ros2 bag info`), end it and record again',
        )
        for topic, (groups, count) in topics.items()
        if count > 1
    ]
