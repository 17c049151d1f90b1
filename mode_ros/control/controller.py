"""From chunks to commands: what the robot is told in each control period, and why.

The controller plays one chunk after the other: it plays a chunk to its end, brings the robot to a hold, asks for the
next chunk and plays that when it comes. While a person drives, their commands count and the policy's do not. It reads
no clock and knows no middleware; a node feeds it and sends what it returns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from mode_ros.control.chunk import Chunk, ChunkPlayer, ChunkRejected, check_chunk
from mode_ros.control.contract import NANOSECONDS, Contract
from mode_ros.control.feedback import measured_action
from mode_ros.control.freshness import StreamAge, describe_stale
from mode_ros.control.limits import ActionLimiter
from mode_ros.control.request import ChunkRequest
from mode_ros.control.takeover import FRESH_PERIODS, TeleopCommand, TeleopRefused, check_command, is_fresh

# A request that got no answer for this long is made anew, from a fresh observation (nanoseconds).
RETRY_AFTER = 2 * NANOSECONDS


class Phase(Enum):
    EXECUTING = 'executing'
    TELEOP = 'driven by a person'
    WAITING = 'waiting for a chunk'
    HOLDING = 'holding'
    STOPPED = 'stopped'


@dataclass(frozen=True)
class Tick:
    """What one control period brings.

    commands: group name to float64 [dimensions], without the groups that have nothing safe to send; reason: why the
    robot is not executing, else ''; request: the chunk that is wanted, told anew until it comes;
    limited: the dimensions that a limit changed.
    """

    commands: Mapping[str, NDArray[np.float64]]
    phase: Phase
    reason: str = ''
    request: ChunkRequest | None = None
    limited: tuple[str, ...] = ()


class Controller:
    """The state between two control periods."""

    def __init__(self, contract: Contract, max_chunk_age: float, name: str = 'controller') -> None:
        """max_chunk_age: seconds after its observation at which a chunk is too old to be started; name: begins the
        identities of requests, so that no other controller's are alike.
        """
        self._name = name
        self._asked: ChunkRequest | None = None
        self._open: set[str] = set()
        self._requests = 0
        self._contract = contract
        self._max_chunk_age = round(max_chunk_age * NANOSECONDS)
        self._limiter = ActionLimiter(contract)
        self._player = ChunkPlayer(contract)
        self._measured: dict[str, tuple[int, NDArray[np.float64]]] = {}
        self._estop = False
        self._driver: TeleopCommand | None = None
        self._last_driven: int | None = None
        self._let_go_first = False
        self._taken_over = False
        self._started = False
        self._now = 0
        self._still_since = 0
        self._requested = 0
        self._last_chunk_stamp = -1
        self.chunks = 0
        self.underruns = 0

    def activate(self, now: int) -> None:
        """Starts from a standing robot, with no chunk and no memory of commands; measured states are kept."""
        self._player.clear()
        # A target from before may be far from where the arm has been brought meanwhile.
        self._limiter.start_from(np.nan)
        self._started = False
        self._now = self._still_since = self._requested = now
        self._last_chunk_stamp = -1
        self._driver = self._last_driven = None
        self._let_go_first = self._taken_over = False
        self.chunks = self.underruns = 0

    def measure(self, stream: str, stamp: int, values: NDArray[np.float64]) -> None:
        """Takes a state [n] of the contract's stream, stamped in nanoseconds."""
        self._measured[stream] = (stamp, values)

    def set_estop(self, engaged: bool) -> None:
        """Engaged: the chunk is dropped and none is accepted until it is released. A person who drives must let go."""
        self._estop = engaged
        if engaged:
            self._player.clear()
            self._started = False
            self._let_go_first = self._driver is not None
            self._driver = None

    def drive(self, command: TeleopCommand, now: int) -> None:
        """Takes a person's command, which overrides the policy while it is fresh.

        Raises TeleopRefused naming the failed check. After an emergency stop the person must let go before driving on:
        the robot must not move by the release of the stop.
        """
        check_command(command, self._contract, now)
        silent = self._last_driven is None or command.stamp - self._last_driven > FRESH_PERIODS * self._contract.period
        self._last_driven = command.stamp
        if command.action is None:
            self._driver, self._let_go_first = None, False
            return
        if self._estop:
            self._let_go_first = True
            raise TeleopRefused('estop', 'the emergency stop is engaged')
        if self._let_go_first and not silent:
            raise TeleopRefused('held', 'the deadman has been held since the emergency stop; let go of it first')
        self._driver, self._let_go_first = command, False

    def accept(self, chunk: Chunk, now: int) -> None:
        """Takes a chunk to play; raises ChunkRejected naming the failed check, and then keeps what it was doing."""
        check_chunk(chunk, self._contract)
        if self._estop:
            raise ChunkRejected('estop', 'the emergency stop is engaged')
        if chunk.identity not in self._open:
            raise ChunkRejected(
                'identity', f'it answers the request {chunk.identity!r}, which is not the one that is open'
            )
        if chunk.stamp <= self._last_chunk_stamp:
            raise ChunkRejected('order', 'its observation is not newer than that of the chunk before')
        if chunk.stamp > now + self._contract.period:
            raise ChunkRejected(
                'future',
                f'its observation lies {(chunk.stamp - now) / NANOSECONDS:.2f} s ahead; '
                'do both nodes use the same clock?',
            )
        if now - chunk.stamp > self._max_chunk_age:
            raise ChunkRejected(
                'age',
                f'its observation is {(now - chunk.stamp) / NANOSECONDS:.2f} s old (limit '
                f'{self._max_chunk_age / NANOSECONDS:.2f} s)',
            )
        if self._driver is not None and is_fresh(self._driver, self._contract, now):
            raise ChunkRejected('teleop', 'a person drives the robot')
        stood_still = chunk.stamp >= self._still_since
        if self._taken_over and not stood_still:
            raise ChunkRejected('teleop', 'it was planned before the robot came to rest after a person had driven it')
        if not stood_still and self._contract.delta_mask.any():
            raise ChunkRejected(
                'moved',
                'the robot has moved since its observation, so its displacements would start from the wrong place',
            )
        self._player.start(chunk, anchor=None if stood_still else chunk.stamp)
        self._last_chunk_stamp = chunk.stamp
        self._taken_over = False
        self.chunks += 1

    def tick(self, now: int) -> Tick:
        """The commands of the control period that begins at `now`."""
        if now < self._now:
            # The clock was set back, as when a simulation restarts: times from before mean nothing.
            self._measured.clear()
            self.activate(now)
        self._now = now
        stale = describe_stale(self._ages(now))
        if self._estop or stale:
            # Nothing old may resume when the input comes back.
            self._player.clear()
            if not self._estop:
                return self._hold(now, Phase.HOLDING, stale)
            held = self._hold(now, Phase.STOPPED, 'the emergency stop is engaged')
            if not self._limiter.moving:
                # Targets are no longer sent: the arm may be moved by hand, and is started from where it then is.
                self._limiter.start_from(np.nan)
            return held
        if not self._started:
            self._limiter.start_from(self._positions())
            self._started = True
        if self._driver is not None:
            if is_fresh(self._driver, self._contract, now):
                return self._drive(self._driver, now)
            self._driver = None
        action = self._player.next(now)
        if action is None:
            self.underruns += self.chunks > 0
            return self._hold(now, Phase.WAITING, 'no chunk', request=True)
        return self._command(action, Phase.EXECUTING, now)

    def stop(self, now: int, reason: str) -> Tick:
        """One period of a safe stop; `stopping` tells when it is done."""
        self._player.clear()
        return self._hold(now, Phase.STOPPED, reason)

    @property
    def stopping(self) -> bool:
        """Whether the last command still moved the robot."""
        return self._limiter.moving

    def _drive(self, driver: TeleopCommand, now: int) -> Tick:
        assert driver.action is not None
        # The policy begins anew afterwards, from an observation of where the person has left the robot.
        self._player.clear()
        self._taken_over = True
        left_alone = np.isnan(driver.action)
        action = np.where(left_alone, self._limiter.rest, driver.action)
        return self._command(action, Phase.TELEOP, now)

    def _command(self, action: NDArray[np.float64], phase: Phase, now: int) -> Tick:
        # An arm beyond a bound must not set off by itself when a person puts a hand on the stick.
        command, reduced = self._limiter.apply(action, pull_in=phase is not Phase.TELEOP)
        self._still_since = self._requested = now + self._contract.period
        limited = tuple(name for name, by in zip(self._contract.action_names, reduced, strict=True) if by > 1e-9)
        return Tick(self._grouped(command), phase, limited=limited)

    def _hold(self, now: int, phase: Phase, reason: str, request: bool = False) -> Tick:
        command = self._limiter.hold()
        if self._limiter.moving:
            self._still_since = self._requested = now + self._contract.period
        elif request and now - self._requested >= RETRY_AFTER:
            self._requested = now
        wanted = self._request(now) if request and not self._limiter.moving else None
        return Tick(self._grouped(command), phase, reason, request=wanted)

    def _request(self, now: int) -> ChunkRequest:
        """The request for a chunk planned from an observation since which the robot has stood still."""
        if self._asked is None or self._asked.not_before != self._requested:
            self._requests += 1
            identity = f'{self._name}-{self._requests}'
            self._open.add(identity)
            self._asked = ChunkRequest(identity, now, not_before=self._requested, period=self._contract.period)
        return self._asked

    def _ages(self, now: int) -> list[StreamAge]:
        ages = []
        for state in self._contract.observation.states:
            measured = self._measured.get(state.name)
            ages.append(
                StreamAge(
                    state.name, None if measured is None else now - measured[0], round(state.max_age * NANOSECONDS)
                )
            )
        return ages

    def _positions(self) -> NDArray[np.float64]:
        """Where the robot is, [d]; NaN where the contract names no feedback."""
        positions = np.full(len(self._contract.dimensions), np.nan)
        for group in self._contract.action:
            if group.feedback is not None:
                state = self._contract.state(group.feedback)
                values = self._measured[group.feedback][1]
                positions[self._contract.group_slices[group.name]] = measured_action(group, state, values)
        return positions

    def _grouped(self, command: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        grouped = {name: command[place] for name, place in self._contract.group_slices.items()}
        return {name: values for name, values in grouped.items() if not np.isnan(values).any()}
