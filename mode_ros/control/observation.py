"""Observations aligned by header stamp, from live messages or from a bag, by the same code.

An observation at time t holds, of each stream of the contract, the newest sample stamped at or before t, where a
stream's stamps are corrected by the delay that the contract gives it. Live, t is
the newest time for which every stream has spoken (`latest_common_stamp`), so the state that the policy sees is the
state at the time of its slowest camera and not whatever arrived last. A converter asks for the same function at the
ticks of the contract's rate: equal samples give equal observations.

All times are integer nanoseconds: exact, and comparable with stamps in a bag.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import NANOSECONDS, Contract
from mode_ros.control.freshness import StreamAge, describe_stale
from mode_ros.control.orientation import continuous

T = TypeVar('T')


@dataclass(frozen=True)
class Observation:
    """What the policy sees at one instant.

    stamp: nanoseconds; images: camera name to uint8 [height, width, 3] RGB of the contract's size, or
    uint16 [height, width, 1] of depth (mode_ros.control.depth);
    states: stream name to float64 [n] in the contract's order and unit.
    """

    stamp: int
    images: Mapping[str, NDArray[Any]]
    states: Mapping[str, NDArray[np.float64]]


class ObservationUnavailable(Exception):
    """No observation can be assembled now; the message names the streams and why."""


# Of what is wrong with a message, in characters: it goes into logs, reports and a status that is sent.
_LONGEST_REASON = 600


class Unusable(Exception):
    """One message cannot be used (an encoding, a joint missing, a NaN); its stream counts as missing meanwhile."""

    def __init__(self, reason: str) -> None:
        """reason: in words; what it quotes of the message may be as long as a message, and is cut out of the middle."""
        cut = len(reason) > _LONGEST_REASON
        super().__init__(f'{reason[: _LONGEST_REASON // 2]} ... {reason[-_LONGEST_REASON // 2 :]}' if cut else reason)


class StreamHistory(Generic[T]):
    """The recent messages of one stream by stamp, each decoded at most once and only when it is asked for."""

    def __init__(self, keep: int) -> None:
        """keep: nanoseconds of history behind the newest message."""
        self._keep = keep
        self._entries: deque[_Entry[T]] = deque()

    def push(self, stamp: int, decode: Callable[[], T]) -> None:
        """Adds a message. One older than the newest (a reordered packet) is put in its place; a repeated stamp
        replaces the earlier message.
        """
        index = len(self._entries)
        while index > 0 and self._entries[index - 1].stamp > stamp:
            index -= 1
        if index > 0 and self._entries[index - 1].stamp == stamp:
            self._entries[index - 1] = _Entry(stamp, decode)
        else:
            self._entries.insert(index, _Entry(stamp, decode))
        while self._entries[0].stamp < self._entries[-1].stamp - self._keep:
            self._entries.popleft()

    def clear(self) -> None:
        self._entries.clear()

    def forget_before(self, stamp: int) -> None:
        """Drops what `at` cannot return for `stamp` or any later time."""
        while len(self._entries) > 1 and self._entries[1].stamp <= stamp:
            self._entries.popleft()

    @property
    def newest(self) -> int | None:
        """Stamp of the newest message, None before the first."""
        return self._entries[-1].stamp if self._entries else None

    def at(self, stamp: int) -> tuple[int, T] | None:
        """Stamp and content of the newest message stamped at or before `stamp`; raises Unusable."""
        for entry in reversed(self._entries):
            if entry.stamp <= stamp:
                return entry.stamp, entry.value()
        return None


class _Entry(Generic[T]):
    def __init__(self, stamp: int, decode: Callable[[], T]) -> None:
        self.stamp = stamp
        self._decode: Callable[[], T] | None = decode
        self._value: T | None = None

    def value(self) -> T:
        if self._decode is not None:
            self._value = self._decode()
            self._decode = None  # lets go of the message
        return self._value  # type: ignore[return-value]


def _raise(error: Unusable) -> NDArray[Any]:
    raise error


class ObservationBuffer:
    """Collects the streams of a contract and assembles observations. Not thread-safe: the caller locks."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._limits = {stream.name: round(stream.max_age * NANOSECONDS) for stream in contract.observation.streams}
        # What a message shows is older than its stamp by so much.
        self._delays = {stream.name: round(stream.delay * NANOSECONDS) for stream in contract.observation.streams}
        # Twice the freshness limit: enough for a fast stream to still hold the sample that goes with the slowest; and
        # what a delayed one shows is older by its delay.
        furthest = max(self._delays.values(), default=0)
        self._histories: dict[str, StreamHistory[Any]] = {
            name: StreamHistory(keep=2 * limit + furthest - self._delays[name]) for name, limit in self._limits.items()
        }
        # Streams whose last message was stamped ahead of the clock, and by how much.
        self._ahead: dict[str, int] = {}
        self._poses = {state.name for state in contract.observation.states if state.type == 'pose'}
        # What each pose's last message said, with its sign.
        self._facing: dict[str, NDArray[np.float64]] = {}

    def push(self, stream: str, stamp: int, decode: Callable[[], NDArray[Any]], now: int | None = None) -> None:
        """Adds a message of `stream`; decode() gives its array (see Observation) or raises Unusable.

        Its place in time is its stamp less the contract's delay of the stream.

        now: live, the time of the same clock. A message stamped further ahead of it than the stream's limit is not
        taken: nothing after it would be newer, until the clock had caught up.
        """
        if now is not None and stamp - now > self._limits[stream]:
            self._ahead[stream] = stamp - now
            return
        self._ahead.pop(stream, None)
        if stream in self._poses:
            decode = self._faced(stream, decode)
        self._histories[stream].push(stamp - self._delays[stream], decode)

    def _faced(self, stream: str, decode: Callable[[], NDArray[Any]]) -> Callable[[], NDArray[Any]]:
        """What decode() gives, with the sign that goes on from the message before. Decoded at once: a hand may turn
        further between two observations than the nearer sign can tell.
        """
        try:
            pose = continuous(decode(), self._facing.get(stream))
        except Unusable as error:
            return partial(_raise, error)
        self._facing[stream] = pose
        return lambda: pose

    def clear(self) -> None:
        """Forgets everything, as after a jump of the clock."""
        for history in self._histories.values():
            history.clear()
        self._ahead.clear()
        self._facing.clear()

    def forget_before(self, stamp: int) -> None:
        """Drops the samples that no observation at `stamp` or later can hold; a converter's memory stays small so."""
        for history in self._histories.values():
            history.forget_before(stamp)

    def ages(self, now: int) -> list[StreamAge]:
        """How old each stream's newest message is at `now` by its stamp, in the contract's order."""
        return [
            StreamAge(name, self._age(name, history, now), self._limits[name])
            for name, history in self._histories.items()
        ]

    def _age(self, name: str, history: StreamHistory[Any], now: int) -> int | None:
        newest = None if history.newest is None else history.newest + self._delays[name]
        if name in self._ahead and (newest is None or now - newest > self._limits[name]):
            return -self._ahead[name]  # it speaks, on another clock: that, and not silence, is what is wrong
        return None if newest is None else now - newest

    def latest_common_stamp(self) -> int | None:
        """The newest time for which every stream has spoken; None while one is silent."""
        newest = [history.newest for history in self._histories.values()]
        return None if any(stamp is None for stamp in newest) else min(stamp for stamp in newest if stamp is not None)

    def latest(self, now: int) -> Observation:
        """The observation at the latest common stamp.

        Raises ObservationUnavailable naming every stream that is silent, stale at `now`, or unusable.
        """
        stale = describe_stale(self.ages(now))
        if stale:
            raise ObservationUnavailable(stale)
        stamp = self.latest_common_stamp()
        assert stamp is not None  # every stream is fresh
        return self.at(stamp)

    def at(self, stamp: int) -> Observation:
        """The observation at `stamp`; raises ObservationUnavailable where a stream has no sample young enough."""
        samples: dict[str, NDArray[Any]] = {}
        problems = []
        for name, history in self._histories.items():
            try:
                found = history.at(stamp)
            except Unusable as error:
                problems.append(f'{name}: {error}')
                continue
            if found is None:
                problems.append(f'{name}: nothing at or before the time of the observation')
            elif stamp - found[0] > self._limits[name]:
                problems.append(
                    f'{name}: its last sample is {(stamp - found[0]) / NANOSECONDS:.2f} s older than the '
                    f'observation (limit {self._limits[name] / NANOSECONDS:.2f} s)'
                )
            else:
                samples[name] = found[1]
        if problems:
            raise ObservationUnavailable('; '.join(problems))
        return Observation(
            stamp,
            images={camera.name: samples[camera.name] for camera in self._contract.observation.cameras},
            states={state.name: samples[state.name] for state in self._contract.observation.states},
        )
