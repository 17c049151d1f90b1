"""Train a policy from a data set: mode_ros train config/train/small.yaml data.path=data/drawers --output runs/drawers.

Everything is checked before the first step. OUT/policy holds the policy in the end, OUT/best the one with the smallest
error on held-out episodes, OUT/report.html what happened. Ctrl-C saves and stops; --resume goes on. Exit status: 0 when
done, 1 after an error, 3 where --check found something in the data that should be looked at, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HELP = 'learn a policy from a data set'

SUSPICIOUS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument(
        'config', nargs='?', help='training YAML: a path, or the name of one in config/train (small, libero, ...)'
    )
    parser.add_argument('changes', nargs='*', metavar='KEY=VALUE', help='in place of the YAML: run.steps=1000')
    parser.add_argument('--output', required=True, metavar='OUT', type=Path, help='folder for everything it writes')
    parser.add_argument('--resume', action='store_true', help='go on from the newest checkpoint in OUT')
    parser.add_argument('--device', default='auto', choices=('auto', 'cpu'), help='auto: the GPU where there is one')
    parser.add_argument('--report', action='store_true', help='only write report.html anew, from what is in OUT')
    parser.add_argument('--check', action='store_true', help='check everything, say what would be trained, and end')


def run(arguments: argparse.Namespace) -> int:
    """Trains; 130 when it was interrupted and saved, 3 when --check found something to look at."""
    from mode_ros.errors import UserError

    if arguments.report:
        from mode_ros.training.training_report import write_report

        print(f'Written: {write_report(arguments.output)}')
        return 0
    if arguments.config is None:
        raise UserError('There is no training file to train by: give one, such as small, or --report.')

    from mode_ros.training.train import LOOK_AT, find_config, train

    path = find_config(arguments.config)
    stopped = train(
        path, arguments.changes, arguments.output, arguments.resume, arguments.device == 'cpu', arguments.check
    )
    if stopped == LOOK_AT:
        return SUSPICIOUS
    if stopped:
        print(stopped, file=sys.stderr)
        return 130
    return 0
