"""Show the main job: a simulated arm, the policy and the controller as three processes over DDS, for one episode.

Ends with a table of what was measured, and a video of both cameras.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mode_ros.policy.runtimes.names import RUNTIMES

HELP = 'run the policy on a simulated arm and film it'

TASKS = {'metaworld': 'drawer-open', 'libero': 'libero_spatial/0'}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument('--simulator', choices=sorted(TASKS), default='metaworld')
    parser.add_argument('--task', help=f"the simulator's task (default {TASKS['metaworld']} or {TASKS['libero']})")
    parser.add_argument('--goal', default='', help="what to tell the robot (default: the task's own instruction)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument('--checkpoint', type=Path, help='checkpoint folder (default: the one in config/policies)')
    which.add_argument('--untrained', action='store_true', help='random weights instead')
    parser.add_argument('--device', choices=('auto', 'cpu', 'cuda'), default='auto')
    parser.add_argument('--runtime', choices=RUNTIMES, default='auto')
    parser.add_argument('--seconds', type=float, default=10.0, help='length of the episode, simulated (default 10)')
    parser.add_argument('--seed', type=int, default=0, help="of the simulator's initial state (default 0)")
    parser.add_argument('--page', action='store_true', help="with the operator's page; goes on until Ctrl-C")
    parser.add_argument('--output', type=Path, default=Path('demo_output'), help='folder (default demo_output)')


def run(arguments: argparse.Namespace) -> int:
    """Runs the demo."""
    from mode_ros.demo.run import DemoSettings, run_demo

    return run_demo(
        DemoSettings(
            simulator=arguments.simulator,
            task=arguments.task or TASKS[arguments.simulator],
            goal=arguments.goal.strip(),
            checkpoint=arguments.checkpoint,
            untrained=arguments.untrained,
            device=arguments.device,
            runtime=arguments.runtime,
            seconds=arguments.seconds,
            seed=arguments.seed,
            output=arguments.output,
            page=arguments.page,
        )
    )
