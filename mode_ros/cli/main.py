"""`mode_ros VERB …`: finds the verb's module, and turns a user's mistakes into one sentence.

A verb is a module in this package with HELP (one line), add_arguments(parser) and run(arguments) -> exit status. It
imports what is heavy inside run, so that `mode_ros --help` answers at once.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import TextIO

from mode_ros.errors import UserError
from mode_ros.with_parent import end_with_parent

# Verb to module, in the order of the help text.
VERBS = {
    'demo': 'demo',
    'init': 'init',
    'check': 'check',
    'contract': 'contract',
    'doctor': 'doctor',
    'page': 'page',
    'record-sim': 'record_sim',
    'convert': 'convert',
    'episodes': 'episodes',
    'edit': 'edit',
    'view': 'view',
    'replay': 'replay',
    'train': 'train',
    'evaluate': 'evaluate',
    'words': 'words',
    'inspect': 'inspect_checkpoint',
    'export': 'export',
    'ablate': 'ablate',
    'improve': 'improve',
    'bench-data': 'bench_data',
    'bench-safety': 'bench_safety',
    'bench-control': 'bench_control',
    'bench-page': 'bench_page',
    'import-checkpoint': 'import_checkpoint',
    'bench': 'bench',
}


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command."""
    parser = argparse.ArgumentParser(prog='mode_ros', description='Teach a manipulator by showing it.')
    verbs = parser.add_subparsers(metavar='VERB', required=True)
    for name, module_name in VERBS.items():
        module = importlib.import_module(f'mode_ros.cli.{module_name}')
        verb = verbs.add_parser(
            name, help=module.HELP, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.add_arguments(verb)
        verb.set_defaults(run=module.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the command; exits 0 when done, 1 after an error, 2 for a wrong command line, 128 + the signal's
    number when interrupted.
    """
    end_with_parent()
    parsed = _parse(arguments)
    calm_progress_bars(sys.stderr)
    for number in (signal.SIGTERM, signal.SIGHUP):
        # As on Ctrl-C, what was started is ended and what was written is closed.
        signal.signal(number, _end)
    try:
        sys.exit(parsed.run(parsed))
    except UserError as error:
        print(f'mode_ros: {error}', file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Argparse alone takes KEY=VALUE only before the options; people write them behind as well."""
    parser = build_parser()
    parsed, rest = parser.parse_known_args(arguments)
    if rest and hasattr(parsed, 'changes') and all('=' in word and not word.startswith('-') for word in rest):
        parsed.changes = [*parsed.changes, *rest]
    elif rest:
        parser.error(f'unrecognized arguments: {" ".join(rest)}')
    parsed.command_line = tuple(sys.argv[1:] if arguments is None else arguments)
    return parsed


def calm_progress_bars(stream: TextIO) -> None:
    """Where progress goes into a file, a line every ten seconds is enough. To be called before tqdm is imported."""
    if not stream.isatty():
        os.environ.setdefault('TQDM_MININTERVAL', '10')


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == '__main__':
    main()
