"""Turn weights published for MoDE into a checkpoint folder for a robot.

Reads .safetensors files, and .pt or .ckpt files without running what they contain. Says of every tensor where it went,
that it has no place here, or that it is missing; nothing is written unless every tensor of the network was found in its
right shape. Published files tell neither the robot nor its statistics: the contract gives cameras, actions and limits.
"""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = 'turn published MoDE weights into a checkpoint'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument('source', type=Path, help='published weights, .safetensors or .pt')
    parser.add_argument('checkpoint', type=Path, help='folder to write')
    parser.add_argument('--contract', required=True, help='a name in config/robots, or the path of a contract')
    parser.add_argument(
        '--statistics', type=Path, help="statistics.json of the training data (default: the contract's limits)"
    )
    parser.add_argument('--top-k', type=int, default=2, help='experts used per token; not in the file (default 2)')
    parser.add_argument('--clip', help='folder or hub name of the CLIP text tower (default: the published one)')
    parser.add_argument(
        '--trained-steps', type=int, default=1, help='to note in the checkpoint; not in the file (default 1)'
    )
    parser.add_argument(
        '--new-encoders',
        choices=('resnet18', 'resnet34', 'resnet50'),
        help='for a file without image encoders: make untrained ones, and note the policy as untrained',
    )
    parser.add_argument('--quiet', action='store_true', help='count the tensors taken instead of listing them')


def run(arguments: argparse.Namespace) -> int:
    """Writes the checkpoint."""
    import json

    from mode_ros.errors import UserError, in_words
    from mode_ros.pairing import limit_statistics
    from mode_ros.policy.checkpoint import CheckpointInfo, save_checkpoint
    from mode_ros.policy.config import PUBLISHED_CLIP
    from mode_ros.policy.normalization import Statistics
    from mode_ros.policy.published import PublishedFile, import_network, published_config, tell_beginning
    from mode_ros.robots import load_named_contract

    contract, text = load_named_contract(arguments.contract)
    file = PublishedFile(arguments.source)
    cameras = [(camera.name, camera.height, camera.width) for camera in contract.observation.cameras]
    clip = arguments.clip or PUBLISHED_CLIP
    config = published_config(file, cameras, arguments.top_k, clip, arguments.new_encoders)
    statistics = limit_statistics(contract)
    if arguments.statistics:
        try:
            values = json.loads(arguments.statistics.read_text(encoding='utf-8'))
        except (OSError, ValueError) as error:
            raise UserError(f'{arguments.statistics} cannot be read as JSON ({in_words(error)}).') from error
        statistics = Statistics.from_values(values, str(arguments.statistics))
    trained_steps = 0 if arguments.new_encoders else arguments.trained_steps
    info = CheckpointInfo(config, statistics, text, trained_steps)
    network, plan = import_network(file, config)
    print('\n'.join([*plan.lines(brief=arguments.quiet), *filter(None, [tell_beginning(file)])]))
    if plan.missing:
        raise UserError(
            f'{arguments.source} lacks {len(plan.missing)} tensors of the network, the first is {plan.missing[0]}: '
            'nothing was written.'
        )
    save_checkpoint(arguments.checkpoint, info, network)
    print(f'{arguments.checkpoint}: a checkpoint for {contract.robot}')
    return 0
