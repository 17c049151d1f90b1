"""What a check says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that a person should look at before hours are spent.

    check: the check's name, one or two words; text: a whole sentence that names the stream, the value and the way out;
    note: whether it is only worth knowing, and nothing needs to be done.
    """

    check: str
    text: str
    note: bool = False

    def __str__(self) -> str:
        return f'{self.check}: {self.text}'


def noted(name: str, note: str) -> Finding:
    """What `str` made of a finding about a recording of this name, or any other sentence about it."""
    check, _, words = note.partition(': ')
    return Finding(check, f'{name}: {words}') if words else Finding('recording', f'{name}: {note}')


def listed(items: Sequence[object], most: int = 6) -> str:
    """The first of many, in words: '1, 2, 3 and 7 more'."""
    rest = len(items) - most
    return ', '.join(map(str, items[:most])) + (f' and {rest} more' if rest > 0 else '')


def unique(findings: Iterable[Finding]) -> list[Finding]:
    """Each once, in the order in which they came."""
    return list(dict.fromkeys(findings))
