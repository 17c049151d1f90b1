"""The executables' entry points: they say what is missing where the environment is not the one to run in.

Standard library only: a terminal or a systemd unit without mode_ros's virtual environment gets here with the system's
Python, which has none of the packages that pip installed.
"""

from __future__ import annotations

import importlib
import sys

# Of setup.py, by what only it brings: a robot is installed without most of them.
_EXTRAS = {
    'accelerate': 'training',
    'av': 'training',
    'metaworld': 'sim',
    'mujoco': 'sim',
    'onnx': 'onnx',
    'onnxruntime': 'onnx',
    'openvino': 'openvino',
    'pyarrow': 'training',
    'starlette': 'page',
    'torch': 'torch',
    'torchvision': 'torch',
    'tqdm': 'training',
    'transformers': 'torch',
    'uvicorn': 'page',
}


def mode_ros() -> None:
    """Run the command `mode_ros`."""
    _start('mode_ros.cli.main')


def policy_node() -> None:
    """Run the node of this name; so do those below."""
    _start('mode_ros.nodes.policy_node')


def controller_node() -> None:
    _start('mode_ros.nodes.controller_node')


def sim_node() -> None:
    _start('mode_ros.nodes.sim_node')


def teleop_node() -> None:
    _start('mode_ros.nodes.teleop_node')


def recorder_node() -> None:
    _start('mode_ros.nodes.recorder_node')


def goals_node() -> None:
    _start('mode_ros.nodes.goals_node')


def page_node() -> None:
    _start('mode_ros.nodes.page_node')


def view_node() -> None:
    _start('mode_ros.nodes.view_node')


def _start(module: str) -> None:
    try:
        importlib.import_module(module).main()
    except ModuleNotFoundError as error:
        missing = (error.name or '').split('.')[0]
        if missing in ('', 'mode_ros'):
            raise
        print(f'mode_ros: {missing_sentence(missing, sys.executable)}', file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        # While it was still being imported, as when another node of a launch has refused: no traceback may bury why. A
        # node ends with 0, as in the rest of its start-up.
        sys.exit(130 if module == 'mode_ros.cli.main' else 0)


def missing_sentence(missing: str, python: str) -> str:
    """Say what a Python without the module `missing` needs to run mode_ros."""
    if missing in ('rclpy', 'ament_index_python', 'cv_bridge') or missing.endswith(('_msgs', '_srvs', '_interfaces')):
        return (
            f'{python} has no {missing}: source your ROS 2 in this terminal (. /opt/ros/<name>/setup.bash), '
            'or install its package.'
        )
    extra = _EXTRAS.get(missing)
    install = '' if extra is None else f", or add what this needs to this one with `pip install 'mode_ros[{extra}]'`"
    return (
        f'{python} has no {missing}: activate the virtual environment that `make ros` made, in this terminal or unit '
        f'too (. <checkout>/.venv/bin/activate){install}.'
    )
