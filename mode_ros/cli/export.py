"""Copy a policy with its weights in bfloat16: half the size, for a robot or to be passed on.

What a training keeps beside the policy for going on is left behind; its settings and its card come along. --steps and
--solver say how the copy samples where nobody says otherwise.
With --runtime onnxruntime there is no copy: the policy's static graph is put beside it, for a machine without torch,
and, of a policy that hears goals by CLIP, the embeddings of its sentences.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

HELP = 'copy a policy with its weights in half the bytes'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument('checkpoint', metavar='SRC', help='checkpoint folder')
    parser.add_argument('output', metavar='DST', nargs='?', type=Path, help='checkpoint folder to write')
    parser.add_argument('--weights', choices=('bfloat16', 'float32'), help='default: bfloat16')
    parser.add_argument(
        '--runtime', choices=('onnxruntime',), help='make the static graph inside SRC; OpenVINO runs the same one'
    )
    parser.add_argument(
        '--steps', type=int, help="denoising steps of the copy, or the graph (default: the checkpoint's)"
    )
    parser.add_argument(
        '--goals', nargs='+', default=[], metavar='SENTENCE', help="with --runtime, beside the policy's own, for CLIP"
    )
    parser.add_argument('--solver', choices=('ddim', 'dpmpp_2m'), help="its solver (default: the checkpoint's)")


def run(arguments: argparse.Namespace) -> int:
    """Writes the copy or the graph, and says how large it is."""
    from mode_ros.errors import UserError

    if arguments.runtime:
        if arguments.output is not None or arguments.weights:
            raise UserError('--runtime puts a graph beside SRC and copies nothing: leave DST and --weights out.')
        return _graph(arguments)
    if arguments.output is None:
        raise UserError('Give the folder to write the copy to, or --runtime onnxruntime for the static graph.')
    if arguments.goals:
        raise UserError('--goals is of a static graph: give --runtime onnxruntime as well.')
    from dataclasses import replace

    import torch

    from mode_ros.policy.checkpoint import load_checkpoint, save_checkpoint
    from mode_ros.policy.folder import WEIGHTS
    from mode_ros.policy.runtimes.interface import with_sampling

    weights = arguments.weights or 'bfloat16'
    source, output = Path(arguments.checkpoint), arguments.output
    if output.resolve() == source.resolve():
        raise UserError(f'{output} is the checkpoint itself: give another folder to write to.')
    info, network = load_checkpoint(source, dtype=getattr(torch, weights))
    info = replace(info, config=with_sampling(info.config, arguments.steps, arguments.solver))
    save_checkpoint(output, info, network)
    for name in ('training.yaml', 'README.md'):
        if (source / name).is_file():
            shutil.copyfile(source / name, output / name)
    size = (output / WEIGHTS).stat().st_size / 1e6
    print(f'{output}: {size:.1f} MB of weights in {weights}, after {info.trained_steps} steps of training.')
    return 0


def _graph(arguments: argparse.Namespace) -> int:
    from mode_ros.policy.runtimes.export import embed_goals, export_graph
    from mode_ros.policy.runtimes.graph_file import GRAPH

    graph = export_graph(arguments.checkpoint, arguments.steps, arguments.solver) / GRAPH
    print(f'{graph}: {graph.stat().st_size / 1e6:.1f} MB, the whole chunk in float32.')
    if sentences := embed_goals(arguments.checkpoint, arguments.goals):
        print(f'{sentences} sentences embedded ahead: without CLIP the policy understands these alone.')
    return 0
