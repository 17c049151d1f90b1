"""Measure what every fault does to a moving arm: a fake arm, the real controller_node, DDS in a domain of its own.

Each fault is injected a number of times while the arm moves. Told are the control periods to the first stopping command
and to rest, the largest excess over any limit of the contract, the cause that the controller names and what releases
it. What is finished is kept in --output, and typed again the command goes on. With --policy the real policy_node drives
an arm of the checkpoint's contract, among cameras that show noise, and its own faults are injected. Exit status 0 when
everything is as stated, 3 when it is not.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mode_ros.errors import UserError

if TYPE_CHECKING:
    from mode_ros.bench_safety.faults.fault import Fault

HELP = 'measure how soon a moving arm stops after each kind of fault'
NOT_AS_STATED = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument('--faults', metavar='A,B', help="some of the faults, by their rows' names (default: all)")
    parser.add_argument('--tries', type=int, default=20, help='of each fault (default 20)')
    parser.add_argument('--output', type=Path, default=Path('bench_safety'), help='folder (default bench_safety)')
    parser.add_argument('--policy', type=Path, metavar='CHECKPOINT', help="policy_node's faults, with this checkpoint")
    parser.add_argument('--list', action='store_true', help='name the faults and end')


def run(arguments: argparse.Namespace) -> int:
    """Measures, prints and writes."""
    from mode_ros.bench_data.outcome import machine
    from mode_ros.bench_safety import report
    from mode_ros.bench_safety.faults import find
    from mode_ros.bench_safety.run import run as run_tries

    names = [name.strip() for name in (arguments.faults or '').split(',') if name.strip()]
    faults = find(names) if arguments.policy is None else find(names, _policy_faults(arguments.policy))
    if arguments.list:
        print('\n'.join(f'{fault.name:<40} {fault.description}' for fault in faults))
        return 0
    if not 1 <= arguments.tries <= 1000:
        raise UserError(f'--tries {arguments.tries} is out of range; give 1 to 1000.')
    about = machine()
    if arguments.policy is not None:
        from mode_ros.policy.runtimes.choose import RunSettings, make_graph_where_it_serves

        make_graph_where_it_serves(arguments.policy, RunSettings('cpu'))
    rows = run_tries(faults, arguments.tries, arguments.output, checkpoint=arguments.policy)
    print(report.write(arguments.output, rows, about))
    return 0 if all(row.reached for row in rows) else NOT_AS_STATED


def _policy_faults(checkpoint: Path) -> tuple[Fault, ...]:
    from mode_ros.bench_safety.contracts import OWN, bench_contract
    from mode_ros.bench_safety.faults.policy_process import policy_faults
    from mode_ros.policy.checkpoint_info import read_info

    info, contract = read_info(checkpoint), bench_contract(OWN, checkpoint)
    ages = [camera.max_age for camera in contract.observation.cameras]
    return policy_faults(info.config.denoiser.chunk_length, contract.rate, max(ages, default=0.0))
