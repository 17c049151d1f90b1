"""Action chunks: what makes one acceptable, and which of its actions is due."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import NANOSECONDS, Contract
from mode_ros.control.poses import without_rotation


@dataclass(frozen=True)
class Chunk:
    """Actions planned from one observation.

    stamp: nanoseconds, the time of the observation; names: the contract's action names; times: nanoseconds after
    stamp, [A]; actions: float64 [A, d]. Action i is for stamp + (i + 1) periods.
    """

    stamp: int
    names: tuple[str, ...]
    times: tuple[int, ...]
    actions: NDArray[np.float64]
    identity: str = ''


class ChunkRejected(Exception):
    """A chunk is refused whole. check: the failed check's name; the message says what was found."""

    def __init__(self, check: str, message: str) -> None:
        super().__init__(message)
        self.check = check


def make_chunk(contract: Contract, stamp: int, actions: NDArray[np.float64], identity: str = '') -> Chunk:
    """The chunk of `actions` [A, d] planned from the observation at `stamp` for the request `identity`."""
    times = tuple((index + 1) * contract.period for index in range(len(actions)))
    return Chunk(stamp, contract.action_names, times, actions, identity)


def check_chunk(chunk: Chunk, contract: Contract) -> None:
    """Refuses a chunk that is not made for this contract or holds something that is not a number."""
    if chunk.names != contract.action_names:
        raise ChunkRejected(
            'names', f'its names are {list(chunk.names)}, the contract has {list(contract.action_names)}'
        )
    if len(chunk.times) > contract.max_chunk_length:
        raise ChunkRejected(
            'length',
            f"it has {len(chunk.times)} actions, more than the contract's max_chunk_length {contract.max_chunk_length}",
        )
    if chunk.actions.ndim != 2 or chunk.actions.shape != (len(chunk.times), len(chunk.names)) or not chunk.times:
        raise ChunkRejected(
            'shape',
            f'its actions have the shape {list(chunk.actions.shape)}, expected [at least 1, {len(chunk.names)}]',
        )
    expected = contract.period * np.arange(1, len(chunk.times) + 1, dtype=np.int64)
    # A tenth of a period: far beyond rounding, far below a chunk made for another rate.
    wrong = np.flatnonzero(np.abs(np.asarray(chunk.times, np.int64) - expected) > contract.period // 10)
    if wrong.size:
        first = int(wrong[0])
        raise ChunkRejected(
            'timing',
            f'action {first} is for {chunk.times[first] / NANOSECONDS:.4f} s, expected '
            f'{expected[first] / NANOSECONDS:.4f} s at {contract.rate} Hz',
        )
    if not np.isfinite(chunk.actions).all():
        row, column = np.argwhere(~np.isfinite(chunk.actions))[0]
        raise ChunkRejected('finite', f'action {row} has {chunk.names[column]} = {chunk.actions[row, column]}')
    if found := without_rotation(chunk.actions, contract):
        raise ChunkRejected('rotation', f'action {found[0]} has axes of {found[1]!r} that give no rotation')


class ChunkPlayer:
    """Hands out the actions of one chunk, one per control period."""

    def __init__(self, contract: Contract) -> None:
        self._period = contract.period
        self._skips = not contract.delta_mask.any()
        self._chunk: Chunk | None = None
        self._anchor: int | None = None
        self._index = 0

    def start(self, chunk: Chunk, anchor: int | None) -> None:
        """Plays `chunk` next. anchor: the time from which its actions count; None: from the first tick on, for a
        robot that has stood still since the observation.
        """
        self._chunk, self._anchor, self._index = chunk, anchor, 0

    def clear(self) -> None:
        self._chunk = None

    def next(self, now: int) -> NDArray[np.float64] | None:
        """The action [d] due at `now`, or None when the chunk is over.

        Targets whose time has passed are skipped. Displacements never are: leaving one out would leave the arm short
        of where the rest of the chunk starts from.
        """
        if self._chunk is None:
            return None
        if self._anchor is None:
            self._anchor = now
        if self._skips:
            self._index = max(self._index, (now - self._anchor) // self._period)
        if self._index >= len(self._chunk.actions):
            self._chunk = None
            return None
        action = self._chunk.actions[self._index]
        self._index += 1
        return action


def check_times(chunk: Chunk, now: int, period: int, last_stamp: int, max_age: int) -> None:
    """Refuses a chunk that is not of now: older than the one before, of another clock, or too old to be started.

    All nanoseconds; last_stamp: of the observation of the chunk before.
    """
    if chunk.stamp < last_stamp:
        raise ChunkRejected('order', 'its observation is older than that of the chunk before')
    if chunk.stamp > now + period:
        raise ChunkRejected(
            'future',
            f'its observation lies {(chunk.stamp - now) / NANOSECONDS:.2f} s ahead; do both nodes use the same clock?',
        )
    if now - chunk.stamp > max_age:
        raise ChunkRejected(
            'age',
            f'its observation is {(now - chunk.stamp) / NANOSECONDS:.2f} s old (limit {max_age / NANOSECONDS:.2f} s)',
        )
