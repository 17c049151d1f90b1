"""Look at a data set, or at a recording, in rerun: cameras, states, actions and who drove, over time.

With the names of the contract and the colours of the page. --save writes a file for rerun instead of opening it; then
no screen is needed: rerun FILE shows it anywhere. Needs the extra `view` (pip install 'mode_ros[view]').
"""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = 'look at a data set or a recording in rerun'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument('target', type=Path, metavar='DATASET|BAG', help='a data set, or a recording')
    parser.add_argument('--episode', type=int, metavar='N', help='of a data set or a folder of bags (default: all, 0)')
    parser.add_argument('--contract', default='', help='robot contract of what carries none')
    parser.add_argument('--save', type=Path, metavar='FILE', help='write FILE, which ends in .rrd, and open nothing')


def run(arguments: argparse.Namespace) -> int:
    """Opens rerun, or writes the file."""
    from mode_ros.errors import UserError

    try:
        import rerun
    except ModuleNotFoundError as error:
        raise UserError("rerun is not installed: pip install 'mode_ros[view]'.") from error
    from mode_ros.control.contract import parse_contract
    from mode_ros.robots import load_named_contract
    from mode_ros.training.data.convert import choose_contract
    from mode_ros.training.data.inputs import find_recordings
    from mode_ros.training.data.rerun_log import data_set_moments, log, recording_moments

    root, save = arguments.target.absolute(), arguments.save
    if save is not None and save.suffix != '.rrd':
        raise UserError(f'{save} is to be a file of rerun: let its name end in .rrd.')
    contract = load_named_contract(arguments.contract)[0] if arguments.contract else None
    if (root / 'meta' / 'info.json').is_file():
        moments = data_set_moments(root, arguments.episode, contract)
    else:
        recordings = find_recordings([root], 'auto')
        number = arguments.episode or 0
        if not 0 <= number < len(recordings):
            raise UserError(f'--episode {number}: {root} has the recordings 0 to {len(recordings) - 1}.')
        text = None if contract is not None else choose_contract([recordings[number]], None)
        known = contract or parse_contract(text or '', f'of {recordings[number].name}')
        moments = recording_moments(recordings[number], known)
    rerun.init(f'mode_ros {root.name}', spawn=save is None)
    if save is not None:
        save.parent.mkdir(parents=True, exist_ok=True)
        rerun.save(str(save))
    count = log(rerun, moments)
    if save is not None:
        rerun.disconnect()  # what waits is written
    print(f'{count} moments' + (f' in {save}; rerun {save} shows them.' if save is not None else ' are shown.'))
    return 0
