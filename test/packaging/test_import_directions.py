"""Imports go one way: nodes, commands and training build on control, policy, messages and sim, which know nobody."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

CORE = {
    'checks',
    'goal_watch',
    'control',
    'drivers',
    'policy',
    'messages',
    'recording',
    'sim',
    'errors',
    'json_lines',
    'whole_files',
    'forms',
    'paths',
    'robots',
    'made_for',
    'pairing',
    'settings',
    'simulated',
    'simulated_messages',
    'with_parent',
    'alone',
}
# What each part of mode_ros may import from mode_ros, besides itself. A new part must be given its line here.
MAY_IMPORT = {
    '__init__': set(),
    '__main__': {'cli'},
    'start': {'cli', 'nodes'},
    'errors': set(),
    'paths': {'errors'},
    'json_lines': {'errors'},
    'whole_files': set(),
    'alone': {'errors'},
    'with_parent': set(),
    'settings': {'errors'},
    'forms': {'errors', 'settings'},
    'control': {'errors', 'settings'},
    'policy': {'errors', 'settings', 'whole_files'},
    'sim': {'errors'},
    'messages': {'control', 'errors'},
    'checks': {'control', 'errors'},
    'goal_watch': {'checks', 'errors', 'policy'},
    'recording': {'alone', 'control', 'errors'},
    'robots': {'control', 'errors', 'paths'},
    'made_for': {'control', 'policy', 'errors'},
    'pairing': {'control', 'made_for', 'policy'},
    'simulated': {'control', 'sim', 'errors'},
    'simulated_messages': {'messages', 'simulated'},
    'drivers': {'control', 'messages', 'errors', 'whole_files'},
    'ahead': {'control'},
    'bench': {'policy', 'errors'},
    'bench_node': CORE | {'bench', 'bringup', 'nodes'},
    'bringup': CORE,
    # Of training the settings alone, which need no torch: what trains is a process of its own.
    'page': CORE - {'policy', 'pairing', 'goal_watch', 'sim', 'simulated', 'simulated_messages'} | {'training'},
    'nodes': CORE | {'ahead', 'bringup', 'page'},
    'demo': CORE | {'bringup', 'nodes'},
    'bench_data': CORE | {'bringup', 'nodes', 'training'},
    'bench_safety': CORE | {'bringup', 'nodes'},
    'bench_page': CORE | {'bench_data', 'bench_safety'},
    'record_sim': CORE - {'policy', 'pairing', 'checks', 'goal_watch'},
    'attempts': CORE | {'evaluation', 'record_sim', 'training'},
    'evaluation': CORE | {'bringup', 'nodes', 'demo'},
    'training': CORE,
    'doctor': CORE | {'training'},
    'cli': CORE
    | {
        'doctor',
        'attempts',
        'bench',
        'bench_data',
        'bench_page',
        'bench_node',
        'bench_safety',
        'bringup',
        'demo',
        'evaluation',
        'nodes',
        'record_sim',
        'training',
    },
}
ROS = {'rclpy', 'cv_bridge', 'launch', 'launch_ros', 'ament_index_python', 'std_srvs', 'builtin_interfaces'}
MAY_NOT_IMPORT = {
    'settings': ROS | {'torch'},
    'forms': ROS | {'torch'},
    'control': ROS | {'torch', 'torchvision', 'transformers'},
    'policy': ROS,
    'sim': ROS | {'torch'},
    'messages': {'rclpy', 'torch'},
    'checks': ROS | {'torch'},
    'drivers': {'torch'},
    'recording': ROS | {'torch'},
    'record_sim': {'rclpy', 'torch'},
    'robots': ROS | {'torch'},
    'made_for': ROS | {'torch'},
    'pairing': ROS,
    'page': ROS | {'torch'},
    'bench': ROS,
}


def modules(root: Path) -> dict[str, Path]:
    """Map the names of all modules of mode_ros to their files; training/ is mode_ros.training."""
    found = {}
    for top, prefix in ((root / 'mode_ros', ('mode_ros',)), (root / 'training', ('mode_ros', 'training'))):
        for path in sorted(top.rglob('*.py')):
            if path == root / 'mode_ros' / 'training.py':  # only stands in for training/
                continue
            parts = path.relative_to(top).with_suffix('').parts
            found['.'.join(prefix + (parts[:-1] if parts[-1] == '__init__' else parts))] = path
    return found


def imported(name: str, path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Yield (line, module, names) for each import anywhere in a file: in functions and for type checking too."""
    package = name.split('.') if path.name == '__init__.py' else name.split('.')[:-1]
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, []
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            yield node.lineno, '.'.join([*base, *filter(None, [node.module])]), [alias.name for alias in node.names]
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).split('.')[-1] in ('import_module', '__import__')
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield node.lineno, node.args[0].value, []


def edges(root: Path) -> Iterator[tuple[str, int, str]]:
    """Yield (importing module, line, imported module) with `from package import module` resolved to the module."""
    known = modules(root)
    for name, path in known.items():
        for line, target, names in imported(name, path):
            members = [f'{target}.{member}' for member in names]
            parts = MAY_IMPORT if target == 'mode_ros' else {}
            below = [member for member in members if member in known or part(member) in parts]
            yield from ((name, line, module) for module in below)
            if len(below) < max(len(names), 1):
                yield name, line, target


def part(module: str) -> str:
    return module.split('.')[1] if '.' in module else '__init__'


def violations(root: Path) -> list[str]:
    """List the imports that go the wrong way."""
    files = modules(root)
    unknown = sorted({part(name) for name in files} - set(MAY_IMPORT))
    found = [f'{name} is a new part of mode_ros: say in MAY_IMPORT what it may import' for name in unknown]
    for name, line, target in edges(root):
        here, top = part(name), target.split('.')[0]
        forbidden = MAY_NOT_IMPORT.get(here, set())
        inwards = top == 'mode_ros' and part(target) in {*MAY_IMPORT.get(here, MAY_IMPORT), here, '__init__'}
        messages = top.endswith('_msgs') and forbidden >= ROS
        if not inwards and (top == 'mode_ros' or top in forbidden or messages):
            found.append(f'{files[name].relative_to(root)}:{line}: {here} may not import {target}')
    return found


def cycles(root: Path) -> list[str]:
    """List the circles of modules that import each other, each as `a -> b -> a`."""
    graph: dict[str, set[str]] = {name: set() for name in modules(root)}
    for name, _, target in edges(root):
        if target in graph and target != name:
            graph[name].add(target)
    found: set[str] = set()
    state: dict[str, str] = {}

    def visit(name: str, way: list[str]) -> None:
        state[name] = 'open'
        for target in sorted(graph[name]):
            if state.get(target) == 'open':
                circle = way[way.index(target) :]
                start = circle.index(min(circle))
                found.add(' -> '.join([*circle[start:], *circle[: start + 1]]))
            elif target not in state:
                visit(target, [*way, target])
        state[name] = 'closed'

    for name in graph:
        if name not in state:
            visit(name, [name])
    return sorted(found)


def test_imports_go_one_way():
    assert len(modules(ROOT)) > 10
    assert violations(ROOT) == []


def test_no_modules_import_each_other_in_a_circle():
    assert cycles(ROOT) == []


@pytest.mark.parametrize(
    ('file', 'source', 'told'),
    [
        ('mode_ros/control/a.py', 'import torch', 'control may not import torch'),
        ('mode_ros/control/a.py', 'from sensor_msgs.msg import Image', 'control may not import sensor_msgs.msg'),
        ('mode_ros/control/a.py', 'from mode_ros.policy import net', 'control may not import mode_ros.policy'),
        ('mode_ros/control/a.py', 'from ..messages import images', 'control may not import mode_ros.messages'),
        ('mode_ros/control/a.py', 'from mode_ros import nodes', 'control may not import mode_ros.nodes'),
        ('mode_ros/control/a.py', 'def f():\n    import rclpy.node', 'control may not import rclpy.node'),
        ('mode_ros/policy/a.py', 'from mode_ros.control.contract import X', 'may not import mode_ros.control'),
        ('mode_ros/policy/deep/a.py', 'from ...sim import robot', 'policy may not import mode_ros.sim'),
        ('mode_ros/policy/a.py', 'import importlib\nimportlib.import_module("rclpy")', 'policy may not import rclpy'),
        ('mode_ros/sim/a.py', 'import rclpy', 'sim may not import rclpy'),
        ('mode_ros/messages/a.py', 'import mode_ros.policy', 'messages may not import mode_ros.policy'),
        (
            'mode_ros/nodes/a.py',
            'import mode_ros.training.data.convert',
            'nodes may not import mode_ros.training.data.convert',
        ),
        ('training/a.py', 'from mode_ros.nodes import x', 'training may not import mode_ros.nodes'),
        ('mode_ros/errors.py', 'from mode_ros import paths', 'errors may not import mode_ros.paths'),
        ('mode_ros/extra/a.py', 'import os', 'extra is a new part'),
    ],
)
def test_an_import_the_wrong_way_is_found(tmp_path, file, source, told):
    tree(tmp_path, {file: source})

    (only,) = violations(tmp_path)

    assert told in only


def test_imports_the_right_way_are_let_through(tmp_path):
    tree(
        tmp_path,
        {
            'mode_ros/control/a.py': 'import numpy\nfrom . import b\nfrom mode_ros.errors import UserError',
            'mode_ros/nodes/a.py': 'import rclpy, torch\nfrom mode_ros.control import a\nimport mode_ros.policy.net',
            'training/a.py': 'from mode_ros.policy import net\nfrom mode_ros.training.data import b',
            'mode_ros/cli/a.py': 'from mode_ros.training.data import a\nfrom mode_ros.bringup import x',
        },
    )

    assert violations(tmp_path) == []
    assert cycles(tmp_path) == []


def test_a_circle_is_found(tmp_path):
    tree(
        tmp_path,
        {
            'mode_ros/control/a.py': 'from mode_ros.control.b import x',
            'mode_ros/control/b.py': 'def f():\n    from . import c',
            'mode_ros/control/c.py': 'import mode_ros.control.a',
            'mode_ros/control/d.py': 'import mode_ros.control.a',
        },
    )

    assert cycles(tmp_path) == ['mode_ros.control.a -> mode_ros.control.b -> mode_ros.control.c -> mode_ros.control.a']


def run_without(absent, code):
    """'' where the code runs in a Python that has none of these packages, else what that says."""
    block = f'import sys\nfor name in {absent}: sys.modules[name] = None\n'
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    result = subprocess.run([sys.executable, '-c', block + code], capture_output=True, text=True, env=environment)
    return result.stderr or f'exit status {result.returncode}' if result.returncode else ''


@pytest.mark.parametrize(
    ('parts', 'absent'),
    [
        (('control',), ('rclpy', 'cv_bridge', 'sensor_msgs', 'torch', 'transformers')),
        (('policy',), ('rclpy', 'cv_bridge', 'sensor_msgs')),
        (('sim',), ('rclpy', 'cv_bridge', 'sensor_msgs')),
        (('made_for',), ('rclpy', 'torch', 'transformers')),
    ],
)
def test_the_core_imports_where_ros_is_missing(parts, absent):
    names = [name for name in modules(ROOT) if part(name) in parts]
    assert run_without(absent, '\n'.join(f'import {name}' for name in names)) == ''


def test_a_training_needs_no_ros():
    """A rented GPU rarely has it."""
    absent = ('rclpy', 'cv_bridge', 'sensor_msgs', 'geometry_msgs', 'std_msgs', 'trajectory_msgs', 'rosbags')
    assert run_without(absent, 'import mode_ros.training.train, mode_ros.cli.train') == ''


def test_the_command_line_is_built_on_a_robot_without_the_extras():
    """Its help and its verbs for robots, such as doctor and check, must be there."""
    absent = (
        'torch',
        'torchvision',
        'transformers',
        'av',
        'tqdm',
        'pyarrow',
        'matplotlib',
        'mujoco',
        'uvicorn',
        'onnx',
    )
    assert run_without(absent, 'from mode_ros.cli.main import build_parser\nbuild_parser()') == ''


def tree(root: Path, files: dict[str, str]) -> None:
    for name, source in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source + '\n')
