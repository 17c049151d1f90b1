"""From recorded messages to frames at the contract's rate.

Observations come out of the same ObservationBuffer that the policy reads while running, fed by the same `ingest`; a
frame at tick t is what the policy would have seen had it asked for time t. Ticks are one period apart. An observation
is taken as soon as every stream has spoken of its tick or a later time (by stamp less the contract's delay), and the
buffer then forgets what no later tick needs, so that memory does not grow with the recording.

A segment ends where a frame cannot be had: where a stream was silent for longer than its freshness limit (no frame is
held over the gap: ticks between its two sides are left out), where a message cannot be used, where the clock was set
back, and where the streams have clocks that disagree. Nothing is ever put in the place of what is missing, and every
tick without a frame is a LeftOut with its reason.

Commands and goals without a header stamp count by their time of reception, brought to the clock of the stamps by the
offset that is measured there (mode_ros.training.data.clocks). They are taken a moment later than they came, when the
messages around them have told it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mode_ros.checks.two_sources import Alternation
from mode_ros.control.contract import NANOSECONDS, ActionGroup, Camera, Contract, State
from mode_ros.control.feedback import measured_action
from mode_ros.control.observation import Observation, ObservationBuffer, ObservationUnavailable, Unusable
from mode_ros.control.orientation import EpisodeSigns
from mode_ros.messages.ingest import ingest, is_of, stamp_of
from mode_ros.messages.packets import Incoming
from mode_ros.messages.picture_header import message_size
from mode_ros.messages.setpoints import decode_action, is_action_of
from mode_ros.messages.stamps import to_nanoseconds
from mode_ros.messages.states import decode_state
from mode_ros.training.data.clocks import WINDOW, Clocks
from mode_ros.training.data.command_clock import CommandClock
from mode_ros.training.data.commands import Command, CommandTrack, NoAction
from mode_ros.training.data.frames import Frame, LeftOut, Steps
from mode_ros.training.data.streams import StreamWatch

# Stamps that run backwards by more than this (nanoseconds) are of a clock that was set back, not of messages that
# overtook each other.
SET_BACK = NANOSECONDS // 4
NO_END = 'the end of its control period was not recorded'


class Resampler:
    """Push the messages of one recording in the order of reception; take frames and left-out spans from `take`."""

    def __init__(self, contract: Contract, goal: str = '', fixed_goal: bool = False) -> None:
        """goal: in force from the beginning, '' for none; fixed_goal: whether recorded goals are ignored."""
        self._contract = contract
        self._streams: list[Camera | State] = [*contract.observation.cameras, *contract.observation.states]
        self._limits = {stream.name: round(stream.max_age * NANOSECONDS) for stream in self._streams}
        self._delays = {stream.name: round(stream.delay * NANOSECONDS) for stream in self._streams}
        self.watches = {stream.name: StreamWatch(self._limits[stream.name]) for stream in self._streams}
        self.command_watches = {group.name: StreamWatch(None) for group in contract.action}
        self._buffer = ObservationBuffer(contract)
        self._signs = EpisodeSigns(contract)
        self._incoming = Incoming()
        self.alternations = {
            state.name: each for state in contract.observation.states if (each := Alternation(contract, state)).looks
        }
        self._commands = CommandTrack(contract)
        self._goals, self._interventions = Steps(goal or None), Steps(False)
        self._fixed_goal = fixed_goal
        # (what, name of the group, content, time of reception), until the clock around them is known.
        self._waiting: deque[tuple[str, str, Any, int]] = deque()
        self._command_clocks = {group.name: CommandClock(contract.period) for group in contract.action}
        self._sizes: dict[str, tuple[int, int]] = {}
        self._pending: deque[Observation | LeftOut] = deque()
        self._out: deque[Frame | LeftOut] = deque()
        # Whether an action is the state of the next observation.
        self._looks_ahead = any(group.source == 'state' for group in contract.action)
        self._received = self._now = 0
        # Joints that are none of the contract's, in commands on the topic of a group that has not been commanded yet.
        self._strangers: dict[str, str] = {}
        self._spoken_to: set[str] = set()  # groups that have been commanded
        self._anchored = False  # ever
        self.first_stamp: int | None = None
        self._forget_clock()

    def observe(self, stream: Camera | State, message: Any, received: int) -> None:
        """A message of a camera or state. received: nanoseconds."""
        for each in self._incoming.of(stream, message):
            self._observe(stream, each, received)

    def _observe(self, stream: Camera | State, message: Any, received: int) -> None:
        if not is_of(stream, message):
            return  # another publisher's, on the same topic
        name, stamp = stream.name, stamp_of(stream, message, received)
        watch = self.watches[name]
        if stamp == 0:
            watch.zero_stamps += 1
            self._zeros.add(name)
            return
        newest, before = self._newest.get(name), self._last_received.get(name, received)
        if newest is not None and stamp < newest - min(self._limits[name], SET_BACK):
            self._set_back(name, newest, stamp)
            newest = None
        watch.add(stamp, received)
        self._received, self._last_received[name] = received, received
        if newest is not None and stamp - newest > self._limits[name]:
            words = _gap(name, stamp - newest, received - before, name in self._zeros, standing=name in self._standing)
            self._gaps.append(LeftOut(newest - self._delays[name], stamp - self._delays[name], words))
        self._zeros.discard(name)
        if newest is not None and stamp <= newest:
            self._standing.add(name)
        else:
            self._standing.discard(name)
        self._newest[name] = stamp if newest is None else max(stamp, newest)
        self._first.setdefault(name, stamp)
        self._clocks.hear(name, stamp, received)
        self.first_stamp = stamp if self.first_stamp is None else self.first_stamp
        self._push(stream, message, stamp, received)
        self._look_for_two(stream, message, stamp)
        self._sort_waiting()
        self._advance()

    def observe_unusable(self, stream: Camera | State, reason: str, received: int) -> None:
        """A message of a stream that cannot even be deserialised, so that it has no stamp."""
        self.watches[stream.name].unusable += 1
        if stream.name in self._newest:
            self._push_unusable(stream, self._clocks.at(received), reason)

    def command(self, group: ActionGroup, message: Any, received: int) -> None:
        """A message of a command topic."""
        if not is_action_of(message, group):
            self._note_strangers(group, message)
            return  # of other joints, on the same topic
        self._spoken_to.add(group.name)
        self._strangers.pop(group.name, None)
        header = getattr(message, 'header', None)
        stamp = to_nanoseconds(header.stamp) if header is not None else 0
        try:
            command = Command(stamp, decode_action(message, group, self._contract.period_seconds))
        except Unusable as error:
            command = Command(stamp, None, str(error))
            self.command_watches[group.name].unusable += 1
        if stamp:
            self._command_clocks[group.name].hear(stamp, received)
        # A sender may leave the stamp at zero ("from now on"); its message then counts by its reception.
        self._later('command', group.name, command, received)

    def _note_strangers(self, group: ActionGroup, message: Any) -> None:
        if group.name in self._spoken_to:
            return
        beside = [each for each in self._contract.action if each.heard_on == group.heard_on]
        if not any(is_action_of(message, each) for each in beside):
            named, known = list(getattr(message, 'joint_names', None) or message.name), list(group.names)
            self._strangers[group.name] = f'{group.name}: its topic commands {named}, and the contract says {known}'

    def command_unusable(self, group: ActionGroup, reason: str, received: int) -> None:
        """A command that cannot even be deserialised."""
        self.command_watches[group.name].unusable += 1
        self._later('command', group.name, Command(0, None, reason), received)

    def goal(self, text: str, received: int) -> None:
        """A message of the goal topic; an empty one is ignored, as it is while running."""
        if text.strip() and not self._fixed_goal:
            self._later('goal', '', text.strip(), received)

    def intervene(self, driving: bool, received: int) -> None:
        """Whether a person drives from now on."""
        self._later('intervention', '', driving, received)

    def take(self) -> Iterator[Frame | LeftOut]:
        """What has become certain since the last call, in the order of time."""
        while self._out:
            yield self._out.popleft()

    def finish(self) -> None:
        """The recording is over; `take` gives the rest."""
        self._sort_waiting(final=True)
        self._advance()
        self._end_disagreement()
        self._release(final=True)
        if len(self._newest) == len(self._streams) and not self._ever_disagreed:
            # Where the last frame could be if every stream had spoken until the end, each less its delay.
            end = max(self._newest.values()) - max(self._delays.values())
            for name, newest in self._newest.items():
                last = newest - self._delays[name]
                if end - last > self._limits[name]:
                    self._out.append(
                        LeftOut(last, end, f'{name}: {self._last_words(name)} until the end of the recording')
                    )

    def _last_words(self, name: str) -> str:
        """What a stream did at the end, whose stamps ended before."""
        if name in self._zeros:
            return 'its stamps are zero'
        speaks = self._received - self._last_received[name] <= self._limits[name]
        return 'it speaks, and its stamps stand still' if speaks else 'silent'

    @property
    def commanded(self) -> bool:
        """Whether any command has come yet; where the contract's actions are states there is none to come."""
        return bool(self._spoken_to) or all(group.heard_on is None for group in self._contract.action)

    def packets_left_out(self, stream: Camera | State) -> tuple[int, int]:
        """Of a stream of video: packets before its first key frame, and those that needed a lost one."""
        return self._incoming.missing(stream)

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

    def _look_for_two(self, stream: Camera | State, message: Any, stamp: int) -> None:
        if isinstance(stream, State) and stream.name in self.alternations:
            with suppress(Unusable):  # the observation says so
                self.alternations[stream.name].add(stamp, decode_state(message, stream))

    def _push_unusable(self, stream: Camera | State, stamp: int, reason: str) -> None:
        def decode() -> NDArray[Any]:
            raise Unusable(reason)

        self._buffer.push(stream.name, stamp, decode)

    def _later(self, kind: str, name: str, content: Any, received: int) -> None:
        self._waiting.append((kind, name, content, received))
        self._received = max(self._received, received)
        if self._clocks.known:
            self._sort_waiting()
            self._advance()

    def _sort_waiting(self, final: bool = False) -> None:
        """Gives what came without a usable stamp its time, once the clock around it is known. final: now or never."""
        while self._waiting and self._clocks.known:
            kind, name, content, received = self._waiting[0]
            if not final and received > self._received - WINDOW:
                break
            self._waiting.popleft()
            time = self._clocks.at(received)
            if kind == 'goal':
                self._goals.add(time, content)
            elif kind == 'intervention':
                self._interventions.add(time, content)
            else:
                self._take_command(name, content, time, received)
        if self._clocks.known:
            # A window for the clock around a command, and one for a command that comes late.
            self._now = max(self._now, self._clocks.at(self._received if final else self._received - 2 * WINDOW))

    def _take_command(self, group: str, command: Command, time: int, received: int) -> None:
        if command.time:
            off = command.time - time
            if self._command_clocks[group].is_another(command, off, received):
                watch = self.command_watches[group]
                watch.other_clock += 1
                watch.other_by = watch.other_by or off
            else:
                time = command.time
        self.command_watches[group].add(time, received)
        self._commands.push(group, replace(command, time=time))

    def _forget_clock(self) -> None:
        self._clocks = Clocks(self._limits)
        self._newest: dict[str, int] = {}
        self._last_received: dict[str, int] = {}
        self._first: dict[str, int] = {}
        self._gaps: list[LeftOut] = []
        # Streams whose stamps are zero at the moment.
        self._zeros: set[str] = set()
        # Streams whose last message bore no newer stamp than those before.
        self._standing: set[str] = set()
        self._tick: int | None = None
        self._now = 0
        # When the streams began to disagree (reception), and how.
        self._disagreement: tuple[int, str] | None = None
        self._ever_disagreed = False

    def _set_back(self, name: str, newest: int, stamp: int) -> None:
        self._sort_waiting(final=True)
        self._end_disagreement()
        self._release(final=True)
        back = (newest - stamp) / NANOSECONDS
        self._out.append(LeftOut(newest, newest, f'{name}: its stamps run backwards by {back:.2f} s'))
        self._buffer.clear()
        self._signs.begin()
        self._commands.clear()
        for each in self.alternations.values():
            each.clear()
        self._goals.settle()
        self._interventions.settle()
        self._forget_clock()

    def _advance(self) -> None:
        if len(self._newest) < len(self._streams):
            return
        words = self._clocks.disagreement(self._received)
        if words:
            since = self._received if self._disagreement is None else self._disagreement[0]
            self._disagreement = since, words
            # Nothing is made of them meanwhile; what waits must not fill the memory.
            self._commands.forget_before(self._now - 10 * NANOSECONDS)
            return
        self._end_disagreement()
        if self._tick is None:
            self._anchor()
        common = min(newest - self._delays[name] for name, newest in self._newest.items())
        while self._tick is not None and self._tick <= common:
            self._observe_tick(self._tick)
        self._release(final=False)

    def _end_disagreement(self) -> None:
        if self._disagreement is None:
            return
        (since, words), self._disagreement = self._disagreement, None
        start, stop = self._clocks.at(since), self._clocks.at(self._received)
        if not self._anchored:  # nothing was made of what came before, whose stamps may be of another clock
            self.first_stamp = start
        self._ever_disagreed = True
        # Streams begin with a burst now and then; what lasts is another clock.
        self._out.append(LeftOut(start, stop, words, fault=stop - start > NANOSECONDS // 2))
        self._first, self._gaps, self._tick = dict(self._newest), [], None

    def _anchor(self) -> None:
        """The first tick is the earliest time for which every stream has a message, told by what it shows."""
        self._anchored = True
        shown = {name: first - self._delays[name] for name, first in self._first.items()}
        self._tick = max(shown.values())
        # Where it could be if all streams had begun with the first of them: a delay costs frames, and is no fault.
        start = min(self._first.values()) - min(self._delays.values())
        for name, first in shown.items():
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
        self._pending.append(span)

    def _release(self, final: bool) -> None:
        """Gives each observation its action as soon as the commands of its period are known.

        final: no more commands will come. An observation whose period was not over is then let go: what was commanded
        in the rest of it is not known.
        """
        period = self._contract.period
        while self._pending:
            first = self._pending[0]
            if isinstance(first, LeftOut):
                self._out.append(first)
            elif self._now >= first.stamp + period and (final or len(self._pending) > 1 or not self._looks_ahead):
                self._finish_frame(first, self._pending[1] if len(self._pending) > 1 else None)
            elif final and len(self._pending) > 1:  # the last observation only tells where the last period ends
                self._out.append(LeftOut(first.stamp, first.stamp + period, NO_END, fault=False))
            elif not final:
                break
            self._pending.popleft()

    def _finish_frame(self, observation: Observation, following: Observation | LeftOut | None) -> None:
        stamp, period = observation.stamp, self._contract.period
        later = {}
        if self._looks_ahead and isinstance(following, Observation) and following.stamp == stamp + period:
            later = self._places(following)
        if self._strangers:
            self._out.append(LeftOut(stamp, stamp + period, next(iter(self._strangers.values()))))
            self._commands.forget_before(stamp)
            return
        try:
            action = self._commands.at(stamp, self._places(observation), later)
        except NoAction as error:
            self._out.append(LeftOut(stamp, stamp + period, str(error), error.fault))
            return
        finally:  # also where no period has an action, or the commands of a whole recording would pile up
            self._commands.forget_before(stamp)
        goal = self._goals.at(stamp)
        if goal is None:
            self._out.append(LeftOut(stamp, stamp + period, 'before the first goal', fault=False))
            return
        observation = replace(observation, states=self._signs.of(observation.states, goal))
        self._out.append(Frame(observation, action, goal, bool(self._interventions.at(stamp))))

    def _places(self, observation: Observation) -> dict[str, NDArray[np.float64]]:
        """Where each group with feedback is."""
        return {
            group.name: measured_action(group, self._contract.state(group.feedback), observation.states[group.feedback])
            for group in self._contract.action
            if group.feedback is not None and group.kind == 'absolute'
        }


def _gap(name: str, stamps: int, received: int, zeros: bool, standing: bool) -> str:
    if zeros:
        return f'{name}: its stamps are zero for {stamps / NANOSECONDS:.2f} s'
    if received < stamps // 2:
        words = 'it speaks, and its stamps stand still for' if standing else 'its stamps jump ahead by'
        return f'{name}: {words} {stamps / NANOSECONDS:.2f} s'
    return f'{name}: silent for {stamps / NANOSECONDS:.2f} s'
