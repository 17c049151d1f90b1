"""Stamps against times of reception: a clock that is ahead, or of another time, seen from how the streams differ."""

from __future__ import annotations

from collections.abc import Mapping

from mode_ros.checks.finding import Finding

# Stamps cannot be later than reception; below this (seconds) it is the rounding of synchronised clocks.
AHEAD = 0.01
# Streams that come later than the others by more than this (seconds), or whose clock was set by so much, are named.
APART = 0.08
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


def lateness_findings(offsets: Mapping[str, tuple[float, float]]) -> list[Finding]:
    """Streams within their max_age that are later than the others. offsets: as of clock_findings."""
    least = min((offset for offset, _ in offsets.values() if offset >= -AHEAD), default=0.0)
    return [
        Finding(
            'clocks',
            f'the stamps of {name} are {_words(offset)} old when its messages come, and those of others '
            f'{_words(max(least, 0.0))}: they take so long, or its clock is behind; if so, set it right, '
            'or write stamps: reception for it in the contract',
        )
        for name, (offset, limit) in offsets.items()
        if APART < offset - least <= limit
    ]


def step_findings(spans: Mapping[str, tuple[float, float]]) -> list[Finding]:
    """Clocks that were set while the others were not.

    spans: of each stream, the smallest and the largest of reception minus stamp (seconds), as medians over a second.
    """
    changes = {name: high - low for name, (low, high) in spans.items()}
    common = min(changes.values(), default=0.0)
    return [
        Finding(
            'clocks',
            f'the stamps of {name} moved by {_words(change)} against those of the others within the recording: its '
            'clock was set, or its messages came late for a while',
        )
        for name, change in changes.items()
        if change - common > APART and common < APART  # else all move, as where the recorder's clock runs otherwise
    ]


def _words(seconds: float) -> str:
    return f'{seconds / _DAY:.0f} days' if seconds >= 2 * _DAY else f'{seconds:.2f} s'
