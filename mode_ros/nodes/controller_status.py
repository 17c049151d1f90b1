"""What controller_node tells of itself on /diagnostics: how regularly its periods come, and what happens in them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus

from mode_ros.control.contract import NANOSECONDS, Contract
from mode_ros.control.controller import Controller
from mode_ros.control.freshness import StreamAge
from mode_ros.control.report import describe_motion
from mode_ros.control.tick import Phase, Tick
from mode_ros.nodes.statistics import Percentiles

# Control rate and period are told over this much of the past (seconds).
PERIOD_WINDOW_SECONDS = 10.0

# A period is late when it takes so many times as long as it should.
LATE = 1.5


class ControllerStatus:
    """Counts and percentiles since the configuration."""

    def __init__(self, contract: Contract) -> None:
        self._seconds = contract.command_seconds
        window = round(PERIOD_WINDOW_SECONDS / self._seconds)
        # On the wall clock, for the regularity; on the ROS clock, which a simulation may slow down, for the rate.
        self._wall_period, self._ros_period = Percentiles(window), Percentiles(window)
        self._last: tuple[int, int] | None = None
        self._ticks = self._limited = self._late = 0
        self.rejected = 0  # chunks

    def begin(self) -> None:
        """After a pause between two periods, which is none of them."""
        self._wall_period.clear()
        self._ros_period.clear()
        self._last = None

    def period(self, wall: int, now: int) -> None:
        """A control period begins, at nanoseconds of a clock nobody sets and of the robot's."""
        if self._last is not None:
            took = (wall - self._last[0]) / NANOSECONDS
            self._wall_period.add(took)
            self._late += took > LATE * self._seconds
            self._ros_period.add((now - self._last[1]) / NANOSECONDS)
        self._last = wall, now

    def done(self, tick: Tick) -> None:
        """What a period brought."""
        self._ticks += 1
        self._limited += bool(tick.limited)

    def report(
        self, controller: Controller, tick: Tick, now: int, active: bool, drivers: Mapping[str, Any], well: bool
    ) -> tuple[bytes, str, Mapping[str, Any]]:
        """Level, message and values. tick: the last; drivers: what they report, well: whether that is as it should."""
        level = {Phase.HOLDING: DiagnosticStatus.WARN, Phase.STOPPED: DiagnosticStatus.ERROR}
        if tick.phase is Phase.WAITING and tick.reason.startswith('no policy'):
            level[Phase.WAITING] = DiagnosticStatus.WARN
        message = tick.phase.value + (f': {tick.reason}' if tick.phase in level else '')
        values = {
            'control rate (Hz)': _number(1.0 / self._ros_period.mean if self._ros_period.mean else math.nan, 2),
            'wall period p50 (ms)': _number(1000 * self._wall_period.of(50), 2),
            'wall period p99 (ms)': _number(1000 * self._wall_period.of(99), 2),
            'deadline misses': self._late,
            'ticks': self._ticks,
            **describe_motion(controller),
            'chunks refused': self.rejected,
            'periods limited': self._limited,
            **{f'age of {age.stream} (ms)': _milliseconds(age) for age in controller.ages(now)},
            **drivers,
        }
        if not active:
            return DiagnosticStatus.OK, message, values
        return level.get(tick.phase, DiagnosticStatus.OK if well else DiagnosticStatus.WARN), message, values


def _number(value: float, digits: int) -> str:
    return '' if math.isnan(value) else f'{value:.{digits}f}'


def _milliseconds(age: StreamAge) -> str:
    return '' if age.age is None else f'{age.age / 1e6:.0f}'
