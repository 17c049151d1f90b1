"""What was decided about the episodes of a data set, as a list: nothing is done here, and nothing is ever lost.

Edits name episodes by their place in the data set as it was converted, so that dropping one renames no other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mode_ros.errors import UserError
from mode_ros.training.data import layout as files

EDITS = Path('meta/edits.json')


@dataclass(frozen=True)
class Command:
    """What was asked for at once: episodes to drop, goals, success labels, and [first, last) rows to keep."""

    drop: tuple[int, ...] = ()
    relabel: dict[int, str] = field(default_factory=dict)
    mark: dict[int, bool] = field(default_factory=dict)
    trim: dict[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return not (self.drop or self.relabel or self.mark or self.trim)

    def words(self) -> str:
        """For people."""
        parts = [f'drop {", ".join(map(str, self.drop))}'] if self.drop else []
        parts += [f'relabel {number} {goal!r}' for number, goal in self.relabel.items()]
        parts += [f'mark {number} as a {"success" if good else "failure"}' for number, good in self.mark.items()]
        return '; '.join(parts + ([f'trim {len(self.trim)} episodes'] if self.trim else []))


@dataclass(frozen=True)
class Kept:
    """An episode that stays. number: its place in the original; rows: [first, last) of it, None for all; goal, success:
    None where nothing was said.
    """

    number: int
    rows: tuple[int, int] | None = None
    goal: str | None = None
    success: bool | None = None


def kept_episodes(count: int, commands: Sequence[Command]) -> list[Kept]:
    """What is left of `count` episodes after all commands, in their order; later ones win."""
    episodes: dict[int, Kept] = {number: Kept(number) for number in range(count)}
    for command in commands:
        for number, rows in command.trim.items():
            episodes[number] = replace(episodes[number], rows=rows)
        for number, goal in command.relabel.items():
            episodes[number] = replace(episodes[number], goal=goal)
        for number, success in command.mark.items():
            episodes[number] = replace(episodes[number], success=success)
    dropped = {number for command in commands for number in command.drop}
    return [kept for number, kept in episodes.items() if number not in dropped]


def sources_told(extras: Mapping[str, Any]) -> dict[str, Any]:
    """What each recording gave, by its key: numbers of the episodes, their goals and lengths, and the label.

    extras: those of a data set. Kept with an edited one, to see when its original has changed.
    """
    return {
        source['key']: {
            'numbers': list(source.get('numbers', ())),
            'episodes': [[each['goal'], each['length']] for each in source['episodes']],
            'success': source.get('success'),
        }
        for source in extras.get('sources', ())
        if 'key' in source and 'episodes' in source
    }


def renumbered(
    commands: Sequence[Command], before: Mapping[str, Any], now: Mapping[str, Any]
) -> tuple[list[Command], int]:
    """The commands for an original that was made anew, and how many of their decisions no longer mean anything.

    before, now: as `sources_told` gives them. A recording that gives another number of episodes than it did takes its
    edits with it, and one that gives longer or shorter ones the rows that were cut.
    """
    place: dict[int, int] = {}
    same_rows: set[int] = set()
    for key, source in before.items():
        found = now.get(key, {'numbers': [], 'episodes': []})
        if len(found['numbers']) != len(source['numbers']):
            continue
        place |= dict(zip(source['numbers'], found['numbers'], strict=True))
        lengths = ([length for _, length in each['episodes']] for each in (source, found))
        same_rows |= {number for number, old, new in zip(source['numbers'], *lengths, strict=True) if old == new}
    made = [
        Command(
            tuple(place[number] for number in command.drop if number in place),
            {place[number]: goal for number, goal in command.relabel.items() if number in place},
            {place[number]: good for number, good in command.mark.items() if number in place},
            {place[number]: rows for number, rows in command.trim.items() if number in place and number in same_rows},
        )
        for command in commands
    ]
    lost = sum(_size(command) for command in commands) - sum(_size(command) for command in made)
    return [command for command in made if not command.is_empty], lost


def overruled(commands: Sequence[Command], before: Mapping[str, Any], now: Mapping[str, Any]) -> list[int]:
    """Episodes of an original that was made anew, whose corrected goal or mark does not count because it was edited.

    commands: as renumbered; before, now: as `sources_told` gives them.
    """
    goals = {number: goal for command in commands for number, goal in command.relabel.items()}
    marks = {number: good for command in commands for number, good in command.mark.items()}
    found = []
    for key, source in now.items():
        known = before.get(key)
        if known is None or len(known['numbers']) != len(source['numbers']):
            continue
        label = source.get('success')
        judged = known.get('success') != label
        for number, (old, _), (new, _) in zip(source['numbers'], known['episodes'], source['episodes'], strict=True):
            if (old != new and goals.get(number, new) != new) or (judged and marks.get(number, label) != label):
                found.append(number)
    return sorted(found)


def _size(command: Command) -> int:
    return len(command.drop) + len(command.relabel) + len(command.mark) + len(command.trim)


def read_commands(root: Path) -> list[Command]:
    """Of the data set at `root`; none where it was never edited. UserError for a damaged list."""
    path = root / EDITS
    if not path.is_file():
        return []
    try:
        return [_command(entry) for entry in json.loads(path.read_text())]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f'{path} is damaged ({error}); the original is in {root.name}.original beside it.') from error


def write_commands(root: Path, commands: Sequence[Command]) -> None:
    """Into the data set at `root`."""
    entries = [
        {
            'drop': list(command.drop),
            'relabel': command.relabel,
            'mark': command.mark,
            'trim': {number: list(rows) for number, rows in command.trim.items()},
        }
        for command in commands
    ]
    (root / EDITS).write_text(json.dumps(entries, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')


def _command(entry: Any) -> Command:
    return Command(
        tuple(int(number) for number in entry['drop']),
        {int(number): str(goal) for number, goal in entry['relabel'].items()},
        {int(number): bool(good) for number, good in entry['mark'].items()},
        {int(number): (int(rows[0]), int(rows[1])) for number, rows in entry['trim'].items()},
    )


def revision(root: Path) -> str:
    """What a data set is now, as a short text: another one after every edit and conversion that changes something."""
    digest = hashlib.sha256()
    for name in (files.INFO, files.EXTRAS, EDITS):
        path = root / name
        digest.update(path.read_bytes() if path.is_file() else b'')
        digest.update(b'\0')
    return digest.hexdigest()[:16]


def check_revision(root: Path, expected: str) -> None:
    """UserError where a data set is another by now. expected: its `revision` when it was looked at, '' for any."""
    if expected and revision(root) != expected:
        raise UserError(
            f'The data set {root} is not what it was when it was looked at: somebody has edited it, or converted into '
            'it. Nothing was changed; look again, since its episodes may have other numbers now.'
        )


def parse_numbers(text: str, option: str) -> list[int]:
    """'3,7,10-12' as [3, 7, 10, 11, 12]. UserError names the option."""
    found: list[int] = []
    for part in text.split(','):
        first, dash, last = part.strip().partition('-')
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UserError(f'{option} {text!r} are no episodes; write numbers, as 3,7 or 10-12.')
        if dash and int(last) < int(first):
            raise UserError(f'{option} {text!r}: {part.strip()} runs backwards and names none; write {last}-{first}.')
        found += range(int(first), int(last or first) + 1)
    return list(dict.fromkeys(found))
