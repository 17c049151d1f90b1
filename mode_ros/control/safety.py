"""What must be true for the robot to move, as data: the name of a check, why it fails, and whether it latches.

The chain is: finite and made for this robot (`check_chunk`), fresh, plausible (here), within the limits and
jerk-limited (`motion`). A breach after the robot was moved drops everything planned, ramps to rest and latches: nothing
but a release, given while all is well, lets the policy move it again. What is wrong before anything has moved only
holds. Times are integer nanoseconds: `now` on the robot's clock, `wall` on one that nobody sets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.contract import NANOSECONDS, Contract
from mode_ros.control.witnesses import Witness, witnesses

Vector = NDArray[np.float64]

# Without max_tracking_error a command may lead what is measured by half a second at the largest step, or by a tenth of
# the range where no step is limited; never by less than 2 % of the range, which is noise and sag.
TRACKING_SECONDS = 0.5
TRACKING_SHARE = 0.1
TRACKING_FLOOR = 0.02

# States that repeat themselves exactly for a second, while so many of the largest steps were commanded, are frozen.
FROZEN_SECONDS = 1.0
FROZEN_STEPS = 10.0

# States that were the same while so many were commanded until a stop have to show another number before a release.
SUSPECT_STEPS = 2.0

# A clock may lag by rounding; what it goes ahead of real time within this is scheduling (seconds).
CLOCK_SLACK = 0.5
CLOCK_BACK = NANOSECONDS // 1000
CLOCK_SETTLED = 1.0

# Without clock_seconds a simulated clock may stand for so long; and any, for so many control periods.
SIMULATED_CLOCK_SECONDS = 1.0
CLOCK_PERIODS = 4


@dataclass(frozen=True)
class Problem:
    """name: of the check; reason: a clause that names the values; latches: when it stops a robot that was moving."""

    name: str
    reason: str
    latches: bool = True


@dataclass(frozen=True)
class Breach:
    """What stopped the robot, and when, on both clocks."""

    problem: Problem
    since: int
    since_wall: int


@dataclass(frozen=True)
class SafetySettings:
    """max_clock_speed: of the robot's clock against the wall, 0 for any; clock_seconds: of the wall without a control
    period; goal_seconds: that a goal may be pursued, 0 for ever; deadman_seconds: that the word of a held deadman
    counts, 0 for none needed; heartbeat_seconds: that the emergency stop's publisher may be silent, 0 for ever;
    policy_seconds: after which a chunk that does not come is told as no policy.
    """

    max_clock_speed: float = 2.0
    clock_seconds: float = 1.0
    goal_seconds: float = 0.0
    deadman_seconds: float = 0.0
    heartbeat_seconds: float = 0.0
    policy_seconds: float = 3.0


def clock_limit(contract: Contract, simulated: bool) -> float:
    """Seconds of the wall without a control period that count as a clock that stands, where nobody sets them.

    On a robot a period that does not come is as bad as a state that does not: the states' shortest max_age counts. A
    simulation may be slower than time, or think for a while.
    """
    if simulated:
        return SIMULATED_CLOCK_SECONDS
    ages = [state.max_age for state in contract.observation.states]
    return max(min(ages, default=SIMULATED_CLOCK_SECONDS), CLOCK_PERIODS * contract.period_seconds)


def tracking_limits(contract: Contract) -> Vector:
    """How far a command may be from what is measured, [d]; infinite where nothing measures it."""
    limits = np.full(len(contract.dimensions), np.inf)
    for group in contract.action:
        if group.feedback is None or group.kind == 'delta':
            continue
        if group.output.adapter == 'gripper_command' and group.max_tracking_error is None:
            continue  # a goal is far away at first, and what lies between the fingers keeps it so
        for place, dimension in zip(
            range(*contract.group_slices[group.name].indices(len(limits))), group.dimensions, strict=True
        ):
            spread = dimension.upper - dimension.lower
            if group.max_tracking_error is not None:
                limits[place] = group.max_tracking_error
            elif dimension.max_step is not None:
                limits[place] = max(TRACKING_SECONDS * dimension.max_step * contract.rate, TRACKING_FLOOR * spread)
            else:
                limits[place] = TRACKING_SHARE * spread
    return limits


def describe_far(names: tuple[str, ...], limits: Vector, wished: Vector, measured: Vector) -> str:
    """'' where `wished` [d] is within `limits` [d] of `measured` [d], else which dimension is how far."""
    away = np.abs(wished - measured)
    beyond = np.flatnonzero(away > limits)  # NaN, which nobody knows, is not
    if not beyond.size:
        return ''
    worst = int(beyond[np.argmax((away / limits)[beyond])])
    return f'{names[worst]} is {away[worst]:.3g} from where it is measured (limit {limits[worst]:.3g})'


class ClockWatch:
    """Whether the robot's clock goes on as the wall's does."""

    def __init__(self, max_speed: float) -> None:
        self._max_speed = max_speed
        self._seen: deque[tuple[int, int]] = deque()
        self._fast: int | None = None  # when it last was, on the wall
        self._newest: int | None = None
        self._back = 0

    def clear(self) -> None:
        self._seen.clear()
        self._newest, self._back = None, 0

    def read(self, now: int) -> None:
        """A reading between two periods: a clock that was set back has gone on by the next one, and may show more than
        at the last.
        """
        if self._newest is not None and now < self._newest - CLOCK_BACK:
            self._back = max(self._back, self._newest - now)
        self._newest = now

    def unsettled(self, wall: int) -> str:
        """'' or why the clock cannot be trusted yet: one that runs too fast is found out only now and then."""
        if self._fast is None or wall - self._fast >= CLOCK_SETTLED * NANOSECONDS:
            return ''
        since = (wall - self._fast) / NANOSECONDS
        return f'the clock ran ahead {since:.2f} s ago, and must keep time for {CLOCK_SETTLED:g} s'

    def problem(self, now: int, wall: int) -> str:
        """'' or what is wrong with the clock at this period."""
        self.read(now)
        if self._back:
            back = self._back / NANOSECONDS
            self.clear()
            return f'the clock was set back by {back:.3g} s'
        self._seen.append((now, wall))
        while wall - self._seen[0][1] > NANOSECONDS and len(self._seen) > 2:
            self._seen.popleft()
        begin = self._seen[0]
        went, took = (now - begin[0]) / NANOSECONDS, (wall - begin[1]) / NANOSECONDS
        if self._max_speed and went > self._max_speed * took + CLOCK_SLACK:
            self._seen.clear()
            self._fast = wall
            return f'the clock went {went:.3g} s ahead within {took:.3g} s'
        return ''


class FrozenWatch:
    """Whether what is measured changes while motion is commanded, and after a stop has changed since.

    A robot at rest may measure the same for ever, so a stream that was frozen cannot be told from one that is well
    again by its stamps. One that was the same through the motion before a stop is under suspicion, until it shows
    another number, or comes back after a silence, as that of a driver that was started anew does.
    """

    def __init__(self, contract: Contract) -> None:
        self._witnesses = witnesses(contract)
        steps = [d.max_step or 0.05 * (d.upper - d.lower) for d in contract.dimensions]
        delta = [min(d.max_step or np.inf, max(-d.lower, d.upper)) for d in contract.dimensions]
        self._full = np.where(contract.delta_mask, delta, steps)
        self._last: dict[str, Vector] = {}
        self._changed: dict[str, int] = {}
        # How far was commanded since a stream changed last, [3, d] in largest steps: where to, and the least and the
        # most of that on the way; until now, and until its last message.
        self._path: dict[str, Vector] = {}
        self._shown: dict[str, Vector] = {}
        self._silence = {state.name: round(state.max_age * NANOSECONDS) for state in contract.observation.states}
        self._heard: dict[str, int] = {}
        # Nanoseconds of control periods since each stream was heard: by no clock, which may jump.
        self._quiet = dict.fromkeys(self._silence, 0)
        self._suspects: list[Witness] = []
        self._spoke: dict[str, int] = {}

    def clear(self) -> None:
        """The motion from now on counts; what is under suspicion stays so."""
        self._changed, self._path, self._shown = {}, {}, {}

    def stopped(self) -> None:
        """The robot is being stopped: what has not changed while it moved is under suspicion from now on, too."""
        for witness in self._witnesses:
            moved = all(
                stream in self._path and _has_gone(self._path[stream], witness.groups, SUSPECT_STEPS)
                for stream in witness.streams
            )
            if moved and witness not in self._suspects:
                self._suspects.append(witness)

    @property
    def lost(self) -> bool:
        """Whether a state is under suspicion that tells from where commands start, or what a box is judged by."""
        return any(witness.places for witness in self._suspects)

    def unchanged(self) -> str:
        """'' or which streams are under suspicion."""
        if not self._suspects:
            return ''
        names = dict.fromkeys(stream for witness in self._suspects for stream in witness.streams)
        return (
            f'{", ".join(names)}: the same numbers since before the stop, while the robot was moved; move it by hand, '
            'or start its driver anew'
        )

    def passed(self, period: int) -> None:
        """A period of so many nanoseconds has passed."""
        for stream in self._quiet:
            self._quiet[stream] += period

    def measured(self, stream: str, stamp: int, values: Vector, wall: int = 0, periods: bool = True) -> None:
        """wall: nanoseconds of a clock that nobody sets, which tells a silence where no control periods come."""
        changed = stream in self._last and not np.array_equal(self._last[stream], values)
        silence = self._quiet[stream] if periods else wall - self._spoke.get(stream, wall)
        self._spoke[stream] = wall
        believed = changed or silence > self._silence[stream]
        if believed:
            self._suspects = [witness for witness in self._suspects if stream not in witness.streams]
        self._heard[stream], self._quiet[stream] = stamp, 0
        if believed or stream not in self._path:
            self._changed[stream] = stamp
            self._path[stream] = np.zeros((3, len(self._full)))
        self._shown[stream] = self._path[stream].copy()
        self._last[stream] = values

    def commanded(self, step: Vector) -> None:
        """Motion [d] that was commanded in a period."""
        for path in self._path.values():
            path[0] += np.nan_to_num(step) / self._full
            path[1:] = np.minimum(path[1], path[0]), np.maximum(path[2], path[0])

    def problem(self, now: int) -> str:
        """'' or which streams are frozen."""
        for witness in self._witnesses:
            if all(self._is_frozen(stream, witness.groups) for stream in witness.streams):
                since = max(self._changed[stream] for stream in witness.streams)
                seconds = (now - since) / NANOSECONDS
                return f'{", ".join(witness.streams)}: the same numbers for {seconds:.2g} s while motion is commanded'
        return ''

    def _is_frozen(self, stream: str, groups: tuple[slice, ...]) -> bool:
        """By what its last message showed: a stream that speaks rarely has not repeated itself before it speaks."""
        if stream not in self._shown or self._heard[stream] - self._changed[stream] < FROZEN_SECONDS * NANOSECONDS:
            return False
        return _has_gone(self._shown[stream], groups, FROZEN_STEPS)


def _has_gone(path: Vector, groups: tuple[slice, ...], steps: float) -> bool:
    """Whether each of the groups was commanded so many of the largest steps away; path: [3, d].

    Back and forth does not add up: what keeps to a spot may truly stand, below what its sensors resolve.
    """
    return all(float((path[2] - path[1])[group].max()) >= steps for group in groups)


class Signs:
    """Words that count for a while: of a held deadman, of the emergency stop's publisher."""

    def __init__(self, settings: SafetySettings) -> None:
        self._settings = settings
        self._heard: dict[str, int] = {}
        self._held = False

    def deadman(self, held: bool, wall: int) -> None:
        self._held, self._heard['deadman'] = held, wall

    def heartbeat(self, wall: int) -> None:
        self._heard['heartbeat'] = wall

    def problems(self, wall: int, wall_start: int) -> list[Problem]:
        """wall_start: when the controller was started; the heartbeat's first beat is awaited from then on."""
        found = []
        limit = self._settings.heartbeat_seconds
        if limit:
            silent = (wall - self._heard.get('heartbeat', wall_start)) / NANOSECONDS
            if silent > limit or 'heartbeat' not in self._heard:
                found.append(
                    Problem('heartbeat', f'estop: its publisher is silent for {silent:.2f} s (limit {limit:g} s)')
                )
        limit = self._settings.deadman_seconds
        if limit:
            silent = (wall - self._heard.get('deadman', wall_start)) / NANOSECONDS
            if not self._held or silent > limit:
                found.append(Problem('deadman', 'the deadman is not held', latches=False))
        return found


def as_data(breach: Breach | None, holding: str) -> Mapping[str, object]:
    """What the topic `safety_state` tells: whether the robot is stopped and latched, by which check, why, since when
    (seconds of the robot's clock), and what else keeps it.
    """
    if breach is None:
        return {'stopped': bool(holding), 'latched': False, 'check': '', 'reason': holding, 'since': None}
    return {
        'stopped': True,
        'latched': True,
        'check': breach.problem.name,
        'reason': breach.problem.reason,
        'since': round(breach.since / NANOSECONDS, 3),
        'now': holding,
    }
