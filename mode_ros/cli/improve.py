"""Let a policy try, correct it where it strays, train on the corrections, and score it: round after round.

    mode_ros improve OUT --policy CHECKPOINT --data DATASET --tasks metaworld-10 --rounds 3 --control

Each step is one of the verbs record-sim, convert, train and evaluate, which are printed as they are run. Run it again
after an interruption: what is finished stays. OUT/improve.md has success per round against minutes of correcting, and
with --control against as many minutes of new demonstrations. The tasks of a suite that have no expert are left out,
which is said before the first round. Exit status: 0 when all is done, 3 when tasks were left out, 1 after an error, 130
on Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HELP = 'rounds of attempts, corrections and training in simulation'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument('folder', type=Path, help='gets a folder per round')
    parser.add_argument('--policy', type=Path, required=True, metavar='CHECKPOINT', help='of round 0')
    parser.add_argument('--data', type=Path, required=True, metavar='DATASET', help='that it was trained on')
    parser.add_argument(
        '--tasks', default='metaworld-demo', help='a suite, or tasks with commas (default: metaworld-demo)'
    )
    parser.add_argument('--rounds', type=int, default=3, help='default 3')
    parser.add_argument('--attempts', type=int, default=10, help='per task and round (default 10)')
    parser.add_argument('--steps', type=int, default=1000, help='of each training (default 1000)')
    parser.add_argument(
        '--set', nargs='+', default=[], metavar='KEY=VALUE', help="of every training, in the policy's own settings"
    )
    parser.add_argument('--share', type=float, default=0.5, help='of the samples from the new data (default 0.5)')
    parser.add_argument('--rollouts', type=int, default=50, help='per task and evaluation (default 50)')
    parser.add_argument('--latency', type=float, default=0.1, help='s, of the evaluations (default 0.1)')
    parser.add_argument('--control', action='store_true', help='also as many minutes of new demonstrations instead')
    parser.add_argument('--jobs', type=int, default=1, help='processes of recordings and evaluations (default 1)')


def run(arguments: argparse.Namespace) -> int:
    """Runs the rounds and prints the table."""
    from mode_ros.attempts.improve import LEFT_OUT, Improvement, improve
    from mode_ros.record_sim.choice import choose_tasks

    agreed = Improvement(
        str(arguments.policy.absolute()),
        str(arguments.data.absolute()),
        ','.join(dict.fromkeys(name.strip() for name in arguments.tasks.split(',') if name.strip())),
        arguments.attempts,
        arguments.rollouts,
        arguments.steps,
        tuple(arguments.set),
        arguments.share,
        arguments.latency,
    )
    try:
        print(improve(arguments.folder, agreed, arguments.rounds, arguments.control, arguments.jobs))
    except KeyboardInterrupt:
        print('\nStopped. What is finished is kept: type the same command again to go on.', file=sys.stderr)
        raise
    return LEFT_OUT if choose_tasks(agreed.tasks.split(',')).left_out else 0
