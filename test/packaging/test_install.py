"""The four ways to install mode_ros, done for real in temporary folders: pip, pip -e, colcon, colcon with symlinks."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.executables import EXECUTABLES

pytestmark = pytest.mark.packaging

ROOT = Path(__file__).resolve().parents[2]

# Run by the installed package's Python: says where everything was found.
REPORT = """
import json, sys
import mode_ros, mode_ros.training, mode_ros.training.late
from mode_ros.paths import share_folder
from ament_index_python.packages import get_package_share_directory, PackageNotFoundError
try:
    index = get_package_share_directory('mode_ros')
except (OSError, PackageNotFoundError):
    index = None
print(json.dumps({
    'package': mode_ros.__file__,
    'training': list(mode_ros.training.__path__),
    'late': mode_ros.training.late.WORD,
    'share': str(share_folder()),
    'index': index,
}))
"""


@pytest.fixture
def checkout(tmp_path):
    """A copy of the checkout without what git ignores, with one more module, contract and launch file to look for."""
    target = tmp_path / 'src' / 'mode_ros'
    ignored = shutil.ignore_patterns(
        '.git', '.venv*', 'build', 'install', 'log', '*.egg-info', '__pycache__', '.*_cache', 'onnxruntime'
    )
    shutil.copytree(ROOT, target, ignore=ignored)
    (target / 'training' / 'late.py').write_text("WORD = 'first'\n")
    (target / 'config' / 'deep' / 'er').mkdir(parents=True)
    (target / 'config' / 'deep' / 'er' / 'late.yaml').write_text('word: first\n')
    (target / 'launch').mkdir(exist_ok=True)
    (target / 'launch' / 'late.launch.py').write_text('def generate_launch_description(): ...\n')
    return target


@pytest.fixture
def python(tmp_path):
    """A fresh environment that sees what is installed for the tests, but not the checkout's own mode_ros."""
    return environment(tmp_path / 'environment')


@pytest.fixture(scope='session')
def colcon(tmp_path_factory):
    """The command that runs a colcon of a virtual environment, as README has it."""
    return installed_colcon(tmp_path_factory.mktemp('colcon'))


@pytest.fixture(scope='session')
def colcon_with_new_setuptools(tmp_path_factory):
    """Setuptools 80 and later have no `develop` that colcon could use."""
    return installed_colcon(tmp_path_factory.mktemp('colcon_new'), 'setuptools>=80')


@pytest.fixture(scope='session')
def system_colcon():
    """The machine's own, from apt, which its own Python runs."""
    if not shutil.which('colcon'):
        pytest.skip('no colcon is installed beside this environment')
    return ['colcon']


def installed_colcon(folder, *more):
    run([sys.executable, '-m', 'venv', folder])
    pip = [folder / 'bin' / 'python', '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check']
    for packages in (['colcon-common-extensions'], more):
        result = subprocess.run([*pip, *packages], capture_output=True, text=True) if packages else None
        if result and result.returncode:
            pytest.skip(f'colcon is not installed and pip cannot install it: {result.stderr.strip().splitlines()[-1]}')
    return [folder / 'bin' / 'python', '-m', 'colcon']


def test_pip_install(checkout, python, tmp_path):
    pip_install(python, str(checkout))

    found = report(python, tmp_path)

    prefix = tmp_path / 'environment'
    assert Path(found['package']).is_relative_to(prefix)
    assert Path(found['training'][0]).parent == Path(found['package']).parent
    assert Path(found['share']) == prefix / 'share' / 'mode_ros'
    assert Path(report(python, tmp_path, AMENT_PREFIX_PATH=str(prefix))['index']) == prefix / 'share' / 'mode_ros'
    holds_the_files_of(checkout, prefix / 'share' / 'mode_ros')
    has_all_modules_of(checkout, Path(found['package']).parent)
    assert executables(prefix / 'bin') >= EXECUTABLES


def test_pip_install_editable(checkout, python, tmp_path):
    pip_install(python, '-e', str(checkout))

    found = report(python, tmp_path)

    assert Path(found['share']) == checkout
    assert Path(found['package']) == checkout / 'mode_ros' / '__init__.py'
    assert found['training'] == [str(checkout / 'training')]
    assert executables(tmp_path / 'environment' / 'bin') >= EXECUTABLES
    (checkout / 'training' / 'late.py').write_text("WORD = 'second'\n")
    assert report(python, tmp_path)['late'] == 'second'


@pytest.mark.parametrize('merged', [[], ['--merge-install']], ids=['isolated', 'merged'])
def test_colcon_build(checkout, python, colcon, tmp_path, merged):
    prefix = colcon_build(colcon, tmp_path, *merged)

    found = report_sourced(python, tmp_path)

    assert Path(found['package']).is_relative_to(prefix)
    assert Path(found['training'][0]).parent == Path(found['package']).parent
    assert Path(found['index']) == Path(found['share']) == prefix / 'share' / 'mode_ros'
    holds_the_files_of(checkout, prefix / 'share' / 'mode_ros')
    has_all_modules_of(checkout, Path(found['package']).parent)
    assert executables(prefix / 'lib' / 'mode_ros') == EXECUTABLES
    assert not (prefix / 'bin').exists()


def test_colcon_build_with_symlinks(checkout, python, colcon, tmp_path):
    prefix = colcon_build(colcon, tmp_path, '--symlink-install')

    found = report_sourced(python, tmp_path)

    assert Path(found['index']) == prefix / 'share' / 'mode_ros'
    assert Path(found['share']) == checkout
    assert found['training'] == [str(checkout / 'training')]
    holds_the_files_of(checkout, prefix / 'share' / 'mode_ros')
    assert executables(prefix / 'lib' / 'mode_ros') == EXECUTABLES
    (checkout / 'training' / 'late.py').write_text("WORD = 'second'\n")
    (checkout / 'config' / 'deep' / 'er' / 'late.yaml').write_text('word: second\n')
    assert report_sourced(python, tmp_path)['late'] == 'second'
    assert (prefix / 'share' / 'mode_ros' / 'config' / 'deep' / 'er' / 'late.yaml').read_text() == 'word: second\n'


def test_colcon_builds_again_the_other_way(checkout, python, colcon, tmp_path):
    colcon_build(colcon, tmp_path)
    shutil.rmtree(tmp_path / 'build')  # what colcon itself asks for when the way is changed
    shutil.rmtree(tmp_path / 'install')
    colcon_build(colcon, tmp_path, '--symlink-install')

    assert report_sourced(python, tmp_path)['training'] == [str(checkout / 'training')]


@pytest.mark.parametrize('options', [[], ['--symlink-install']], ids=['copied', 'symlinked'])
@pytest.mark.parametrize('which', ['colcon', 'colcon_with_new_setuptools', 'system_colcon'])
def test_every_executable_runs_under_the_python_that_is_active(checkout, request, tmp_path, which, options):
    prefix = colcon_build(request.getfixturevalue(which), tmp_path, *options)

    folder = prefix / 'lib' / 'mode_ros'
    assert executables(folder) == EXECUTABLES
    first_lines = {path.name: path.read_text().splitlines()[0] for path in folder.iterdir()}
    # so that an active virtual environment's torch is found
    assert first_lines == dict.fromkeys(EXECUTABLES, '#!/usr/bin/env python3')


def test_with_new_setuptools_symlinks_are_copies(checkout, colcon_with_new_setuptools, tmp_path):
    prefix = colcon_build(colcon_with_new_setuptools, tmp_path, '--symlink-install')

    assert list(prefix.glob('lib/python3*/site-packages/mode_ros/nodes/policy_node.py'))


def environment(folder):
    run([sys.executable, '-m', 'venv', '--without-pip', folder])
    python = folder / 'bin' / 'python'
    (site,) = folder.glob('lib/python3*/site-packages')
    others = [path for path in sys.path if path.endswith('-packages')]
    (site / 'others.pth').write_text('\n'.join(others))  # their .pth files, an editable mode_ros's too, are not read
    return python


def pip_install(python, *what):
    """Install quickly: everything that mode_ros needs is already visible."""
    run([python, '-m', 'pip', 'install', '--quiet', '--no-deps', '--no-build-isolation', '--ignore-installed', *what])


def colcon_build(colcon, folder, *options):
    run([*colcon, 'build', '--base-paths', 'src', *options], cwd=folder)
    return folder / 'install' if '--merge-install' in options else folder / 'install' / 'mode_ros'


def report(python, folder, **variables):
    return json.loads(run([python, '-c', REPORT], cwd=folder, **variables))


def report_sourced(python, folder):
    """The report in a shell that has sourced the workspace, from another folder."""
    command = f'source {folder}/install/setup.bash && cd / && {python} -c "$REPORT"'
    return json.loads(run(['bash', '-c', command], cwd=folder, REPORT=REPORT))


def run(command, cwd=None, **variables):
    environ = {name: value for name, value in os.environ.items() if name not in ('PYTHONPATH', 'AMENT_PREFIX_PATH')}
    if 'ROS_DISTRO' in os.environ:  # the machine's ROS
        environ = dict(os.environ)
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**environ, **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, f'{command}\n{result.stdout}\n{result.stderr}'
    return result.stdout


def holds_the_files_of(checkout, share):
    files = [checkout / 'package.xml', *(checkout / 'launch').glob('*.launch.py')]
    files += [path for path in (checkout / 'config').rglob('*') if path.is_file()]
    assert len(files) >= 3
    for path in files:
        assert (share / path.relative_to(checkout)).read_bytes() == path.read_bytes()


def has_all_modules_of(checkout, package):
    for top, target in ((checkout / 'mode_ros', package), (checkout / 'training', package / 'training')):
        for path in top.rglob('*'):
            if path.is_file() and path.suffix in ('.py', '.yaml', '.json'):
                assert (target / path.relative_to(top)).is_file(), path


def executables(folder):
    return {path.name for path in folder.iterdir() if os.access(path, os.X_OK)}
