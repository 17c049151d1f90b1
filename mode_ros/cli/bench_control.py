"""Measure how evenly controller_node moves a fake arm while a policy thinks: real processes, DDS in an own domain.

Every time of thinking with every length of chunks: the share of control periods that the arm waits for a chunk, delays,
where chunks meet, the control period. With --beside, 50 Hz for a minute beside inference that fills every core. Exit
status 0 when everything is reached (held under 2 %; p99 within 3 ms of the period and none over 30 ms), else 3.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mode_ros.errors import UserError

# As mode_ros.control.execution has them, which takes a second to import.
MODES = ('synchronous', 'receding', 'ensemble', 'realtime', 'naive')

HELP = 'measure waiting, delays, seams and control periods on a fake arm'
NOT_REACHED = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument('--thinking', type=int, nargs='+', default=[84, 150, 300], metavar='MS', help='per chunk, ms')
    parser.add_argument('--lengths', type=int, nargs='+', default=[10, 16, 20], metavar='N', help='actions of a chunk')
    parser.add_argument('--execution', default='realtime', choices=MODES, help='of chunks (default realtime)')
    parser.add_argument('--seconds', type=float, help='of each (default 12, and 60 with --beside)')
    parser.add_argument('--beside', action='store_true', help='instead: 50 Hz beside inference on every core')
    parser.add_argument(
        '--priority',
        type=int,
        default=0,
        metavar='N',
        help='SCHED_FIFO priority of controller_node, 1 to 99 (default: none)',
    )
    parser.add_argument('--output', type=Path, default=Path('bench_control'), help='folder (default bench_control)')


def run(arguments: argparse.Namespace) -> int:
    """Measures, prints and writes."""
    from mode_ros.bench_data.outcome import machine
    from mode_ros.bench_safety import motion

    seconds = arguments.seconds or (60.0 if arguments.beside else 12.0)
    for name, values, least, most in (
        ('thinking', arguments.thinking, 0, 5000),
        ('lengths', arguments.lengths, 2, 256),
        ('seconds', [seconds], 2, 600),
        ('priority', [arguments.priority], 0, 99),
    ):
        for value in values:
            if not least <= value <= most:
                raise UserError(f'--{name} {value:g} is out of range; give {least} to {most}.')
    thinking = [value / 1000 for value in arguments.thinking]
    cells = motion.grid(arguments.execution, thinking, arguments.lengths, seconds, arguments.priority)
    arguments.output.mkdir(parents=True, exist_ok=True)
    about = machine()
    if arguments.beside:
        cells = [motion.steady(arguments.execution, seconds, arguments.priority)]
    found = motion.measure(cells, arguments.output)
    print(motion.write(arguments.output, found, about))
    return 0 if all(one.reached for one in found) else NOT_REACHED
