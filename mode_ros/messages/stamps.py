"""builtin_interfaces/Time and Duration as integer nanoseconds."""

from __future__ import annotations

from typing import Any

from builtin_interfaces.msg import Duration, Time

from mode_ros.control.contract import NANOSECONDS


def to_nanoseconds(message: Any) -> int:
    """Nanoseconds of a Time or Duration."""
    return int(message.sec) * NANOSECONDS + int(message.nanosec)


def to_time(nanoseconds: int) -> Time:
    return Time(sec=nanoseconds // NANOSECONDS, nanosec=nanoseconds % NANOSECONDS)


def to_duration(nanoseconds: int) -> Duration:
    return Duration(sec=nanoseconds // NANOSECONDS, nanosec=nanoseconds % NANOSECONDS)
