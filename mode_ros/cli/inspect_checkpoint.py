"""Look inside a checkpoint: mode_ros inspect runs/drawers/policy --html drawers.html shows its experts.

Which experts run at which noise level, how sure the routers are, how alike the experts are, and findings where
something is wrong: experts or routers that collapsed, an unbalanced load, routing that ignores the noise level.
--compare puts a second checkpoint beside it, two --dataset put two data sets side by side. Exit status: 0 when
inspected, whatever was found, 1 after an error.
"""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = 'look at the experts and the routing of a checkpoint'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument(
        'checkpoint',
        type=Path,
        nargs='+',
        help='checkpoint folder; of several, such as seeds, also what they have together',
    )
    parser.add_argument('--compare', type=Path, metavar='OTHER', help='a second checkpoint, beside the first')
    parser.add_argument(
        '--dataset', type=Path, action='append', default=[], help='route its moments (default: random); may be repeated'
    )
    parser.add_argument('--json', type=Path, metavar='FILE', help='write every number')
    parser.add_argument('--html', type=Path, metavar='FILE', help='write a page of pictures')


def run(arguments: argparse.Namespace) -> int:
    """Inspects, prints, and writes what was asked for."""
    import json

    from mode_ros.errors import UserError, in_words
    from mode_ros.training.inspection.inspect import describe, inspect_all
    from mode_ros.training.inspection.pages import inspection_page

    checkpoints = [*arguments.checkpoint, *([arguments.compare] if arguments.compare else [])]
    sides = inspect_all(checkpoints, arguments.dataset)
    print(describe(sides))
    try:
        if arguments.json:
            arguments.json.write_text(json.dumps([side.to_values() for side in sides]) + '\n', encoding='utf-8')
        if arguments.html:
            arguments.html.write_text(inspection_page(sides), encoding='utf-8')
    except OSError as error:
        raise UserError(f'The inspection cannot be written: {in_words(error)}.') from error
    return 0
