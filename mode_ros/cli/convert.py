"""Convert recordings to a data set: bags, LIBERO's demonstrations, CALVIN's episodes.

Makes a LeRobotDataset v3.0 and, in it, report.html. Run it again after an interruption, or with more bags: what is
converted stays and is not converted twice. Exit status: 0 when everything was converted, 3 when something was left out
(it is named, and the rest converted), 1 after an error, 130 on Ctrl-C. What is odd and was converted is noted.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HELP = 'make a data set for training from recordings'
LEFT_OUT = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument('recordings', nargs='+', metavar='BAGS', help='bags, or folders with bags in them')
    parser.add_argument('data_set', metavar='DATASET', help='folder of the data set: a new one, or one to add to')
    parser.add_argument('--contract', help='robot contract; needed where the bags do not carry one (default: theirs)')
    parser.add_argument('--goal', help='the task in words, instead of the recorded one')
    parser.add_argument('--from', dest='kind', default='auto', choices=('auto', 'bag', 'libero', 'calvin'))
    parser.add_argument('--codec', default='h264', choices=('h264', 'av1', 'png'), help='how images are kept')
    parser.add_argument('--quality', type=int, help="the codec's crf, smaller is better (h264: 23, av1: 28)")
    parser.add_argument('--chunk-length', type=int, default=10, help='shorter segments are left out (default: 10)')
    parser.add_argument('--jobs', type=int, help='processes (default: one per core)')
    parser.add_argument(
        '--keep-failures', action='store_true', help='keep recordings that are marked as failures (for value learning)'
    )
    parser.add_argument('--strict', action='store_true', help='stop at the first thing that must be left out')


def run(arguments: argparse.Namespace) -> int:
    """Converts, and says in the end what was left out."""
    from mode_ros.control.contract import parse_contract
    from mode_ros.errors import UserError
    from mode_ros.robots import load_named_contract
    from mode_ros.training.data.convert import Conversion, check_apart, choose_contract
    from mode_ros.training.data.data_files import DataFiles
    from mode_ros.training.data.editing import catch_up, is_edited
    from mode_ros.training.data.episode_writer import Encoding
    from mode_ros.training.data.inputs import find_recordings
    from mode_ros.training.data.jobs import default_jobs
    from mode_ros.training.data.staging import Settings
    from mode_ros.training.data.strays import passed_over
    from mode_ros.training.data.video import refuse_sizes
    from mode_ros.training.goal_sentences import goal_sentences

    for option, value, least in (('--chunk-length', arguments.chunk_length, 1), ('--jobs', arguments.jobs, 1)):
        if value is not None and value < least:
            raise UserError(f'{option} {value} is too small; give {least} or more.')
    if arguments.quality is not None and not 0 <= arguments.quality <= 51:
        raise UserError(f'--quality {arguments.quality} is out of range; give 0 (best) to 51.')
    goal = (arguments.goal or '').strip()
    if arguments.goal is not None and not goal:
        # As of an empty variable of a shell, of which the recorded goals must not take the place unsaid.
        raise UserError(f'--goal {arguments.goal!r} has no words: say what is done, or leave the option out.')
    recordings = find_recordings([Path(item) for item in arguments.recordings], arguments.kind)
    given = load_named_contract(arguments.contract)[1] if arguments.contract else None
    text = choose_contract(recordings, given)
    settings = Settings(
        text,
        goal,
        arguments.chunk_length,
        Encoding(arguments.codec, arguments.quality),
        arguments.keep_failures,
    )
    target = Path(arguments.data_set).absolute()
    check_apart(target, recordings)
    contract = parse_contract(text, 'of the recordings')
    refuse_sizes(arguments.codec, contract.observation.cameras)
    robot = contract.robot
    try:
        with Conversion(target, settings, robot) as conversion:
            edited = is_edited(target)
            outcome = conversion.run(recordings, arguments.jobs or default_jobs(), arguments.strict)
            # Also where an earlier conversion was interrupted before it came to this.
            lost = catch_up(target) if edited else ''
    except KeyboardInterrupt:
        print('\nStopped. What is finished is kept: type the same command again to go on.', file=sys.stderr)
        raise
    already = f', {outcome.known} recordings were there already' if outcome.known else ''
    corrected = f', {outcome.corrected} recordings made anew' if outcome.corrected else ''
    inside = f'{outcome.total} in all'
    if edited:  # as it now is, which is not what the recordings gave
        inside = f'{len(DataFiles(target).episodes)} in all with its edits ({outcome.total} without)'
    print(f'{target}: {outcome.new} new episodes, {inside}{already}{corrected}. See {target / "report.html"}')
    if outcome.frames or outcome.unused:
        unused = sum(frames for _, frames in outcome.unused)
        reasons = '; '.join(f'{frames}: {reason}' for reason, frames in outcome.unused)
        print(
            f'{outcome.frames} of {outcome.frames + unused} frames are used' + (f'. Not used: {reasons}' * bool(unused))
        )
    for reason in outcome.left_out:
        print(f'left out: {reason}', file=sys.stderr)
    goals = goal_sentences(target) if outcome.new or outcome.corrected else []
    told = (*outcome.notes, *filter(None, [lost]), *goals)
    for note in (*told, *passed_over([Path(item) for item in arguments.recordings], recordings)):
        print(f'note: {note}', file=sys.stderr)
    return LEFT_OUT if outcome.left_out else 0
