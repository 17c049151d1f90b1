"""Check a robot contract, and optionally that a checkpoint was made for it."""

from __future__ import annotations

import argparse

HELP = 'check a robot contract, and a checkpoint against it'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument('contract', help='a name in config/robots, or the path of a contract')
    parser.add_argument('--checkpoint', help='checkpoint folder to load and compare')


def run(arguments: argparse.Namespace) -> int:
    """Prints what the contract says, and what in it is legal and looks like a slip; a UserError says what is wrong."""
    from mode_ros.checks.contract import contract_slips
    from mode_ros.robots import load_named_contract

    contract, _ = load_named_contract(arguments.contract)
    print(f'robot {contract.robot}, {contract.rate:g} Hz, goal on {contract.goal_topic}')
    for camera in contract.observation.cameras:
        depth = f', depth from {camera.near:g} to {camera.far:g} m' if camera.is_depth else ''
        print(f'  sees {camera.name}: {camera.width}x{camera.height} from {camera.topic} ({camera.transport}{depth})')
    for state in contract.observation.states:
        print(f'  feels {state.name}: {len(state.names)} numbers from {state.topic} ({state.type})')
    for group in contract.action:
        where = f'action {group.output.action}' if group.output.action else group.output.topic
        print(f'  commands {group.name}: {", ".join(group.names)} ({group.kind}) on {where} ({group.output.adapter})')
    for slip in contract_slips(contract):
        print(f'  look at this: {slip.text}')
    if arguments.checkpoint:
        from mode_ros.pairing import load_paired

        policy = load_paired(arguments.checkpoint, contract, 'cpu')
        trained = f'{policy.info.trained_steps} training steps' if policy.is_trained else 'untrained'
        print(f'  checkpoint {arguments.checkpoint} fits ({trained})')
    return 0
