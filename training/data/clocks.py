"""From times of reception to the clock of the stamps, measured where they meet: in the observations of a recording.

Commands, goals and marks often carry no stamp of their own, and robots, cameras and recorders often have clocks of
their own. What was received at r belongs to the stamp r - offset, where the offset is measured around r, so that a
clock that was set, or that runs at another speed, as a simulation's does, changes nothing.

A stream whose stamps are of another clock than the others' cannot be aligned with them: that is said, not guessed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from statistics import median_low

from mode_ros.control.contract import NANOSECONDS

# Offsets are medians over so much on either side (nanoseconds of reception): many messages of a joint state, few enough
# that a clock of half the speed moves by little.
WINDOW = NANOSECONDS // 4
# What an offset within this range means is the way of a message through the network, not another clock.
SAME_CLOCK = NANOSECONDS // 100
# Offsets are measured anew so often, and from messages this far apart at least.
_EVERY, _APART = NANOSECONDS // 50, NANOSECONDS // 200
_DAY = 86_400 * NANOSECONDS


class Clocks:
    """The offsets of every observation stream. Tell it messages in the order of reception."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        """limits: nanoseconds, each stream's max_age."""
        self._limits = dict(limits)
        self._heard: dict[str, deque[tuple[int, int]]] = {name: deque() for name in limits}
        self._measured: tuple[int, dict[str, int]] = (-1, {})
        self._agreed: set[str] = set()

    @property
    def known(self) -> bool:
        return any(self._heard.values())

    def hear(self, stream: str, stamp: int, received: int) -> None:
        """A stamped message."""
        heard = self._heard[stream]
        if heard and received - heard[-1][0] < _APART:
            return
        heard.append((received, received - stamp))
        while len(heard) > 2 and heard[0][0] < received - 4 * WINDOW:
            heard.popleft()

    def at(self, received: int) -> int:
        """The stamps' time of something that was received at `received`."""
        offset = self._reference(self._offsets(received))
        return received if 0 <= offset <= SAME_CLOCK else received - offset

    def disagreement(self, received: int) -> str:
        """Which streams are of another clock than the rest, '' where all agree.

        A stream that has agreed once is not judged again: what comes late over a busy network is of the same clock.
        """
        if len(self._agreed) == len(self._limits):
            return ''
        offsets = self._offsets(received)
        if len(offsets) < len(self._limits):
            return ''
        reference = self._reference(offsets)
        apart = {name: offset - reference for name, offset in offsets.items()}
        self._agreed |= {name for name, by in apart.items() if abs(by) <= self._limits[name]}
        return '; '.join(self._sentence(name, by) for name, by in apart.items() if name not in self._agreed)

    def _sentence(self, name: str, by: int) -> str:
        limit = self._limits[name] / NANOSECONDS
        return (
            f'the stamps of {name} are of another clock: {in_words(abs(by))} {"behind" if by > 0 else "ahead of"} '
            f'the others, compared with when messages came (limit {limit:.2f} s); set that clock right, or write '
            f'stamps: reception for {name} in the contract'
        )

    def _offsets(self, received: int) -> dict[str, int]:
        """Reception minus stamp of each stream that has spoken, around a time of reception."""
        slot = received // _EVERY
        if self._measured[0] != slot or len(self._measured[1]) < len(self._limits):
            self._measured = (
                slot,
                {name: around(heard, received) for name, heard in self._heard.items() if heard},
            )
        return self._measured[1]

    def _reference(self, offsets: Mapping[str, int]) -> int:
        """The offset of the clock itself: of the stream that comes fastest, since the rest is delay.

        Stamps ahead of reception are of a clock that is ahead, unless all are, or the others are further away still.
        """
        if not offsets:
            return 0
        possible = [offset for offset in offsets.values() if offset >= -SAME_CLOCK]
        ahead = [offset for offset in offsets.values() if offset < -SAME_CLOCK]
        if ahead and (not possible or min(possible) > max(self._limits.values())):
            return min(ahead)
        return min(possible)


def around(heard: deque[tuple[int, int]], received: int) -> int:
    """The median offset of (reception, offset) around a time of reception; of the nearest one where none is near."""
    near = [offset for at, offset in heard if abs(at - received) <= WINDOW]
    if near:
        return median_low(near)
    return min(heard, key=lambda item: abs(item[0] - received))[1]


def in_words(nanoseconds: int) -> str:
    """A duration for people."""
    if nanoseconds >= 2 * _DAY:
        return f'{nanoseconds / _DAY:.0f} days'
    return f'{nanoseconds / NANOSECONDS:.2f} s'
