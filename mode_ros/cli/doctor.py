"""Look for what is wrong. Without an argument: at this installation; what to type stands below what is wrong.

With arguments: what is suspicious about data sets, recordings, checkpoints or contracts, a page each. Nothing is
changed. Exit status: 0 when nothing was found, 3 when something should be looked at, 1 after an error or when the
installation must be mended.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

HELP = 'what is wrong with this installation, or suspicious about data, a checkpoint, a contract'
SUSPICIOUS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument('targets', nargs='*', metavar='TARGET', help='data set, bags, checkpoint, or contract')
    parser.add_argument('--contract', default='', help='robot contract of data that carry none')


def run(arguments: argparse.Namespace) -> int:
    """Prints a page for each target, or the installation's table."""
    if arguments.targets:
        return _examine(arguments.targets, arguments.contract)
    return _installation()


def _installation() -> int:
    """1 if something is wrong."""
    from mode_ros.checks.installation import WRONG, examine, table
    from mode_ros.checks.machine import here

    lines = examine(here(lambda text: print(text, flush=True)))
    print(table(lines))
    wrong = [line.what for line in lines if line.level == WRONG]
    print(f'\nTo be mended: {", ".join(wrong)}.' if wrong else '\nReady.')
    return 1 if wrong else 0


def _examine(targets: Sequence[str], contract: str) -> int:
    """3 if something is suspicious."""
    from mode_ros.doctor.examine import examine

    pages = [examine(target, contract) for target in targets]
    print('\n\n'.join(page.text() for page in pages))
    return SUSPICIOUS if any(page.findings for page in pages) else 0
