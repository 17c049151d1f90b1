"""Copy a policy with its weights in bfloat16: half the size, for a robot or to be passed on.

What a training keeps beside the policy for going on is left behind; its settings and its card come along.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

HELP = 'copy a policy with its weights in half the bytes'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument('checkpoint', metavar='SRC', help='checkpoint folder')
    parser.add_argument('output', metavar='DST', type=Path, help='checkpoint folder to write')
    parser.add_argument('--weights', default='bfloat16', choices=('bfloat16', 'float32'), help='default: bfloat16')


def run(arguments: argparse.Namespace) -> int:
    """Writes the copy and says how large it is."""
    import torch

    from mode_ros.errors import UserError
    from mode_ros.policy.checkpoint import load_checkpoint, save_checkpoint
    from mode_ros.policy.folder import WEIGHTS

    source, output = Path(arguments.checkpoint), arguments.output
    if output.resolve() == source.resolve():
        raise UserError(f'{output} is the checkpoint itself: give another folder to write to.')
    info, network = load_checkpoint(source, dtype=getattr(torch, arguments.weights))
    save_checkpoint(output, info, network)
    for name in ('training.yaml', 'README.md'):
        if (source / name).is_file():
            shutil.copyfile(source / name, output / name)
    size = (output / WEIGHTS).stat().st_size / 1e6
    print(f'{output}: {size:.1f} MB of weights in {arguments.weights}, after {info.trained_steps} steps of training.')
    return 0
