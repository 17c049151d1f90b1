"""scripts/environment.py decides well what to install, goes on where it stopped and says what is wrong."""

import importlib.util
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script(monkeypatch, tmp_path):
    spec = importlib.util.spec_from_file_location('environment_script', ROOT / 'scripts' / 'environment.py')
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, 'environment_script', module)
    spec.loader.exec_module(module)
    monkeypatch.chdir(tmp_path)
    return module


@pytest.fixture
def wheels(script):
    return script.Ros(sourced=False, name='ROS from wheels')


class Steps:
    """An environment whose steps only note that they ran."""

    def __init__(self, script, monkeypatch, folder, ros):
        self.ran = []
        self.broken = set()
        self.keys = {'venv': '1', 'torch': '1', 'project': '1'}
        self.environment = script.Environment(folder, ros)
        monkeypatch.setattr(self.environment, 'steps', self._steps)
        self._script = script

    def _steps(self):
        return [
            self._script.Step(name, name, '1 s', key, lambda name=name: self._run(name))
            for name, key in self.keys.items()
        ]

    def _run(self, name):
        self.ran.append(name)
        if name in self.broken:
            raise self._script.EnvironmentProblem(f'{name} is broken')
        self.environment.python.parent.mkdir(exist_ok=True)
        self.environment.python.touch()

    def make(self):
        self.ran.clear()
        self._script.make(self.environment, rendering=False)
        return list(self.ran)


@pytest.fixture
def steps(script, monkeypatch, tmp_path, wheels):
    return Steps(script, monkeypatch, tmp_path / 'venv', wheels)


def test_the_second_time_there_is_nothing_to_do(steps, capsys):
    assert steps.make() == ['venv', 'torch', 'project']
    capsys.readouterr()

    assert steps.make() == []
    assert capsys.readouterr().out == ''


def test_it_goes_on_at_the_step_that_failed(steps, script):
    steps.broken = {'project'}
    with pytest.raises(script.EnvironmentProblem, match='project is broken'):
        steps.make()
    steps.broken = set()

    assert steps.make() == ['project']


def test_a_changed_step_is_done_again_and_no_other(steps):
    steps.make()
    steps.keys['torch'] = '2'

    assert steps.make() == ['torch']


@pytest.mark.parametrize('what', ['venv', 'python'])
def test_another_python_or_a_removed_one_starts_afresh(steps, what):
    steps.make()
    if what == 'venv':
        steps.keys['venv'] = '2'
    else:
        steps.environment.python.unlink()

    assert steps.make() == ['venv', 'torch', 'project']


def test_an_environment_made_for_another_ros_is_refused(steps, script, tmp_path):
    steps.make()
    sourced = script.Environment(tmp_path / 'venv', script.Ros(sourced=True, name='ROS 2 jazzy as sourced'))

    with pytest.raises(
        script.EnvironmentProblem, match='was made for ROS from wheels; this terminal offers ROS 2 jazzy'
    ):
        sourced.due()


def test_libero_once_asked_for_stays(script, tmp_path, wheels):
    folder = tmp_path / 'venv'
    folder.mkdir()
    first = script.Environment(folder, wheels, libero=True)
    for step in first.steps():
        first.done(step)

    names = [step.name for step in script.Environment(folder, wheels).steps()]

    assert 'libero' in names
    assert 'libero' not in [step.name for step in script.Environment(tmp_path / 'other', wheels).steps()]


def failing_pip(script, environment, monkeypatch, words):
    ran = []

    def pip(*arguments):
        ran.append(arguments)
        raise script.EnvironmentProblem(f'This failed: pip install\n    {words}')

    monkeypatch.setattr(environment, '_pip', pip)
    return ran


def test_without_a_wheel_of_pin_the_environment_is_made_all_the_same(script, tmp_path, wheels, monkeypatch, capsys):
    environment = script.Environment(tmp_path / 'venv', wheels)
    (step,) = [step for step in environment.steps() if step.name == 'kinematics']
    ran = failing_pip(script, environment, monkeypatch, 'ERROR: No matching distribution found for pin>=3')
    assert step.action() is not False, 'it is not tried again at every make'
    assert ran == [('--only-binary=:all:', 'pin>=3', 'numpy<2.3')]
    assert 'no wheel of pin' in capsys.readouterr().out


def test_pin_is_asked_for_beside_the_numpy_that_is_there(script, tmp_path, wheels, monkeypatch, capsys):
    """With a range pip looks through all of its releases, some hundred MB, before it says that none fits."""
    folder = tmp_path / 'venv'
    (folder / 'lib/python3.12/site-packages/numpy-1.26.4.dist-info').mkdir(parents=True)
    environment = script.Environment(folder, wheels)
    (step,) = [step for step in environment.steps() if step.name == 'kinematics']
    ran = failing_pip(script, environment, monkeypatch, 'ERROR: ResolutionImpossible')
    step.action()
    assert ran == [('--only-binary=:all:', 'pin>=3', 'numpy==1.26.4')]
    assert 'apt-get' not in capsys.readouterr().out, 'there is no ROS from apt'
    sourced = script.Environment(tmp_path / 'other', script.Ros(sourced=True, name='ROS 2 jazzy as sourced'))
    monkeypatch.setattr(script, '_system_numpy', lambda: '1.24.2')
    monkeypatch.setattr(script.importlib.util, 'find_spec', lambda name: None)
    ran = failing_pip(script, sourced, monkeypatch, 'ERROR: ResolutionImpossible')
    sourced._kinematics()
    assert ran[0][-1] == 'numpy==1.24.2'
    assert 'apt-get install ros-$ROS_DISTRO-pinocchio' in capsys.readouterr().out


def test_a_network_that_fails_is_no_wheel_that_is_missing(script, tmp_path, wheels, monkeypatch):
    environment = script.Environment(tmp_path / 'venv', wheels)
    (step,) = [step for step in environment.steps() if step.name == 'kinematics']
    failing_pip(script, environment, monkeypatch, 'ReadTimeoutError: Read timed out.')
    with pytest.raises(script.EnvironmentProblem, match='Read timed out'):
        step.action()


def test_what_a_sourced_ros_has_of_pin_is_used(script, tmp_path, monkeypatch):
    environment = script.Environment(tmp_path / 'venv', script.Ros(sourced=True, name='ROS 2 jazzy as sourced'))
    (step,) = [step for step in environment.steps() if step.name == 'kinematics']
    ran = failing_pip(script, environment, monkeypatch, 'it is not asked for')
    monkeypatch.setattr(script.importlib.util, 'find_spec', lambda name: object() if name == 'pinocchio' else None)
    step.action()
    assert ran == []


def test_a_failing_command_shows_the_end_of_its_output_and_keeps_it_all(script, tmp_path, wheels):
    environment = script.Environment(tmp_path, wheels)

    with pytest.raises(script.EnvironmentProblem) as caught:
        environment._run([sys.executable, '-c', "[print('line', n) for n in range(50)]; raise SystemExit(3)"])

    assert 'line 49' in str(caught.value)
    assert 'line 10' not in str(caught.value)
    assert 'line 10' in environment.log.read_text()


def prefix_with_rclpy(folder, python='python3.12'):
    (folder / 'lib' / python / 'site-packages' / 'rclpy').mkdir(parents=True)
    return {'AMENT_PREFIX_PATH': str(folder), 'ROS_DISTRO': 'jazzy'}


def test_without_a_sourced_ros_the_wheels_are_used(script, tmp_path):
    assert not script.Ros.find({}, lambda name: False).sourced
    # a workspace alone is no ROS
    assert not script.Ros.find({'AMENT_PREFIX_PATH': str(tmp_path)}, lambda name: False).sourced


def test_a_sourced_ros_is_used_and_its_wheels_are_not_installed(script, tmp_path):
    ros = script.Ros.find(prefix_with_rclpy(tmp_path), lambda name: True)

    assert ros == script.Ros(sourced=True, name='ROS 2 jazzy as sourced')
    assert 'ros' not in [step.name for step in script.Environment(tmp_path / 'venv', ros).steps()]


def test_a_sourced_ros_for_another_python_names_the_one_to_use(script, tmp_path):
    with pytest.raises(script.EnvironmentProblem, match=r'make PYTHON=/usr/bin/python3\.12'):
        script.Ros.find(prefix_with_rclpy(tmp_path), lambda name: False)


def test_a_sourced_ros_without_cv_bridge_names_the_package(script, tmp_path):
    with pytest.raises(script.EnvironmentProblem, match=r'sudo apt install ros-jazzy-cv-bridge$'):
        script.Ros.find(prefix_with_rclpy(tmp_path), lambda name: name != 'cv_bridge')


def test_what_a_sourced_ros_can_do_without_is_named_and_refuses_nothing(script, tmp_path, monkeypatch, capsys):
    found = prefix_with_rclpy(tmp_path / 'ros')
    ros = script.Ros.find(found, lambda name: name not in ('control_msgs', 'visualization_msgs'))
    assert ros.lacking == ('control_msgs', 'visualization_msgs')
    assert script.Ros.find({}, lambda name: False).lacking == (), "PyPI's wheels"

    monkeypatch.setattr(script.Ros, 'find', lambda *_: script.Ros(True, ros.name, ('control_msgs',)))
    monkeypatch.setattr(script, 'make', lambda environment, rendering: environment.folder.mkdir())
    monkeypatch.setattr(script, 'fitting_python', lambda version, sourced: None)
    monkeypatch.setenv('ROS_DISTRO', 'jazzy')
    monkeypatch.setattr(script.sys, 'argv', ['environment.py', '--workspace', '--venv', str(tmp_path / 'venv')])
    assert script.main() == 0
    assert 'gripper_command) needs; all else works. Type: sudo apt install ros-jazzy-control-msgs\n' in (
        capsys.readouterr().out
    )


def test_every_package_of_ros_in_package_xml_is_looked_for(script):
    declared = ElementTree.parse(ROOT / 'package.xml').getroot().findall('exec_depend')
    names = {node.text for node in declared if not node.text.startswith('python3-')}
    come_with_ros = {'ament_index_python', 'builtin_interfaces', 'launch', 'rcl_interfaces', 'rclpy', 'ros2launch'}

    assert names - come_with_ros == {*script.ROS_MODULES, *script.ROS_OPTIONAL}


@pytest.mark.parametrize('version', [(3, 9), (3, 14)])
def test_a_python_that_does_not_fit_is_replaced_or_refused(script, monkeypatch, tmp_path, version):
    other = tmp_path / 'python3.12'
    other.write_text('#!/bin/sh\nexit 0\n')
    other.chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path))
    assert script.fitting_python(version) == str(other)

    other.write_text('#!/bin/sh\nexit 127\n')
    with pytest.raises(script.EnvironmentProblem, match=r'needs Python 3\.10, 3\.11, 3\.12 or 3\.13'):
        script.fitting_python(version)


def test_a_sourced_ros_may_have_a_newer_python_than_there_are_wheels_for(script, monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.setattr(script.sys, 'prefix', script.sys.base_prefix)

    assert script.fitting_python((3, 14), sourced=True) is None
    with pytest.raises(script.EnvironmentProblem, match='needs Python'):
        script.fitting_python((3, 9), sourced=True)


@pytest.mark.parametrize(
    ('sourced', 'system', 'wanted'),
    [
        (True, '1.26.4', 'numpy<2'),  # Humble, Jazzy, Kilted
        (True, '2.3.5', 'numpy>=1.24'),  # Lyrical
        (True, None, 'numpy>=1.24'),
        (False, '1.26.4', 'numpy<2.3'),  # PyPI's cv_bridge
    ],
)
def test_numpy_stays_what_cv_bridge_was_made_for(script, sourced, system, wanted):
    assert script.numpy_requirement(script.Ros(sourced, 'ROS'), system) == wanted


def test_beside_a_sourced_ros_setuptools_stays_one_that_colcon_can_use(script, monkeypatch, tmp_path, wheels):
    def held(ros):
        environment = script.Environment(tmp_path, ros)
        monkeypatch.setattr(environment, '_run', lambda command: None)
        environment._pip('torch')
        return environment._constraints.read_text().splitlines()

    monkeypatch.setattr(script, '_system_numpy', lambda: '1.26.4')
    jazzy = held(script.Ros(True, 'ROS 2 jazzy as sourced'))
    assert {'numpy<2', 'setuptools<80', 'pyarrow<26'} <= set(jazzy), 'pyarrow 26 does not load with NumPy 1'
    monkeypatch.setattr(script, '_system_numpy', lambda: '2.3.5')
    assert not [line for line in held(script.Ros(True, 'ROS 2 lyrical as sourced')) if 'pyarrow' in line]
    assert not [line for line in held(wheels) if 'setuptools' in line]
    assert 'opencv-python-headless<4.13' in held(wheels)


def test_torch_from_another_index_is_kept(script, tmp_path, wheels):
    folder = tmp_path / 'venv'
    folder.mkdir()
    first = script.Environment(folder, wheels, torch_index='file:///builds')
    for step in first.steps():
        first.done(step)

    again = script.Environment(folder, wheels)

    (torch,) = [step for step in again.steps() if step.name == 'torch']
    assert torch.key.startswith('--index-url file:///builds torch>=2.5')


def test_without_a_gpu_the_smaller_torch_is_told(script):
    assert 'TORCH_INDEX=ADDRESS' in script.torch_title('', gpu=False)
    assert 'TORCH_INDEX' not in script.torch_title('', gpu=True)
    assert script.torch_title('file:///builds', gpu=False) == 'torch and torchvision from file:///builds'


@pytest.mark.parametrize(
    ('found', 'typed'), [(['jazzy'], '. /opt/ros/jazzy/setup.bash, then make ros'), ([], 'make demo')]
)
def test_a_workspace_needs_a_sourced_ros(script, found, typed):
    assert typed in script.nothing_sourced([Path(f'/opt/ros/{name}/setup.bash') for name in found])


@pytest.mark.parametrize(('checkout', 'workspace'), [('ws/src/mode_ros', 'ws'), ('code/mode_ros', 'code/mode_ros')])
def test_what_to_type_next_is_told(script, tmp_path, checkout, workspace):
    told = script.what_next(tmp_path / '.venv', tmp_path / checkout)

    assert f'. {tmp_path}/.venv/bin/activate' in told
    assert f'cd {tmp_path / workspace} && python3 -m colcon build' in told


def test_colcon_never_looks_into_the_environment(script, monkeypatch, tmp_path):
    monkeypatch.setattr(script, 'make', lambda environment, rendering: environment.folder.mkdir())
    monkeypatch.setattr(script, 'fitting_python', lambda version, sourced: None)
    monkeypatch.setattr(script.sys, 'argv', ['environment.py', '--venv', str(tmp_path / 'venv')])

    assert script.main() == 0
    assert (tmp_path / 'venv' / 'COLCON_IGNORE').is_file()


def test_a_machine_without_rendering_is_told_what_to_type(script, monkeypatch, tmp_path, wheels, capsys):
    environment = script.Environment(tmp_path, wheels)
    monkeypatch.setattr(environment, '_draws', lambda: False)
    monkeypatch.setattr(script.os, 'geteuid', lambda: 1000)

    assert environment._render() is False
    assert 'sudo apt-get install -y libosmesa6' in capsys.readouterr().out


def test_root_gets_the_rendering_library_installed(script, monkeypatch, tmp_path, wheels):
    environment = script.Environment(tmp_path, wheels)
    ran = []
    monkeypatch.setattr(environment, '_draws', lambda: bool(ran))
    monkeypatch.setattr(environment, '_run', lambda command, **_: ran.append(command[-1]))
    monkeypatch.setattr(script.os, 'geteuid', lambda: 0)
    monkeypatch.setattr(script.shutil, 'which', lambda name: f'/usr/bin/{name}')

    assert environment._render() is True
    assert ran == ['apt-get update && apt-get install -y --no-install-recommends libosmesa6']


def test_make_lists_its_targets():
    result = subprocess.run(['make', '-C', ROOT, '--no-print-directory'], capture_output=True, text=True, check=True)

    for target in ('env', 'demo', 'test', 'test-slow', 'lint', 'clean'):
        assert f'  {target} ' in result.stdout
