"""From recorded messages to frames at the contract's rate.

Observations come out of the same ObservationBuffer that the policy reads while running, fed by the same `ingest`; a
frame at tick t is what the policy would have seen had it asked for time t. Ticks are one period apart. An observation
is taken as soon as every stream has spoken at or after its tick, and the buffer then forgets what no later tick needs,
so that memory does not grow with the recording.

A segment ends where a frame cannot be had: where a stream was silent for longer than its freshness limit (no frame is
held over the gap: ticks between its two sides are left out), where a message cannot be used, and where the clock was
set back. Nothing is ever put in the place of what is missing.

Commands and goals without a header stamp count by their time of reception, brought to the clock of the stamps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import NANOSECONDS, ActionGroup, Camera, Contract, State
from mode_ros.control.observation import Observation, ObservationBuffer, ObservationUnavailable, Unusable
from mode_ros.messages.commands import decode_command
from mode_ros.messages.ingest import ingest, is_of, stamp_of
from mode_ros.messages.picture_header import message_size
from mode_ros.messages.stamps import to_nanoseconds
from mode_ros.training.data.commands import Command, CommandTrack, NoAction
from mode_ros.training.data.streams import StreamWatch

# Stamps and times of reception further apart than this are of two clocks, as when a bag of a simulation was recorded
# on the wall clock.
SAME_CLOCK = 5 * NANOSECONDS


@dataclass(frozen=True)
class Frame:
    """One row of a data set. action: float64 [d]; goal: the task in words; intervention: whether a person drove."""

    observation: Observation
    action: NDArray[np.float64]
    goal: str
    intervention: bool


@dataclass
class LeftOut:
    """A span without frames, in nanoseconds of the stamps' clock. fault: something is wrong, not just the beginning
    or end of a demonstration.
    """

    start: int
    stop: int
    reason: str
    fault: bool = True


class Resampler:
    """Push the messages of one recording in the order of reception; take frames and left-out spans from `take`."""

    def __init__(self, contract: Contract, goal: str = '', fixed_goal: bool = False) -> None:
        """goal: in force from the beginning, '' for none; fixed_goal: whether recorded goals are ignored."""
        self._contract = contract
        self._streams: list[Camera | State] = [*contract.observation.cameras, *contract.observation.states]
        self._limits = {stream.name: round(stream.max_age * NANOSECONDS) for stream in self._streams}
        self.watches = {stream.name: StreamWatch(self._limits[stream.name]) for stream in self._streams}
        self.watches.update({group.name: StreamWatch(None) for group in contract.action})
        self._buffer = ObservationBuffer(contract)
        self._commands = CommandTrack(contract)
        self._goals, self._interventions = _Steps(goal or None), _Steps(False)
        self._fixed_goal = fixed_goal
        self._clock = _Clock()
        self._waiting: list[tuple[str, Any, int]] = []
        self._sizes: dict[str, tuple[int, int]] = {}
        self._pending: deque[Observation] = deque()
        self._out: deque[Frame | LeftOut] = deque()
        self._now = 0
        self.first_stamp: int | None = None
        self._forget_clock()

    def observe(self, stream: Camera | State, message: Any, received: int) -> None:
        """A message of a camera or state. received: nanoseconds."""
        if not is_of(stream, message):
            return  # another publisher's, on the same topic
        name, stamp = stream.name, stamp_of(stream, message, received)
        watch = self.watches[name]
        if stamp == 0:
            watch.zero_stamps += 1
            return
        newest = self._newest.get(name)
        if newest is not None and stamp < newest - self._limits[name]:
            self._set_back(name, newest, stamp)
            newest = None
        watch.add(stamp, received)
        self.first_stamp = stamp if self.first_stamp is None else self.first_stamp
        if newest is not None and stamp - newest > self._limits[name]:
            self._gaps.append(LeftOut(newest, stamp, f'{name}: silent for {(stamp - newest) / NANOSECONDS:.2f} s'))
        self._newest[name] = stamp if newest is None else max(stamp, newest)
        self._first.setdefault(name, stamp)
        self._clock.hear(stamp, received)
        self._push(stream, message, stamp, received)
        self._sort_waiting()
        self._advance(received)

    def observe_unusable(self, stream: Camera | State, reason: str, received: int) -> None:
        """A message of a stream that cannot even be deserialised, so that it has no stamp."""
        self.watches[stream.name].unusable += 1
        if stream.name in self._newest:
            self._push_unusable(stream, self._clock.at(received), reason)

    def command(self, group: ActionGroup, message: Any, received: int) -> None:
        """A message of a command topic."""
        header = getattr(message, 'header', None)
        stamp = to_nanoseconds(header.stamp) if header is not None else 0
        try:
            values, problem = decode_command(message, group, self._contract.period_seconds), ''
        except Unusable as error:
            values, problem = None, str(error)
            self.watches[group.name].unusable += 1
        # A sender may leave the stamp at zero ("from now on"); its message then counts by its reception.
        self._later(group.name, (stamp, values, problem), received)

    def goal(self, text: str, received: int) -> None:
        """A message of the goal topic; an empty one is ignored, as it is while running."""
        if text.strip() and not self._fixed_goal:
            self._later('goal', text.strip(), received)

    def intervene(self, driving: bool, received: int) -> None:
        """Whether a person drives from now on."""
        self._later('intervention', driving, received)

    def take(self) -> Iterator[Frame | LeftOut]:
        """What has become certain since the last call, in the order of time."""
        while self._out:
            yield self._out.popleft()

    def finish(self) -> None:
        """The recording is over; `take` gives the rest."""
        self._release(final=True)
        if len(self._newest) == len(self._streams):
            end = max(self._newest.values())
            for name, newest in self._newest.items():
                if end - newest > self._limits[name]:
                    self._out.append(LeftOut(newest, end, f'{name}: silent until the end of the recording'))

    @property
    def silent(self) -> list[str]:
        """Streams of which nothing usable has come yet."""
        return [stream.name for stream in self._streams if stream.name not in self._newest]

    def _push(self, stream: Camera | State, message: Any, stamp: int, received: int) -> None:
        if isinstance(stream, Camera) and (size := message_size(message, stream.transport)) is not None:
            first = self._sizes.setdefault(stream.name, size)
            if size != first:
                # Another size is another crop or another camera, and resizing it would hide that.
                reason = f'its images are {size[0]}x{size[1]}, and were {first[0]}x{first[1]} at first'
                self._push_unusable(stream, stamp, reason)
                return
        ingest(self._buffer, stream, message, received)

    def _push_unusable(self, stream: Camera | State, stamp: int, reason: str) -> None:
        def decode() -> NDArray[Any]:
            raise Unusable(reason)

        self._buffer.push(stream.name, stamp, decode)

    def _later(self, kind: str, content: Any, received: int) -> None:
        self._waiting.append((kind, content, received))
        if self._clock.known:
            self._sort_waiting()
            self._advance(received)

    def _sort_waiting(self) -> None:
        """Gives what came without a usable stamp its time, once the stamps' clock is known."""
        for kind, content, received in self._waiting:
            time = self._clock.at(received)
            if kind == 'goal':
                self._goals.add(time, content)
            elif kind == 'intervention':
                self._interventions.add(time, content)
            else:
                stamp, values, problem = content
                time = stamp or time
                self.watches[kind].add(time, received)
                self._commands.push(kind, Command(time, values, problem))
        self._waiting.clear()

    def _forget_clock(self) -> None:
        self._newest: dict[str, int] = {}
        self._first: dict[str, int] = {}
        self._gaps: list[LeftOut] = []
        self._tick: int | None = None

    def _set_back(self, name: str, newest: int, stamp: int) -> None:
        self._release(final=True)
        back = (newest - stamp) / NANOSECONDS
        self._out.append(LeftOut(newest, newest, f'{name}: its stamps run backwards by {back:.2f} s'))
        self._buffer.clear()
        self._commands.clear()
        self._goals.settle()
        self._interventions.settle()
        self._forget_clock()
        self._clock = _Clock()
        self._now = 0

    def _advance(self, received: int) -> None:
        self._now = max(self._now, self._clock.at(received))
        if len(self._newest) < len(self._streams):
            return
        if self._tick is None:
            self._anchor()
        common = min(self._newest.values())
        while self._tick is not None and self._tick <= common:
            self._observe_tick(self._tick)
        self._release(final=False)

    def _anchor(self) -> None:
        """The first tick is the earliest time for which every stream has a message."""
        start = min(self._first.values())
        self._tick = max(self._first.values())
        for name, first in self._first.items():
            if first - start > self._limits[name]:
                self._out.append(LeftOut(start, first, f'{name}: nothing before'))

    def _observe_tick(self, tick: int) -> None:
        self._gaps = [gap for gap in self._gaps if gap.stop > tick]
        gap = max((gap for gap in self._gaps if gap.start < tick), key=lambda gap: gap.stop, default=None)
        if gap is not None:
            self._lose(gap)
            self._tick = gap.stop
            return
        try:
            self._pending.append(self._buffer.at(tick))
        except ObservationUnavailable as error:
            self._lose(LeftOut(tick, tick + self._contract.period, str(error)))
        self._buffer.forget_before(tick)
        self._tick = tick + self._contract.period

    def _lose(self, span: LeftOut) -> None:
        self._release(final=True)
        self._out.append(span)

    def _release(self, final: bool) -> None:
        """Gives each observation its action as soon as the commands of its period are known.

        final: no more commands will come. An observation whose period was not over is then let go: what was commanded
        in the rest of it is not known.
        """
        period = self._contract.period
        while self._pending:
            stamp = self._pending[0].stamp
            if self._now < stamp + period:
                break
            self._finish_frame(self._pending.popleft())
        if final:
            self._pending.clear()

    def _finish_frame(self, observation: Observation) -> None:
        stamp, period = observation.stamp, self._contract.period
        try:
            action = self._commands.at(stamp)
        except NoAction as error:
            self._out.append(LeftOut(stamp, stamp + period, str(error), error.fault))
            return
        self._commands.forget_before(stamp)
        goal = self._goals.at(stamp)
        if goal is None:
            self._out.append(LeftOut(stamp, stamp + period, 'before the first goal', fault=False))
            return
        self._out.append(Frame(observation, action, goal, bool(self._interventions.at(stamp))))


class _Clock:
    """From times of reception to the clock of the stamps."""

    def __init__(self) -> None:
        self._stamp = self._received = 0

    @property
    def known(self) -> bool:
        return self._stamp != 0

    def hear(self, stamp: int, received: int) -> None:
        if stamp >= self._stamp:
            self._stamp, self._received = stamp, received

    def at(self, received: int) -> int:
        if abs(self._received - self._stamp) < SAME_CLOCK:
            return received
        return self._stamp + received - self._received


class _Steps:
    """A value that changes at times. Ask for times in rising order."""

    def __init__(self, initial: Any) -> None:
        self._value = initial
        self._changes: deque[tuple[int, Any]] = deque()

    def add(self, time: int, value: Any) -> None:
        self._changes.append((time, value))

    def settle(self) -> None:
        """Takes what has come as past: times from here on are of another clock."""
        if self._changes:
            self._value = self._changes[-1][1]
            self._changes.clear()

    def at(self, time: int) -> Any:
        while self._changes and self._changes[0][0] <= time:
            self._value = self._changes.popleft()[1]
        return self._value
