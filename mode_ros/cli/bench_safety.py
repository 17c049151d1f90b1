"""Measure what every fault does to a moving arm: a fake arm, the real controller_node, DDS in a domain of its own.

Each fault is injected a number of times while the arm moves. Told are the control periods to the first stopping command
and to rest, the largest excess over any limit of the contract, the cause that the controller names and what releases
it. What is finished is kept in --output, and typed again the command goes on. Exit status 0 when everything is as
stated, 3 when it is not.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mode_ros.errors import UserError

HELP = 'measure how soon a moving arm stops after each kind of fault'
NOT_AS_STATED = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument('--faults', metavar='A,B', help="some of the faults, by their rows' names (default: all)")
    parser.add_argument('--tries', type=int, default=20, help='of each fault (default 20)')
    parser.add_argument('--output', type=Path, default=Path('bench_safety'), help='folder (default bench_safety)')
    parser.add_argument('--list', action='store_true', help='name the faults and end')


def run(arguments: argparse.Namespace) -> int:
    """Measures, prints and writes."""
    from mode_ros.bench_data.outcome import machine
    from mode_ros.bench_safety import report
    from mode_ros.bench_safety.faults import find
    from mode_ros.bench_safety.run import run as run_tries

    faults = find([name.strip() for name in (arguments.faults or '').split(',') if name.strip()])
    if arguments.list:
        print('\n'.join(f'{fault.name:<40} {fault.description}' for fault in faults))
        return 0
    if not 1 <= arguments.tries <= 1000:
        raise UserError(f'--tries {arguments.tries} is out of range; give 1 to 1000.')
    about = machine()
    rows = run_tries(faults, arguments.tries, arguments.output)
    print(report.write(arguments.output, rows, about))
    return 0 if all(row.reached for row in rows) else NOT_AS_STATED
