"""Make an untrained checkpoint for a robot: to try the nodes before there are demonstrations."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = 'make an untrained checkpoint for a robot'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument('contract', help='a name in config/robots, or the path of a contract')
    parser.add_argument('checkpoint', type=Path, help='folder to write')
    parser.add_argument('--seed', type=int, default=0, help='of the random weights (default 0)')
    parser.add_argument('--chunk-length', type=int, default=10, help='actions per chunk (default 10)')
    parser.add_argument('--state', action='store_true', help="let the policy see the contract's state streams too")


def run(arguments: argparse.Namespace) -> int:
    """Writes the checkpoint."""
    from mode_ros.pairing import make_untrained
    from mode_ros.robots import load_named_contract

    contract, text = load_named_contract(arguments.contract)
    policy = make_untrained(contract, text, arguments.seed, arguments.chunk_length, arguments.state)
    policy.save(arguments.checkpoint)
    print(f'{arguments.checkpoint}: an untrained policy for {contract.robot}; its actions are random')
    return 0
