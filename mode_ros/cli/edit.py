"""Drop, cut, rename or judge episodes of a data set, and take it back.

Episodes are numbered as `mode_ros doctor` and report.html show them now. Nothing is lost: the data set as it was lies
in DATASET.original, and the list of edits is applied to it by making the data set anew.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HELP = 'drop, cut, rename or judge episodes of a data set'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument('data_set', metavar='DATASET', type=Path, help='folder of the data set')
    parser.add_argument('--drop', default='', metavar='N,N', help='leave these episodes out, as 3,7 or 10-12')
    parser.add_argument('--relabel', nargs=2, action='append', default=[], metavar=('N,N', 'GOAL'), help='another goal')
    parser.add_argument('--trim-idle', action='store_true', help='cut standing still from the ends of every episode')
    parser.add_argument('--mark-failure', default='', metavar='N,N', help='training leaves these out')
    parser.add_argument('--mark-success', default='', metavar='N,N', help='these are good after all')
    parser.add_argument('--undo', action='store_true', help='take the last edit back')
    parser.add_argument('--list', action='store_true', help="what was edited, in the original's numbers")
    parser.add_argument(
        '--revision',
        default='',
        metavar='R',
        help='refuse if it is another by now than `mode_ros episodes --json` told',
    )


def run(arguments: argparse.Namespace) -> int:
    """Edits, and says what is left."""
    from mode_ros.errors import UserError
    from mode_ros.training.data.data_files import DataFiles
    from mode_ros.training.data.editing import edit, undo
    from mode_ros.training.data.edits import parse_numbers, read_commands
    from mode_ros.training.goal_sentences import goal_sentences

    def numbers(text: str, option: str) -> list[int]:
        return parse_numbers(text, option) if text else []

    root = arguments.data_set.absolute()
    changes = bool(
        arguments.drop or arguments.relabel or arguments.trim_idle or arguments.mark_failure or arguments.mark_success
    )
    if arguments.undo + changes + arguments.list != 1:
        raise UserError('Say what to edit, or --undo, or --list: one of them.')
    if arguments.list:
        DataFiles(root)  # names a folder that is none
        commands = read_commands(root)
        print('\n'.join(f'{k}. {command.words()}' for k, command in enumerate(commands, 1)) or 'Nothing was edited.')
        return 0
    if arguments.undo:
        command, said = undo(root, arguments.revision)
        print(f'Taken back: {command.words()}')
        if said:
            print(f'note: {said}', file=sys.stderr)
    else:
        failed = numbers(arguments.mark_failure, '--mark-failure')
        good = numbers(arguments.mark_success, '--mark-success')
        if both := sorted(set(failed) & set(good)):
            raise UserError(f'--mark-failure and --mark-success both name episode {both[0]}; say one of them.')
        mark = dict.fromkeys(failed, False) | dict.fromkeys(good, True)
        relabel: dict[int, str] = {}
        for text, goal in arguments.relabel:
            for number in numbers(text, '--relabel'):
                if relabel.setdefault(number, goal) != goal:
                    raise UserError(f'--relabel gives episode {number} two goals, {relabel[number]!r} and {goal!r}.')
        command = edit(root, numbers(arguments.drop, '--drop'), relabel, mark, arguments.trim_idle, arguments.revision)
        if command.is_empty:
            print('Nothing is to be changed: no episode stands still at its ends.')
            return 0
    left = DataFiles(root)
    frames = sum(episode.length for episode in left.episodes)
    way = f'Undo with: mode_ros edit {root} --undo' if read_commands(root) else 'There is nothing left to undo.'
    print(f'{root}: {len(left.episodes)} episodes, {frames} frames. {way}')
    for note in goal_sentences(root) if arguments.relabel else []:
        print(f'note: {note}', file=sys.stderr)
    return 0
