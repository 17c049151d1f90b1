"""What the tab Episodes asks for, as the command that a person would type. Whatever it is made of was checked here."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mode_ros.page.goals import check_goal
from mode_ros.page.shelf import DATA_SET, RECORDINGS, Item

# `env`: progress is told once a second, and not every ten as into a file.
RUN = ('env', 'TQDM_MININTERVAL=1', sys.executable, '-m', 'mode_ros')
# A data set's name is one part of a path, and nothing that a command could take for an option.
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.-]{0,63}')
_MOST_EPISODES = 100_000

Command = list[str]


class NotAsked(Exception):
    """The page asked for what makes no sense; the message says what would."""


def edit_command(item: Item, body: Mapping[str, Any]) -> Command:
    """body: `do` ('drop', 'relabel', 'success', 'failure', 'trim' or 'undo'), `episodes` (numbers), `goal`, and the
    `revision` that the numbers are of.
    """
    if item.kind != DATA_SET:
        raise NotAsked('Recordings stay as they are: convert them, and edit the data set.')
    revision, do = body.get('revision'), body.get('do')
    if not isinstance(revision, str) or not re.fullmatch('[0-9a-f]{16}', revision):
        raise NotAsked('The page does not say which revision of the data set it shows: load it again.')
    command = ['edit', str(item.path), '--revision', revision]
    if do == 'undo':
        return [*command, '--undo']
    if do == 'trim':
        return [*command, '--trim-idle']
    numbers = body.get('episodes')
    if (
        not isinstance(numbers, list)
        or not 0 < len(numbers) <= _MOST_EPISODES
        or not all(type(number) is int and number >= 0 for number in numbers)
    ):
        raise NotAsked('Choose episodes first.')
    listed = in_ranges(numbers)
    if do == 'relabel':
        goal, problem = check_goal(body.get('goal'))
        if problem or goal.startswith('-'):  # which the command would take for an option
            raise NotAsked(problem or f'A goal cannot begin with -: {goal}')
        return [*command, '--relabel', listed, goal]
    options = {'drop': '--drop', 'success': '--mark-success', 'failure': '--mark-failure'}
    if do not in options:
        raise NotAsked('The page asks for an edit that there is not: load it again.')
    return [*command, options[do], listed]


def convert_command(
    item: Item, into: Item | None, name: Any, data: Path, contract: str, keep_failures: bool = False
) -> Command:
    """into: a data set to add to; else name: of a new one in the folder `data`; contract: '' for the recordings'."""
    if item.kind != RECORDINGS:
        raise NotAsked('This is a data set already.')
    if into is None:
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name.endswith(('.original', '.part')):
            raise NotAsked('Give the new data set a name of letters, digits, - and _.')
        target = data / name
        if target.exists():
            raise NotAsked(f'There is a {name} already: choose it above to add to it, or give another name.')
    elif into.kind != DATA_SET:
        raise NotAsked(f'{into.name} is no data set.')
    else:
        target = into.path
    more = ['--contract', contract] if contract else []
    return ['convert', str(item.path), str(target), *more, *(['--keep-failures'] if keep_failures else [])]


def replay_command(item: Item, number: Any, revision: Any) -> Command:
    """An episode of a data set on the simulated robot."""
    if item.kind != DATA_SET:
        raise NotAsked('Convert the recordings first: the commands of a data set are replayed.')
    if type(number) is not int or number < 0:
        raise NotAsked('Choose an episode first.')
    if not isinstance(revision, str) or not re.fullmatch('[0-9a-f]{16}', revision):
        raise NotAsked('The page does not say which revision of the data set it shows: load it again.')
    return ['replay', str(item.path), str(number), '--revision', revision]


def in_ranges(numbers: Sequence[int]) -> str:
    """[3, 7, 8, 9] as '3,7-9'."""
    found: list[list[int]] = []
    for number in sorted(set(numbers)):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ','.join(f'{first}-{last}' if last > first else f'{first}' for first, last in found)
