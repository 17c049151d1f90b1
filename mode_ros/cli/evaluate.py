"""Run a checkpoint on simulated tasks, episode after episode, and say how often it succeeds.

Each episode runs in simulated time with the controller and the policy of the robot. Run it again after an interruption:
what is finished stays and is not counted twice. OUT gets results.json, report.html, episodes.jsonl and videos of
failures. With --compare, two results are compared instead: mode_ros evaluate --compare A/results.json B/results.json
Exit status: 0 when all episodes were run, 1 after an error, 130 on Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mode_ros.policy.runtimes.names import RUNTIMES

# As mode_ros.control.execution and mode_ros.policy.continuation have them, which take a second to import.
MODES = ('synchronous', 'receding', 'ensemble', 'realtime', 'naive')
CONTINUATIONS = ('none', 'hard', 'soft', 'guided', 'trained', 'rejoin')

HELP = 'score a checkpoint on simulated tasks, or compare two scores'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument('checkpoint', nargs='?', type=Path, help='checkpoint folder')
    parser.add_argument('--output', type=Path, metavar='OUT', help='folder (default: evaluation_SUITE)')
    parser.add_argument('--compare', nargs=2, type=Path, metavar='RESULTS', help='two results, instead')
    parser.add_argument(
        '--grid', type=Path, metavar='FILE', help='every delay and way of execution in FILE, such as delays.yaml'
    )
    what = parser.add_argument_group('which episodes')
    what.add_argument('--suite', default='metaworld-demo', help='tasks (default metaworld-demo)')
    what.add_argument('--tasks', nargs='+', default=[], metavar='TASK', help="instead of all of the suite's")
    what.add_argument('--rollouts', type=int, help='per task (default: Meta-World 50, LIBERO 20, CALVIN 1000 chains)')
    what.add_argument('--seeds', nargs='+', default=[], help='initial states, such as 0-49 or 3 5 7, instead')
    what.add_argument(
        '--goals', default='trained', choices=('trained', 'held-out', 'contrary'), help='sentences (default trained)'
    )
    what.add_argument('--calvin-data', type=Path, metavar='FOLDER', help='a CALVIN data set, for the suite calvin')
    shift = parser.add_argument_group('what is made harder')
    shift.add_argument(
        '--perturb', choices=('language', 'object', 'position', 'task'), help="LIBERO-PRO's, for LIBERO's suites"
    )
    shift.add_argument('--image-noise', type=float, default=0.0, help='standard deviation, in grey levels of 255')
    shift.add_argument('--state-noise', type=float, default=0.0, help="standard deviation, in the state's unit")
    shift.add_argument('--drop-frames', type=float, default=0.0, help='probability that a camera repeats its picture')
    shift.add_argument('--latency', type=float, help='s from a request to its chunk (default: measured)')
    shift.add_argument('--delay', help='control periods instead, such as 4, or 2-6: drawn for each chunk')
    how = parser.add_argument_group('how the policy runs')
    how.add_argument('--execution', default='synchronous', choices=MODES, help='of chunks (default synchronous)')
    how.add_argument(
        '--actions',
        type=int,
        default=0,
        help='of a chunk before the next is asked for, in receding, realtime and naive (default: all)',
    )
    how.add_argument('--continuation', choices=CONTINUATIONS, help="of decided actions (default: the checkpoint's)")
    how.add_argument('--number-format', default='float32', choices=('float32', 'bfloat16', 'int8'))
    how.add_argument('--runtime', default='torch', choices=RUNTIMES, help='default torch')
    how.add_argument('--solver', choices=('ddim', 'dpmpp_2m'), help="default: the checkpoint's")
    how.add_argument('--steps', type=int, help="denoising steps per chunk (default: the checkpoint's)")
    how.add_argument('--device', default='auto', help='auto, cpu, cuda or cuda:N')
    how.add_argument('--jobs', type=int, default=1, help='processes (default 1)')
    how.add_argument('--threads', type=int, help="CPU threads per process (default: torch's choice, 1 with --jobs)")
    how.add_argument('--videos', type=int, default=1, help='films of failures per task (default 1)')
    how.add_argument('--through-ros', action='store_true', help='through the nodes, as processes, in real time')


def run(arguments: argparse.Namespace) -> int:
    """Evaluates and prints the table, or compares."""
    from mode_ros.errors import UserError

    if arguments.compare:
        if besides := _typed(arguments) - {'compare'}:
            words = sorted(f'--{name.replace("_", "-")}' for name in besides - {'checkpoint'})
            words += [str(arguments.checkpoint)] if 'checkpoint' in besides else []
            raise UserError(f'--compare takes two results and runs nothing: leave out {", ".join(words)}.')
        from mode_ros.evaluation.compare import compare
        from mode_ros.evaluation.results import read_results

        print(compare(*(read_results(path) for path in arguments.compare)))
        return 0
    if arguments.checkpoint is None:
        raise UserError('No checkpoint is given: name its folder, or two results after --compare.')
    from mode_ros.evaluation.report import PAGE
    from mode_ros.evaluation.results import motion_line, table
    from mode_ros.evaluation.run import evaluate
    from mode_ros.evaluation.settings import make_settings, parse_seeds

    given = {
        name: value for name, value in vars(arguments).items() if name not in ('compare', 'grid', 'run', 'command_line')
    }
    given['seeds'] = parse_seeds(arguments.seeds)
    given['tasks'] = [name for text in arguments.tasks for name in text.split(',') if name]
    given['output'] = arguments.output or Path(f'evaluation_{arguments.suite}')
    if arguments.grid is not None:
        return _run_grid(arguments, given)
    settings = make_settings(**given)
    try:
        results = evaluate(settings)
    except KeyboardInterrupt:
        print('\nStopped. What is finished is kept: type the same command again to go on.', file=sys.stderr)
        raise
    print(f'\n{table(results)}\n\n{motion_line(results)}\n{results["intervals"]}\nSee {settings.output / PAGE}')
    return 0


def _run_grid(arguments: argparse.Namespace, given: dict[str, object]) -> int:
    """Options that were not given are left to the grid file."""
    from mode_ros.errors import UserError
    from mode_ros.evaluation.grid import run_grid
    from mode_ros.evaluation.run import evaluate
    from mode_ros.paths import share_folder

    typed = _typed(arguments)
    if 'delay' in typed:
        raise UserError(f'--delay {arguments.delay}: a grid has delays of its own; leave it out, or write it there.')
    options = {name: value for name, value in given.items() if name in typed and name != 'output'}
    path = arguments.grid
    if not path.exists() and path.name == str(path):
        path = share_folder() / 'config' / 'evaluate' / path.name
    print(run_grid(path, options, arguments.output or Path('evaluation_grid'), evaluate))
    return 0


def _typed(arguments: argparse.Namespace) -> set[str]:
    """The names of what was typed, also where it is what would be taken without it."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    untouched = object()
    there = argparse.Namespace(**dict.fromkeys(vars(arguments), untouched))
    found = vars(parser.parse_args(arguments.command_line[1:], there))
    # None: the checkpoint's place, which is looked at where nothing stands there, too.
    return {name for name, value in found.items() if value is not untouched and value is not None}
