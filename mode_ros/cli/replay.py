"""Replay an episode's commands on a robot that runs: on a simulated one, unless the robot's name is given.

The commands go to controller_node as a person's would (`teleop_command`), within its limits and checks. The scene is a
new one, and timing is that of the nodes: to see what was commanded, not to repeat what happened.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

HELP = "an episode's commands once more, on the simulated robot"
LOOK_SECONDS = 5.0
RESET_SECONDS = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument('data_set', metavar='DATASET', type=Path, help='folder of the data set')
    parser.add_argument('episode', metavar='N', type=int, help='its number, as `mode_ros episodes` lists it')
    parser.add_argument('--contract', default='', help='robot contract of a data set that carries none')
    parser.add_argument('--stay', action='store_true', help='do not ask the simulator for a new scene before')
    parser.add_argument('--simulator', default='sim_node', help='name of the node (default sim_node)')
    parser.add_argument('--revision', default='', metavar='R', help='refuse if the data set is another by now')
    parser.add_argument(
        '--real-robot', default='', metavar='ROBOT', help="allow it on what is no simulation; the contract's `robot`"
    )


def run(arguments: argparse.Namespace) -> int:
    """Plays it once; Ctrl-C gives the robot back."""
    from mode_ros.errors import UserError
    from mode_ros.robots import load_named_contract
    from mode_ros.training.data.edits import check_revision
    from mode_ros.training.data.overview import open_vectors

    root = arguments.data_set.absolute()
    check_revision(root, arguments.revision)
    data = open_vectors(root, load_named_contract(arguments.contract)[0] if arguments.contract else None)
    if data.contract is None:
        raise UserError(f'The data set {root} does not say which robot it is of: name its contract with --contract.')
    place = data.files.place(arguments.episode)
    robot = data.contract.robot
    if arguments.real_robot not in ('', robot):
        raise UserError(f'--real-robot {arguments.real_robot}: the episode is of the robot {robot!r}.')
    actions = data.actions[data.episode(place)]
    if len(data.contract.dimensions) != actions.shape[1]:
        raise UserError(
            f'The data set {root} has {actions.shape[1]} numbers per action, and its contract another count.'
        )
    return _play(arguments, data.contract, actions)


def _play(arguments: argparse.Namespace, contract: Any, actions: Any) -> int:
    import time

    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions
    from tqdm import tqdm

    from mode_ros.errors import UserError
    from mode_ros.nodes.replay_node import ReplayNode

    simulated = not arguments.real_robot
    # On Ctrl-C the robot is given back before anything ends.
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    bar = tqdm(total=len(actions), desc='replay', unit='command')
    node = ReplayNode(contract, actions, simulated, arguments.simulator, lambda count: bar.update(count - bar.n))
    executor = SingleThreadedExecutor()
    executor.add_node(node)

    def until(done: Any, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not done() and time.monotonic() < end:
            executor.spin_once(timeout_sec=0.05)
        return bool(done())

    try:
        until(lambda: not node.refusal(), LOOK_SECONDS)  # until everybody has been found
        if simulated and not arguments.stay and not node.refusal():
            answer = node.new_scene()
            if not until(answer.done, RESET_SECONDS):
                raise UserError(f'{arguments.simulator} has not answered to reset for {RESET_SECONDS:g} s.')
            until(lambda: False, 2 * contract.period_seconds)
        node.begin()
        while not node.ended:
            executor.spin_once(timeout_sec=0.05)
        until(lambda: False, 5 * contract.period_seconds)  # the last command's success is told
    finally:
        node.let_go()
        until(lambda: False, 0.1)  # what was said last is on its way
        bar.close()
        success, problem = node.success, node.problem
        executor.shutdown(timeout_sec=1.0)
        node.destroy_node()
        rclpy.try_shutdown()
    if problem:
        raise UserError(problem)
    told = f' The simulator says: {"success" if success else "no success"}.' if simulated else ''
    print(f'Episode {arguments.episode}: {len(actions)} commands were replayed.{told}')
    return 0
