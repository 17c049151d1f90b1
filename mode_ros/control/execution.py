"""Which chunk plays, when the next one is asked for, and where it takes over: the ways to execute chunks.

    synchronous  a chunk is played to its end, the robot stands, and the next one is planned from there
    receding     the same, after the first `actions` of each chunk
    realtime     the next chunk is asked for while one plays, continues what will be executed meanwhile, and takes over
                 at the index that time has reached
    ensemble     asked for all the time; where chunks overlap, targets are averaged (displacements never: theirs have
                 different bases, the newest counts)
    naive        realtime without anything to continue: the plain switch, for comparison

Time is counted in ticks, the periods of the contract's rate: the delay of a chunk is the number of ticks from the one
that asked for it to the first that could play it, a difference of indices and not of clocks. The reserve is a high
percentile of the recent delays. A chunk that comes later than its reserve is dropped and counted, never spliced.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.asking import Asking, Open
from mode_ros.control.chunk import Chunk, ChunkRejected
from mode_ros.control.commanded import Commanded
from mode_ros.control.contract import Contract
from mode_ros.control.delays import Delays
from mode_ros.control.plausible import Plausibility
from mode_ros.control.request import ChunkRequest, Plan, prefix_of
from mode_ros.control.seams import Seam, seam

Mode = Literal['synchronous', 'receding', 'ensemble', 'realtime', 'naive']
MODES: tuple[Mode, ...] = get_args(Mode)

Vector = NDArray[np.float64]

# The next chunk is asked for so many periods before it is due by the reserve: one that varies by one is not late.
MARGIN = 1

# A chunk continues what is committed when it is as near as this to it, in shares of each dimension's range.
KEPT = 0.01


@dataclass(frozen=True)
class ExecutionSettings:
    """mode: see above; actions: played of a chunk before the next one is asked for, 0: all (receding), or as many as
    the reserve leaves (realtime); weight: of the ensemble, exp(-weight * i) for the chunk i, 0 the oldest.
    """

    mode: Mode = 'synchronous'
    actions: int = 0
    weight: float = 0.1


@dataclass(frozen=True)
class _Track:
    """A chunk in time: its action i belongs to the tick first + i; it plays from the tick `start` on."""

    first: int
    start: int
    actions: Vector

    @property
    def end(self) -> int:
        return self.first + len(self.actions)

    def at(self, tick: int) -> Vector | None:
        return self.actions[tick - self.first] if self.first <= tick < self.end else None


class Execution:
    """The plan of one robot. `next` and then `commanded` are called once a tick, `request` may follow."""

    def __init__(self, contract: Contract, settings: ExecutionSettings, name: str) -> None:
        """name: begins the identities of requests, so that no other controller's are alike."""
        self.settings = settings
        self._contract = contract
        self._delta = contract.delta_mask
        self._range = np.array([dimension.upper - dimension.lower for dimension in contract.dimensions])
        self._latency = contract.motion_delay
        ages = [stream.max_age for stream in contract.observation.streams]
        self._past = Commanded(int(np.ceil(max(ages) * contract.rate)) + 2)
        self._plausible = Plausibility(contract)
        self._asking = Asking(contract, name)
        self.delays = Delays()
        self.seams: deque[Seam] = deque(maxlen=200)
        self.chunks = self.late = self.prefix = 0
        self.unkept = False
        self._tick = 0
        self._length = 0
        self._lag = 0  # periods by which the last observation was older than the request
        self.clear()

    def clear(self) -> None:
        """Drops everything planned and every open request: a chunk that comes now answers nothing."""
        self._tracks: list[_Track] = []
        self._past.clear()
        self._asking.clear()

    @property
    def mode(self) -> Mode:
        """What is done: synchronous too while the policy does not continue what it is told."""
        return 'synchronous' if self.unkept and self.settings.mode == 'realtime' else self.settings.mode

    @property
    def playing(self) -> bool:
        return any(track.end > self._tick for track in self._tracks)

    def planned(self) -> Vector:
        """What is planned from the next tick on, [m, d]."""
        ahead = [self._planned(tick) for tick in range(self._tick, max((t.end for t in self._tracks), default=0))]
        found = [action for action in ahead if action is not None]
        return np.array(found).reshape(len(found), len(self._delta))

    def accept(self, chunk: Chunk) -> None:
        """Takes the chunk of the open request; raises ChunkRejected where it answers none, or comes too late. Then
        `refuse` is to be called.
        """
        self._take(chunk, self._asking.answered_by(chunk.identity))
        self._asking.take()

    def refuse(self, identity: str, check: str) -> None:
        """A chunk was refused by `check`, here or elsewhere: what it answered is asked anew."""
        self._asking.refuse(identity, check, self._tick)

    def _take(self, chunk: Chunk, waiting: Open) -> None:
        # Of the one that was answered: a policy that starts anew, or gets its goal, has not heard those before.
        delay = self._tick - waiting.identities[chunk.identity]
        self.delays.add(delay)
        self._length = len(chunk.actions)
        since = waiting.known.not_before  # of the first of several requests: it has stood still since then
        if since is not None:
            if chunk.stamp < since:
                raise ChunkRejected('moved', 'the robot has moved since its observation')
            self._lag = 0
            self._check_jump(chunk.actions[0], chunk.actions, 0)
            self._play(_Track(self._tick, self._tick, self._cut(chunk.actions)), 0)
            return
        if delay > waiting.known.reserved:
            self.late += 1
            raise ChunkRejected('late', f'it took {delay} periods, and {waiting.known.reserved} were reserved for it')
        if waiting.forgotten is not None and chunk.stamp <= waiting.forgotten + self._latency:
            raise ChunkRejected('age', 'its observation is older than the commands that are remembered')
        plan = prefix_of(waiting.known, chunk.stamp)
        self._lag = max(plan.committed - waiting.known.reserved, 0)
        if plan.committed >= len(chunk.actions):
            raise ChunkRejected(
                'short', f'of its {len(chunk.actions)} actions, {plan.committed} are over when it takes over'
            )
        if self.mode == 'realtime' and not self._continues(chunk.actions, plan):
            self.unkept = True
            raise ChunkRejected(
                'prefix',
                'it does not continue the committed actions: this policy is executed synchronously from now on',
            )
        due = waiting.tick + waiting.known.reserved
        start = due if self.mode == 'realtime' else self._tick
        own = max(start - (due - plan.committed), 0)
        last = self._past.recent(1)[0][1] if len(self._past) else np.full(len(self._delta), np.nan)
        continued = self.mode == 'realtime' and plan.committed > 0
        self._check_jump(plan.actions[plan.committed - 1] if continued else last, chunk.actions, own)
        self._play(_Track(due - plan.committed, start, chunk.actions), plan.committed)

    def next(self) -> Vector | None:
        """The action [d] of this tick, None where nothing is planned for it."""
        tick = self._tick
        switched = next((track for track in self._tracks[1:] if track.start == tick), None)
        if switched is not None and self.mode != 'ensemble':
            self._note_seam(switched)
            self._tracks = [track for track in self._tracks if track.start >= tick]
        self._tracks = [track for track in self._tracks if track.end > tick]
        return self._planned(tick)

    def following(self) -> Vector | None:
        """The action [d] planned after the one that `next` gave."""
        return self._planned(self._tick + 1)

    def commanded(self, now: int, command: Vector) -> None:
        """Ends the tick at `now` (nanoseconds), for which `command` [d] is told (NaN: nothing is)."""
        self._past.add(now, command)
        self._tick += 1

    def correct(self, command: Vector) -> None:
        """What was really commanded, [d], in the period of the last tick, which is over."""
        self._past.correct(command)

    def request(self, now: int, still_since: int | None) -> ChunkRequest | None:
        """The request to publish after the tick at `now`, the same until it is answered; None: nothing is wanted.

        still_since: since when the robot stands, None while it moves.
        """
        tick = self._tick - 1
        waiting = self._asking.waiting(now, still_since, tick)
        if waiting is not None:
            return waiting
        if not self._asking.may_ask(tick):
            return None
        if self.playing:
            return self._ask_ahead(now)
        return None if still_since is None else self._asking.ask(self._asking.bare(now, still_since), tick)

    # ---- while it plays ----------------------------------------------------------------------------------------

    def _ask_ahead(self, now: int) -> ChunkRequest | None:
        if self.mode in ('synchronous', 'receding') or not len(self._past):
            return None
        reserve = self.delays.reserve_for(self._length, self._lag)
        if reserve is None:
            return None
        track = self._tracks[-1]
        left = track.end - self._tick
        enough = 0 < self.settings.actions <= self._tick - track.start
        soon = self.mode == 'ensemble' or self.delays.guessed(reserve)
        if not soon and left > reserve - 1 + MARGIN and not enough:
            return None
        known = self._known(now, reserve)
        told = known if self.mode == 'realtime' else self._asking.bare(now, None, known.identity)
        return self._asking.ask(told, self._tick - 1, known, self._past.before(max(self._length, 1)))

    def _known(self, now: int, reserve: int) -> ChunkRequest:
        """What is commanded and planned around the tick that has just ended, at `now`."""
        asking = self._tick - 1
        past = self._past.recent(max(self._length, 1))
        rows = [command for _, command in past]
        times = [time - now for time, _ in past]
        last = rows[-1]
        planned_until = max(asking + reserve, self._tracks[-1].end)
        period = self._contract.period
        for tick in range(self._tick, planned_until):
            action = self._planned(tick)
            last = np.where(self._delta, 0.0, last) if action is None else action
            rows.append(last)
            times.append((tick - asking) * period)
        return ChunkRequest(
            self._asking.identity(), now, None, reserve, tuple(times), np.array(rows), period, self._latency
        )

    def _planned(self, tick: int) -> Vector | None:
        if self.mode == 'ensemble':
            found = [action for track in self._tracks if (action := track.at(tick)) is not None]
            if not found:
                return None
            weights = np.exp(-self.settings.weight * np.arange(len(found)))
            mean = np.average(found, axis=0, weights=weights)
            return np.where(self._delta, found[-1], mean)
        # What takes over replaces the rest of what played, also beyond its own end: `next` drops that.
        return next((track.at(tick) for track in reversed(self._tracks) if track.start <= tick), None)

    def _play(self, track: _Track, prefix: int) -> None:
        self.prefix = prefix
        self.chunks += 1
        if self.mode == 'ensemble':
            self._tracks.append(track)
        else:
            self._tracks = [*(old for old in self._tracks if old.start < track.start), track]

    def _cut(self, actions: Vector) -> Vector:
        return actions[: self.settings.actions or None] if self.mode == 'receding' else actions

    def _continues(self, actions: Vector, plan: Plan) -> bool:
        away = np.abs(actions[: plan.committed] - plan.actions[: plan.committed])
        return bool((away <= KEPT * self._range).all())

    def _check_jump(self, start: Vector, actions: Vector, first: int) -> None:
        if jump := self._plausible.jump(start, actions[first:], first):
            raise ChunkRejected('jump', jump)

    def _note_seam(self, track: _Track) -> None:
        if len(self._past) < 2:
            return
        (_, before), (_, last) = self._past.recent(2)
        old = next(
            (action for t in reversed(self._tracks) if t is not track and (action := t.at(track.start)) is not None),
            None,
        )
        new = track.at(track.start)
        assert new is not None
        self.seams.append(seam(self._contract, before, last, old, new))
