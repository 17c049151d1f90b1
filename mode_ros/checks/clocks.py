"""Stamps against times of reception: a clock that is ahead, or of another time, seen from how the streams differ."""

from __future__ import annotations

from collections.abc import Mapping

from mode_ros.checks.finding import Finding

# Stamps cannot be later than reception; below this (seconds) it is the rounding of synchronised clocks.
AHEAD = 0.01
_DAY = 86_400.0


def clock_findings(offsets: Mapping[str, tuple[float, float]]) -> list[Finding]:
    """offsets: of each stream, reception minus stamp (seconds, its median) and the stream's max_age (seconds)."""
    if not offsets:
        return []
    ahead = {name: -offset for name, (offset, _) in offsets.items() if offset < -AHEAD}
    if ahead and len(ahead) < len(offsets):
        return [
            Finding(
                'clocks',
                f'the stamps of {name} are {_words(by)} ahead of when its messages came, and those of the others are '
                'not; set the clock that stamps them right, or write stamps: reception for it in the contract',
            )
            for name, by in ahead.items()
        ]
    least = min((offset for offset, _ in offsets.values()), key=abs)
    limit = min(limit for _, limit in offsets.values())
    found = []
    if abs(least) > limit:
        way = 'behind' if least > 0 else 'ahead of'
        found.append(
            Finding(
                'clocks',
                f'all stamps are {_words(abs(least))} {way} when the messages came (limit {limit:.2f} s): robot and '
                'recorder have clocks of their own; commands without a stamp were brought to that of the stamps',
            )
        )
    return found


def _words(seconds: float) -> str:
    return f'{seconds / _DAY:.0f} days' if seconds >= 2 * _DAY else f'{seconds:.2f} s'
