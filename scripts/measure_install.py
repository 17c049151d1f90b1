#!/usr/bin/env python3
"""Measure on this machine how long an installation takes, how large it is, and how long it is to the first success.

    python3 scripts/measure_install.py [--folder FOLDER] [--torch-index ADDRESS]

Copies the checkout, makes its environment there as `make env` does, runs the demo, and removes everything again. Times
depend on the network and on what pip has in its cache. Needs only Python's standard library.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def size(folder: Path) -> int:
    """Return the bytes of all files below a folder, links not followed."""
    return sum(path.lstat().st_size for path in folder.rglob('*') if not path.is_symlink() and path.is_file())


def timed(command: list[str], folder: Path) -> float:
    """Run a command to its end and return its seconds.

    Raises:
        SystemExit: it failed; its output has been shown.
    """
    print(f'$ {" ".join(command)}', flush=True)
    start = time.monotonic()
    code = subprocess.call(command, cwd=folder)
    if code:
        sys.exit(f'{" ".join(command)} ended with status {code}.')
    return time.monotonic() - start


def measure(folder: Path, torch_index: str) -> dict[str, object]:
    """Install into `folder` and run the demo; return what was measured."""
    checkout, environment = folder / 'mode_ros', folder / 'environment'
    left_out = shutil.ignore_patterns('.git', '.venv*', 'build', 'install', 'log', 'runs', '__pycache__', '.*_cache')
    shutil.copytree(ROOT, checkout, ignore=left_out)
    options = ['--torch-index', torch_index] if torch_index else []
    install = timed([sys.executable, 'scripts/environment.py', '--venv', str(environment), *options], checkout)
    demo = timed([str(environment / 'bin' / 'mode_ros'), 'demo'], checkout)
    rows = (checkout / 'demo_output' / 'demo.txt').read_text().splitlines()
    success = [row.split()[1] for row in rows if row.split()[:1] == ['success']]
    packages = {path.name: size(path) for path in environment.glob('lib/python3*/site-packages/*') if path.is_dir()}
    largest = sorted(packages, key=lambda name: -packages[name])[:4]
    return {
        'machine': f'{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}',
        'installed in (s)': round(install),
        'size (GB)': round(size(environment) / 1e9, 1),
        'largest (GB)': {name: round(packages[name] / 1e9, 1) for name in largest},
        'first episode ended after (s)': round(install + demo),
        'success': success[0] if success else 'not told',
    }


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--folder', type=Path, help='where there is room (default: a temporary folder)')
    parser.add_argument('--torch-index', default='', help='as for make env TORCH_INDEX=')
    options = parser.parse_args()
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.folder, prefix='mode_ros_install_') as folder:
        measured = measure(Path(folder), options.torch_index)
    print(json.dumps(measured, indent=2))


if __name__ == '__main__':
    main()
