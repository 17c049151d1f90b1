"""The Dockerfile, the devcontainer and pixi.toml cannot be built here: what they name must at least exist."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

tomllib = pytest.importorskip('tomllib', reason='in the standard library from Python 3.11 on')

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / 'containers' / 'Dockerfile'
INSTRUCTIONS = {'ARG', 'FROM', 'ENV', 'RUN', 'COPY', 'WORKDIR', 'SHELL', 'ENTRYPOINT', 'CMD'}


def instructions(text):
    """(instruction, rest) of each; continued lines are one, comments none."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith('#')]
    joined = re.sub(r'\\\n\s*', ' ', '\n'.join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines()]


def targets():
    return set(re.findall(r'^([a-z-]+):', (ROOT / 'Makefile').read_text(), re.MULTILINE))


def ros_modules(monkeypatch):
    spec = importlib.util.spec_from_file_location('environment_script', ROOT / 'scripts' / 'environment.py')
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, 'environment_script', module)
    spec.loader.exec_module(module)
    return [*module.ROS_MODULES, *module.ROS_OPTIONAL]


def test_the_dockerfile_is_one():
    found = instructions(DOCKERFILE.read_text())

    assert {name for name, _ in found} <= INSTRUCTIONS
    declared = {rest.split('=')[0] for name, rest in found if name == 'ARG'} | {'ROS_DISTRO'}
    used = set(re.findall(r'\$\{?(\w+)', ' '.join(rest for _, rest in found)))
    assert used <= declared
    assert [name for name, _ in found].index('FROM') == 2, 'only what FROM uses may stand before it'
    for name, rest in found:
        if name in ('SHELL', 'ENTRYPOINT', 'CMD'):
            assert isinstance(json.loads(rest), list)


def test_apt_leaves_no_lists_behind_and_asks_nothing():
    (install,) = [rest for name, rest in instructions(DOCKERFILE.read_text()) if 'apt-get install' in rest]

    for word in ('apt-get update', '-y', '--no-install-recommends', 'rm -rf /var/lib/apt/lists/*'):
        assert word in install


def test_what_is_copied_and_made_exists():
    text = DOCKERFILE.read_text()

    for path in re.findall(r'src/mode_ros/(\S+\.\w+)', text):
        assert (ROOT / path).is_file(), path
    assert set(re.findall(r'make -C \S+ ([a-z]+)', text)) <= targets()
    entry = ROOT / 'containers' / 'entrypoint.sh'
    assert os.access(entry, os.X_OK)
    subprocess.run(['bash', '-n', entry], check=True)


def test_ros_base_and_what_is_installed_beside_it_have_all_that_the_script_asks_for(monkeypatch):
    # What the images ros:<name>-ros-base contain of it.
    base = {'geometry_msgs', 'launch_ros', 'lifecycle_msgs', 'rosgraph_msgs', 'sensor_msgs', 'std_msgs', 'std_srvs'}
    asked = set(ros_modules(monkeypatch)) - base
    named = {name.replace('-', '_') for name in re.findall(r'ros-\$\{ROS_DISTRO\}-([\w-]+)', DOCKERFILE.read_text())}
    pixi = tomllib.loads((ROOT / 'pixi.toml').read_text())['dependencies']

    assert asked <= named
    assert asked <= {name.removeprefix('ros-jazzy-').replace('-', '_') for name in pixi}


def test_the_devcontainer_names_files_that_exist():
    settings = json.loads((ROOT / '.devcontainer' / 'devcontainer.json').read_text())

    assert (ROOT / '.devcontainer' / settings['build']['dockerfile']).resolve() == DOCKERFILE
    assert (ROOT / '.devcontainer' / settings['build']['context']).resolve() == ROOT


def test_the_tasks_of_pixi_depend_on_tasks_and_make_what_there_is():
    tasks = tomllib.loads((ROOT / 'pixi.toml').read_text())['tasks']

    for task in tasks.values():
        command = task if isinstance(task, str) else task['cmd']
        assert set([] if isinstance(task, str) else task['depends-on']) <= set(tasks)
        assert set(re.findall(r'^make ([a-z]+)', command)) <= targets()


@pytest.mark.parametrize('path', ['containers/Dockerfile', '.devcontainer/devcontainer.json', 'pixi.toml'])
def test_each_says_that_it_is_untested(path):
    assert 'untested' in (ROOT / path).read_text().lower()
