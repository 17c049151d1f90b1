"""Measure how long a chunk takes and what memory it needs: this project's path in each number format, the published way
with its fused copies, the mixture without a cache and a dense transformer of the same size.

The variants run in processes of their own and take turns, so that drift cancels; each ratio is the median over rounds.
--scaling measures how the cost grows with steps, layers, width, experts and cameras; --solvers compares solvers and
step counts with 200 steps on a checkpoint; --continuation compares the ways to go on from a plan on recorded moments;
--runtimes compares torch with the static graph, end to end, and what each does to a control loop beside it; --node runs
policy_node itself with a robot's streams, with the graph and with torch: its memory, its start, its chunks;
--training compares a training step with that of a dense transformer of as many active numbers; --card measures a GPU
in one process, a part at a time.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mode_ros.errors import UserError

if TYPE_CHECKING:
    from mode_ros.bench.continuation import ReadMoments
    from mode_ros.bench.run import OpenMoments, ReadInputs
    from mode_ros.policy.checkpoint import CheckpointInfo
    from mode_ros.policy.network import PolicyNetwork

HELP = 'measure latency, memory and accuracy'

# soft and trained, float32 with a plan to continue, are measured when they are named.
CARD_PARTS = ('chunks', 'images', 'training')
WITH_A_PLAN = ('soft', 'trained')
VARIANTS = ('fused copies', 'mixture', 'dense', 'float32', 'bfloat16', 'int8')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument('--configuration', choices=('small', 'large'), default='small', help='default small')
    parser.add_argument('--layers', type=int, help="instead of the configuration's")
    parser.add_argument(
        '--variants',
        nargs='+',
        choices=(*VARIANTS, *WITH_A_PLAN),
        help='the first is the reference (default all that the device has, without a plan)',
    )
    parser.add_argument('--batches', nargs='+', type=int, help='batch sizes (default 1 8)')
    parser.add_argument('--rounds', type=int, default=10, help='chunks per variant (default 10)')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument('--threads', type=int, default=2, help='CPU threads (default 2)')
    parser.add_argument('--output', type=Path, default=Path('bench_output'), help='folder (default bench_output)')
    parser.add_argument('--scaling', action='store_true', help='how cost grows with the sizes, instead')
    parser.add_argument('--training', action='store_true', help='training steps (default batch 64), instead')
    parser.add_argument('--solvers', type=Path, metavar='CHECKPOINT', help='solvers and step counts, instead')
    parser.add_argument('--runtimes', type=Path, metavar='CHECKPOINT', help='torch and the static graph, instead')
    parser.add_argument('--node', type=Path, metavar='CHECKPOINT', help='policy_node as a process, instead')
    parser.add_argument('--card', nargs='+', choices=CARD_PARTS, help='all ways in one process, for a GPU, instead')
    parser.add_argument('--training-batches', nargs='+', type=int, default=[64], help='of --card (default 64)')
    parser.add_argument('--policy', type=Path, metavar='CHECKPOINT', help='for --card images: a trained policy, too')
    parser.add_argument('--continuation', type=Path, metavar='CHECKPOINT', help='ways to continue a plan, instead')
    parser.add_argument(
        '--dataset', type=Path, help='moments of it: for --continuation, and for --solvers instead of random ones'
    )


def run(arguments: argparse.Namespace) -> int:
    """Measures, prints and writes."""
    if arguments.node:
        return _node(arguments.node, arguments.rounds, arguments.output)
    from mode_ros.bench.run import (
        BenchSettings,
        on_device,
        run_card,
        run_comparison,
        run_continuations,
        run_runtimes,
        run_scaling,
        run_solvers,
        run_training,
    )

    settings = BenchSettings(
        configuration=arguments.configuration,
        layers=arguments.layers,
        variants=tuple(arguments.variants or on_device(VARIANTS, arguments.device)),
        batches=tuple(arguments.batches or ([64] if arguments.training else [1, 8])),
        rounds=arguments.rounds,
        device=arguments.device,
        threads=arguments.threads,
        output=arguments.output,
    )
    if arguments.dataset and not (arguments.solvers or arguments.continuation):
        raise UserError(
            '--dataset gives the observations for --solvers CHECKPOINT or --continuation CHECKPOINT, and both are '
            'missing.'
        )
    if arguments.policy and 'images' not in (arguments.card or ()):
        raise UserError('--policy is measured by --card images, and that is missing.')
    if arguments.continuation and not arguments.dataset:
        raise UserError('--continuation compares on recorded moments: name a data set with --dataset.')
    if arguments.continuation:
        run_continuations(arguments.continuation, settings, _seams(arguments.dataset))
    elif arguments.runtimes:
        run_runtimes(arguments.runtimes, settings, arguments.threads)
    elif arguments.solvers:
        run_solvers(arguments.solvers, settings, _moments(arguments.dataset) if arguments.dataset else None)
    elif arguments.card:
        run_card(settings, arguments.card, arguments.training_batches, arguments.policy)
    elif arguments.training:
        run_training(settings)
    elif arguments.scaling:
        run_scaling(settings)
    else:
        run_comparison(settings)
    return 0


def _node(checkpoint: Path, rounds: int, output: Path) -> int:
    # Without torch in this process: the graph is made in another one where there is none.
    from mode_ros.bench_node import HEAD, measure_nodes

    if rounds < 1:
        raise UserError(f'--rounds is {rounds}, and must be at least 1.')
    found = measure_nodes(checkpoint, ('onnxruntime', 'torch'), rounds, output)
    print('\n'.join([HEAD, *(each.row() for each in found)]))
    return 0


def _seams(dataset: Path) -> OpenMoments:
    """What reads a data set's held-out moments, and those some frames later."""
    from mode_ros.bench.continuation import DELAYS, Moments, executed
    from mode_ros.training.inspection.moments import open_moments

    def read(info: CheckpointInfo, network: PolicyNetwork) -> tuple[ReadMoments, Sequence[bool]]:
        after, delta = open_moments(info, network, dataset, furthest=max(map(executed, DELAYS)))
        return lambda later: Moments(*after(later)), delta

    return read


def _moments(dataset: Path) -> ReadInputs:
    """What reads a data set's moments as a checkpoint's denoiser is given them."""
    from mode_ros.bench.variants import Inputs
    from mode_ros.training.inspection.inspect import read_inputs

    def read(info: CheckpointInfo, network: PolicyNetwork) -> Inputs:
        found = read_inputs(info, network, dataset)
        return Inputs(found.goal, found.images, found.state, found.noise)

    return read
