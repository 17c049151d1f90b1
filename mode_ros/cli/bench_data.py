"""Measure the way from a robot's messages to training on this machine.

Each benchmark prints a table, and with --json FILE the same numbers for a program. Exit status 0 when the project's aim
was reached, 3 when it was not.
"""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

HELP = 'measure recording, conversion and loading on this machine'
NOT_REACHED = 3

# Option to module in mode_ros.bench_data.
BENCHMARKS = {'record': 'record', 'convert': 'convert', 'load': 'load', 'many': 'many', 'video': 'video'}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the numbers here, too')
    which = parser.add_mutually_exclusive_group(required=True)
    for name, module_name in BENCHMARKS.items():
        module = importlib.import_module(f'mode_ros.bench_data.{module_name}')
        which.add_argument(f'--{name}', dest='benchmark', action='store_const', const=name, help=module.HELP)
        module.add_arguments(parser.add_argument_group(f'with --{name}'))


def run(arguments: argparse.Namespace) -> int:
    """Runs one benchmark."""
    from mode_ros.bench_data.outcome import machine
    from mode_ros.errors import UserError

    if arguments.json is not None and not arguments.json.absolute().parent.is_dir():
        raise UserError(f'--json {arguments.json}: its folder is not there; make it, or name another file.')
    about = machine()
    module = importlib.import_module(f'mode_ros.bench_data.{BENCHMARKS[arguments.benchmark]}')
    outcome = module.measure(arguments)
    rows = [*outcome.rows, ('machine', ', '.join(f'{key} {value}' for key, value in about.items()))]
    width = max(len(label) for label, _ in rows)
    print('\n'.join(f'{label:<{width}}  {text}' for label, text in rows))
    if arguments.json is not None:
        numbers = {'benchmark': arguments.benchmark, 'reached': outcome.reached, **outcome.numbers, 'machine': about}
        arguments.json.write_text(json.dumps(numbers, indent=2) + '\n')
    return 0 if outcome.reached else NOT_REACHED
