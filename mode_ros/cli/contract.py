"""Write a robot contract from what runs: topics, types, joints, and limits from /robot_description.

    mode_ros contract new my_arm.yaml

looks at the graph for a few seconds, asks what it cannot know (Enter takes what stands in brackets), and writes a
contract that `mode_ros check` reads. --defaults asks nothing; --robot, --rate and --without answer beforehand.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

HELP = 'write a robot contract from the running graph'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument('what', choices=('new',), help='what to do')
    parser.add_argument('file', help='the contract to write, such as my_arm.yaml')
    parser.add_argument('--defaults', action='store_true', help='ask nothing: take every default')
    parser.add_argument('--robot', help='name of the robot (default: asked for)')
    parser.add_argument('--rate', help='actions per second, Hz (default: asked for)')
    parser.add_argument(
        '--without', action='append', default=[], metavar='TOPIC', help='a topic or action to leave out; repeatable'
    )
    parser.add_argument(
        '--size',
        type=int,
        default=224,
        help='width and height of the pictures that the policy sees, pixels (default 224)',
    )
    parser.add_argument('--wait', type=float, default=5.0, help='seconds of looking at the graph (default 5)')
    parser.add_argument('--force', action='store_true', help='write over a file that is there')


def run(arguments: argparse.Namespace) -> int:
    """Writes the contract; a UserError says what is missing on the graph."""
    import rclpy

    from mode_ros.drivers.contract_text import write_contract
    from mode_ros.drivers.draft import draft_contract
    from mode_ros.drivers.survey import survey
    from mode_ros.errors import UserError

    target = Path(arguments.file).expanduser()
    if target.exists() and not arguments.force:
        raise UserError(f'{target} is there already; give another name, or --force to write over it.')
    if not 0.1 <= arguments.wait <= 600.0:
        raise UserError(f'--wait {arguments.wait:g} cannot be used; give 0.1 to 600 seconds.')
    if not 16 <= arguments.size <= 4096:
        raise UserError(f'--size {arguments.size} cannot be used; give 16 to 4096 pixels.')
    print(f'Looking at the graph for {arguments.wait:g} s …', flush=True)
    rclpy.init()
    try:
        node = rclpy.create_node('mode_ros_contract')
        seen = survey(node, arguments.wait).without(arguments.without)
        node.destroy_node()
    finally:
        rclpy.try_shutdown()
    draft = draft_contract(seen, asker(arguments.robot, arguments.rate, arguments.defaults, input), arguments.size)
    write_contract(draft, target)
    print(f'{target} is written. Look at:')
    for note in [*draft.notes, "the limits: tighter than the driver's own until you trust the policy."]:
        print(f'  - {note}')
    print(f'Then: mode_ros check {target}')
    return 0


def asker(
    robot: str | None, rate: str | None, defaults: bool, read: Callable[[str], str]
) -> Callable[[str, str, Sequence[str]], str]:
    """Answers by the command line, else by asking; an end of input takes the defaults. read: as the built-in input."""
    given = {'Name of the robot': robot, 'Actions per second': rate}

    def ask(question: str, default: str, choices: Sequence[str]) -> str:
        for begins, value in given.items():
            if question.startswith(begins) and value is not None:
                return value
        while not defaults:
            try:
                answer = read(f'{question}{" (" + "/".join(choices) + ")" if choices else ""} [{default}] ').strip()
            except EOFError:
                break
            if not answer:
                break
            if not choices or answer in choices:
                return answer
            print(f'  please one of {", ".join(choices)}')
        return default

    return ask
