"""Measure what the operator's page costs beside a controller, and how fresh what it shows is.

Two cameras of 640x480 at 30 Hz and controller_node at 50 Hz on a fake arm, as processes, in a DDS domain of their own:
first without the page, then with one viewer, with a slow one, and with ten. Exit status 0 when everything is reached
(the page under 25 % of a core, the control period's p99 not over 1 ms longer, 10 pictures a second and more of each
camera, 95 % of them at most 200 ms old, also at a slow viewer), else 3.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mode_ros.errors import UserError

HELP = "measure the page's load and the age of its pictures"
NOT_REACHED = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument('--seconds', type=float, default=20.0, help='of each of the four parts (default 20)')
    parser.add_argument(
        '--transport',
        choices=('large', 'default'),
        default='large',
        help="shared memory of the cameras: config/fastdds.xml, or Fast DDS's own (default: large)",
    )
    parser.add_argument('--output', type=Path, default=Path('bench_page'), help='folder (default bench_page)')


def run(arguments: argparse.Namespace) -> int:
    """Measures, prints and writes."""
    if not 4 <= arguments.seconds <= 600:
        raise UserError(f'--seconds {arguments.seconds:g} is out of range; give 4 to 600.')
    from mode_ros.bench_data.outcome import machine
    from mode_ros.bench_page.measure import measure, missed, write

    about = machine()
    found = measure(arguments.output, arguments.seconds, arguments.transport == 'large')
    write(arguments.output, found, about)
    for words in missed(found):
        print(f'missed: {words}')
    return NOT_REACHED if missed(found) else 0
