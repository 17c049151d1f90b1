"""The operator's page: see the robot, tell it a goal, stop, drive and record it, in a browser.

Runs page_node, an ordinary ROS client beside the nodes that run already. On 127.0.0.1 it is for this machine alone; on
any other address it asks for a token, which is shown at the start (or is what MODE_ROS_PAGE_TOKEN holds).
"""

from __future__ import annotations

import argparse
import os

HELP = "the operator's page in a browser"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument('contract', help='a name in config/robots, or the path of a contract')
    parser.add_argument('--checkpoint', default='', help='offer the sentences that this policy was trained with')
    parser.add_argument('--host', default='127.0.0.1', help='address to serve on (default 127.0.0.1)')
    parser.add_argument('--port', type=int, default=8080, help='port (default 8080); 0: any that is free')
    parser.add_argument('--certificate', default='', help='TLS: certificate file')
    parser.add_argument('--key', default='', help='TLS: key file')
    parser.add_argument(
        '--work',
        default='.',
        help='folder with recordings/, data/, runs/ and evaluations/ to show and to fill (default here)',
    )
    parser.add_argument(
        '--folder', action='append', default=[], help='another folder with recordings or data sets to show; repeat it'
    )
    parser.add_argument('--sim-time', action='store_true', help='take time from /clock, as with a simulated robot')


def run(arguments: argparse.Namespace) -> int:
    """Serves until Ctrl-C."""
    from functools import partial

    from rclpy.parameter import Parameter

    from mode_ros.nodes.page_node import PageNode
    from mode_ros.nodes.process import run_node

    names = ('contract', 'checkpoint', 'host', 'port', 'certificate', 'key', 'work')
    given = {name: getattr(arguments, name) for name in names} | {'use_sim_time': arguments.sim_time}
    given['folders'] = os.pathsep.join(arguments.folder)
    overrides = [Parameter(name, value=value) for name, value in given.items()]
    run_node(partial(PageNode, parameter_overrides=overrides))
    return 0
