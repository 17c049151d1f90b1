"""What is in a data set, or in a folder of recordings: an episode a line, to choose which to drop or to mark.

Numbers of a data set are those of `mode_ros edit`. What is short, long, jerky, idle or failed is named; --show tells
one episode, with --json its numbers over time and where its pictures are. Nothing is changed.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HELP = 'list the episodes of a data set or of recordings'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument('target', type=Path, metavar='DATASET|BAGS', help='a data set, a bag, or a folder of bags')
    parser.add_argument('--show', type=int, metavar='N', help='one episode')
    parser.add_argument('--contract', default='', help='robot contract of what carries none')
    parser.add_argument('--json', action='store_true', help='for programs')


def run(arguments: argparse.Namespace) -> int:
    """Prints the list, or an episode."""
    import json

    from mode_ros.errors import UserError
    from mode_ros.robots import load_named_contract

    contract = load_named_contract(arguments.contract)[0] if arguments.contract else None
    root = arguments.target.absolute()
    if (root / 'meta' / 'info.json').is_file():
        from mode_ros.training.data.one_episode import data_set_episode
        from mode_ros.training.data.overview import data_set_overview

        if arguments.show is None:
            told = data_set_overview(root, contract)
        else:
            told = data_set_episode(root, arguments.show, contract)
    else:
        from mode_ros.control.contract import parse_contract
        from mode_ros.training.data.convert import choose_contract
        from mode_ros.training.data.inputs import find_recordings
        from mode_ros.training.data.one_episode import recorded_episode
        from mode_ros.training.data.overview import recordings_overview
        from mode_ros.training.data.strays import passed_over

        recordings = find_recordings([root], 'auto')
        if arguments.show is None:
            told = recordings_overview(recordings) | {'passed_over': passed_over([root], recordings)}
        elif 0 <= arguments.show < len(recordings):
            recording = recordings[arguments.show]
            contract = contract or parse_contract(choose_contract([recording], None), f'of {recording.name}')
            told = recorded_episode(recording, contract)
        else:
            raise UserError(f'--show {arguments.show}: {root} has the recordings 0 to {len(recordings) - 1}.')
    print(json.dumps(told) if arguments.json else _table(told) if arguments.show is None else _one(told))
    return 0


def _table(told: Mapping[str, Any]) -> str:
    words = {True: 'success', False: 'failure', None: 'unknown'}
    rows: list[tuple[str, ...]] = [('', 'seconds', 'success', 'by hand', 'idle', 'look at', 'goal')]
    for each in told['episodes']:
        shares = ['' if each[key] is None else f'{each[key]:.0%}' for key in ('driven', 'idle')]
        goal = each['goal'] or each.get('problem') or 'no goal'
        name = f'{each["number"]}' + (f' {each["name"]}' if 'name' in each else '')
        rows.append((name, f'{each["seconds"]:.1f}', words[each['success']], *shares, ', '.join(each['flags']), goal))
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = ['  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    edits = [f'edited: {words}' for words in told['edits']]
    return '\n'.join([*lines, *edits, *(f'note: {words}' for words in told.get('passed_over', ()))])


def _one(told: Mapping[str, Any]) -> str:
    lines = [f'{told["seconds"]:.2f} s']
    for what in ('driven', 'still'):
        spans = ', '.join(f'{a:.2f} to {b:.2f} s' for a, b in told[what])
        lines.append(f'{"driven by hand" if what == "driven" else "standing still"}: {spans or "never"}')
    for plot in told['plots']:
        for name, values in zip(plot['names'], plot['values'], strict=True):
            span = f'{min(values):.4g} to {max(values):.4g}' if values else 'nothing'
            lines.append(f'{plot["kind"]} {plot["title"]} {name}: {span}')
    lines += [
        f'video of {camera}: {video["path"]} from {video["start"]:.2f} s' for camera, video in told['videos'].items()
    ]
    return '\n'.join([*lines, *(f'note: {words}' for words in told.get('left_out', ()))])
