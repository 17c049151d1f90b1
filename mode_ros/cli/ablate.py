"""Compare variants of a training: mode_ros ablate config/train/ablation.yaml --output runs/ablation writes a table.

Trains each variant with each seed and writes OUT/ablation.md and ablation.json: the validation error with its spread
over the seeds, weights, operations and latency of a chunk. With --evaluate SUITE every policy is then run in
simulation, and the table says how often each variant succeeds. What is finished is kept: type the same command again to
go on after an interruption. Exit status: 0 when done, 1 after an error, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

HELP = 'train variants with several seeds and compare them'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument('grid', type=Path, help='YAML with base, variants and seeds, as config/train/ablation.yaml')
    parser.add_argument('changes', nargs='*', metavar='KEY=VALUE', help='for every variant: run.steps=1000')
    parser.add_argument('--output', required=True, metavar='OUT', type=Path, help='folder for everything it writes')
    parser.add_argument(
        '--jobs', type=int, default=1, help='trainings or evaluations at once, each on one core (default: 1)'
    )
    parser.add_argument('--device', default='auto', choices=('auto', 'cpu'), help='auto: the GPU where there is one')
    closed = parser.add_argument_group('how often the policies succeed, as mode_ros evaluate tells it')
    closed.add_argument('--evaluate', metavar='SUITE', help='run the trained policies on these tasks: metaworld-demo')
    closed.add_argument(
        '--tasks', help="with commas, instead of all of the suite's: also others of its benchmark (peg-insert-side)"
    )
    closed.add_argument('--rollouts', type=int, help="per task and policy (default: the suite's)")
    closed.add_argument('--latency', type=float, help='s from a request to its chunk (default: measured for each)')


def run(arguments: argparse.Namespace) -> int:
    """Trains and evaluates what is not finished, and prints the table; 130 when it was interrupted."""
    from mode_ros.errors import UserError
    from mode_ros.training.ablation import ClosedLoop, ablate

    if arguments.jobs < 1:
        raise UserError(f'--jobs {arguments.jobs} is too small; give 1 or more.')
    closed_loop: ClosedLoop | None = None
    if arguments.evaluate is not None:
        from mode_ros.evaluation.pooled import check_options, evaluate_groups

        options = {
            'suite': arguments.evaluate,
            'tasks': tuple(name for name in (arguments.tasks or '').split(',') if name),
            'rollouts': arguments.rollouts,
            'latency': arguments.latency,
            'device': arguments.device,
            'jobs': arguments.jobs,
            'videos': 0,
        }
        check_options(options)
        closed_loop = partial(evaluate_groups, options=options)
    elif any(given is not None for given in (arguments.tasks, arguments.rollouts, arguments.latency)):
        raise UserError(
            '--tasks, --rollouts and --latency are for the policies in simulation; name a suite with --evaluate.'
        )
    cpu = arguments.device == 'cpu'
    text, stopped = ablate(arguments.grid, arguments.changes, arguments.output, arguments.jobs, cpu, closed_loop)
    if stopped:
        print(stopped, file=sys.stderr)
        return 130
    print(text)
    return 0
