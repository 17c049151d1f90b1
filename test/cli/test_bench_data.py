"""`mode_ros bench-data --record`: what it measures is what was written."""

import json
import subprocess
import sys

import pytest

from mode_ros.bench_data.record import CONTRACT, _number
from mode_ros.control.contract import parse_contract
from mode_ros.recording.topics import recorded_topics


def bench(*arguments):
    command = [sys.executable, '-m', 'mode_ros', 'bench-data', '--record', *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_robot_of_the_benchmark_fits_its_contract():
    names = [topic.name for topic in recorded_topics(parse_contract(CONTRACT, 'bench')) if topic.max_age]
    assert names == ['bench/camera_0', 'bench/camera_1', 'bench/joint_states']


def test_numbers_are_read_from_the_message_as_it_is():
    from rosbags.typesys import Stores, get_typestore

    types = get_typestore(Stores.ROS2_HUMBLE)
    stamp = types.types['builtin_interfaces/msg/Time'](1, 2)
    header = types.types['std_msgs/msg/Header'](stamp, '1234')
    assert _number(bytes(types.serialize_cdr(header, 'std_msgs/msg/Header'))) == 1234


@pytest.mark.parametrize('seconds', ['0', '-1', '1e9', 'nan'])
def test_a_duration_that_cannot_be_is_named(seconds):
    done = bench(f'--seconds={seconds}')
    assert done.returncode == 1
    assert 'is out of range; give 1 to 3600.' in done.stderr
    assert 'Traceback' not in done.stderr


@pytest.mark.slow
def test_a_short_recording_is_measured(tmp_path):
    done = bench('--seconds', '3', '--folder', str(tmp_path / 'bags'), '--json', str(tmp_path / 'told.json'))
    assert done.returncode in (0, 3), done.stderr
    told = json.loads((tmp_path / 'told.json').read_text())
    assert told['recorded']['/bench/camera_0'] == pytest.approx(90, rel=0.2)
    assert told['recorded']['/bench/joint_states'] == pytest.approx(300, rel=0.2)
    assert told['MB/s'] == pytest.approx(55.0, rel=0.2)
    assert told['reached'] == (sum(told['lost'].values()) == 0) == (done.returncode == 0)
    assert not list((tmp_path / 'bags').iterdir()), 'gigabytes are not left behind'
