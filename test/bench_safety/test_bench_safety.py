"""The benchmark's folder, its table and its command line; one fault of each kind with real processes."""

import json

import numpy as np
import pytest
from rclpy.serialization import deserialize_message
from trajectory_msgs.msg import JointTrajectory

from mode_ros.bench_safety import motion, report
from mode_ros.bench_safety.contracts import FAST, bench_contract
from mode_ros.bench_safety.faults import FAULTS, find
from mode_ros.bench_safety.faults.fault import SERVICE
from mode_ros.bench_safety.faults.policy import lengthened
from mode_ros.bench_safety.journal import TRIES, Journal, Try
from mode_ros.bench_safety.path import JOINT_STEP, RADIUS, TWIST_STEP, circle, turning
from mode_ros.cli.main import main
from mode_ros.control.chunk import make_chunk
from mode_ros.errors import UserError
from mode_ros.messages.chunks import decode_chunk, encode_chunk


def made(number=0, **changes):
    given = {
        'fault': 'emergency stop',
        'number': number,
        'phase': 0.1,
        'first': 0.5 + number,
        'rest': 2.0 + number,
        'excess': {'step': 0.0},
        'cause': 'the emergency stop is engaged',
        'named': True,
        'released': SERVICE,
    }
    return Try(**{**given, **changes})


def test_finished_tries_are_kept_and_a_torn_line_is_made_again(tmp_path):
    journal = Journal(tmp_path, {'a': 1})
    journal.add(made(0))
    journal.add(made(1))
    path = tmp_path / TRIES
    path.write_bytes(path.read_bytes() + b'{"fault": "emerg')
    again = Journal(tmp_path, {'a': 1})
    assert sorted(again.tries) == [('emergency stop', 0), ('emergency stop', 1)]
    assert again.tries['emergency stop', 1] == made(1)
    again.add(made(2))
    assert len(Journal(tmp_path, {'a': 1}).tries) == 3


def test_a_folder_of_other_settings_or_with_a_strange_line_is_refused(tmp_path):
    Journal(tmp_path, {'a': 1, 'b': 1}).add(made())
    with pytest.raises(UserError, match='another b'):
        Journal(tmp_path, {'a': 1, 'b': 2})
    with (tmp_path / TRIES).open('a') as file:
        file.write('{"fault": 1}\n')
    with pytest.raises(UserError, match='line 2 is not a try'):
        Journal(tmp_path, {'a': 1, 'b': 1})


def estop():
    return find(['emergency stop'])[0]


def test_a_row_is_as_stated_only_when_every_try_is():
    kept = [made(0), made(1)]
    row = report.summarise(estop(), kept, 0.05)
    assert (row.tries, row.stopped, row.named, row.excess, row.reached) == (2, 2, 2, 0.0, True)
    assert row.first == (1.0, 1.49, 1.5)
    for broken in (
        {'first': 2.5},
        {'first': None, 'rest': None},
        {'excess': {'step': 0.01}},
        {'named': False},
        {'released': 'by itself'},
    ):
        assert not report.summarise(estop(), [*kept, made(0, **broken)], 0.05).reached, broken


def test_the_table_is_written_three_times(tmp_path):
    rows = [report.summarise(estop(), [made(0), made(1, first=9.0)], 0.05)]
    text = report.write(tmp_path, rows, {'cores': 2})
    assert text.endswith('Not as stated: emergency stop.')
    assert 'cores 2' in text
    assert (tmp_path / 'table.txt').read_text().strip() == text
    markdown = (tmp_path / 'table.md').read_text().splitlines()
    assert markdown[2].startswith('| emergency stop | 2 | 4.8 / 8.9 / 9.0 |')
    assert json.loads((tmp_path / 'table.json').read_text())['faults'][0]['named'] == 2


def test_every_fault_has_a_name_of_its_own_and_says_what_it_is():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) > 30
    for fault in FAULTS:
        assert fault.name
        assert ',' not in fault.name, '--faults is split at commas'
        assert fault.description.endswith('.')


def test_an_unknown_fault_is_refused_with_the_nearest(capsys):
    with pytest.raises(SystemExit) as ended:
        main(['bench-safety', '--faults', 'emergency stopp'])
    assert ended.value.code == 1
    assert "did you mean 'emergency stop'?" in capsys.readouterr().err


def described(told=None, sent=None, busy=0, **more):
    cell = motion.Cell(FAST if busy else 'joints', 'realtime', 0.15, 20, 12.0, busy)
    told = {'held share (%)': '1.9', 'delay p50 (periods)': '3', 'chunks': '9', 'chunks late': '1', **(told or {})}
    sent = np.arange(200) * 20_000_000 if sent is None else sent
    return motion.describe(cell, told, sent, more.get('excess', {}), more.get('complaints', []))


def test_motion_is_reached_when_the_arm_hardly_waits_and_nothing_stops_it():
    assert described().reached
    assert (described().late, described().period) == (1, (20.0, 20.0, 20.0))
    assert not described({'held share (%)': '2.0'}).reached
    assert not described({'held share (%)': ''}).reached, 'no chunk was ever played'
    assert not described({'stopped by': 'stale: joints'}).reached
    assert not described(complaints=['stopped: joints: last message 0.3 s ago']).reached
    assert not described(excess={'step': 0.1}).reached


def test_periods_are_judged_where_inference_fills_the_cores():
    assert described({'held share (%)': '50'}, busy=2).reached, 'what is asked there is how regular it is'
    one_late = np.arange(200) * 20_000_000
    one_late[100:] += 11_000_000
    assert not described(sent=one_late, busy=2).reached
    assert not described(sent=np.arange(200) * 24_000_000, busy=2).reached


def test_the_motion_table_names_every_cell(tmp_path):
    cells = motion.grid('naive', [0.084, 0.3], [10, 20], 2.0)
    assert [(cell.thinking, cell.length) for cell in cells] == [(0.084, 10), (0.084, 20), (0.3, 10), (0.3, 20)]
    text = motion.write(tmp_path, [described(), described({'stopped by': 'jump: x'})], {'cores': 2})
    rows = [line for line in text.splitlines() if line.startswith('| realtime | 150 | 20 |')]
    assert [row.endswith('| yes |') for row in rows] == [True, False]
    assert 'no, stopped: jump: x' in rows[1]
    assert [cell['reached'] for cell in json.loads((tmp_path / 'table.json').read_text())['cells']] == [True, False]


def test_a_number_of_the_motion_bench_that_cannot_be_is_refused(capsys):
    for words in (['--thinking', '-1'], ['--lengths', '1'], ['--seconds', '1']):
        with pytest.raises(SystemExit) as ended:
            main(['bench-control', *words])
        assert ended.value.code == 1
        assert 'is out of range' in capsys.readouterr().err


def test_a_chunk_is_lengthened_without_encoding_its_points():
    contract = bench_contract('joints')
    actions = np.arange(60.0).reshape(20, 3)
    data = lengthened(encode_chunk(make_chunk(contract, 7, actions, 'a-1')), 20_000)
    chunk = decode_chunk(deserialize_message(data, JointTrajectory))
    assert (chunk.identity, chunk.names) == ('a-1', contract.action_names)
    assert np.array_equal(chunk.actions[:20], actions)
    assert np.array_equal(chunk.actions[20:], np.tile(actions[-1], (19_980, 1)))


def test_the_fake_policy_never_changes_its_speed():
    steps = np.diff(circle(np.array([RADIUS, 0.0, 0.0]), 200), axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    assert lengths == pytest.approx(JOINT_STEP, rel=0.01)
    assert np.abs(np.diff(steps, axis=0)).max() < 0.005
    assert np.linalg.norm(turning(np.zeros(3), 50), axis=1) == pytest.approx(TWIST_STEP)
    led_back = circle(np.array([0.9, 0.1, 0.3]), 200)
    assert np.hypot(led_back[-1, 0], led_back[-1, 1]) == pytest.approx(RADIUS)
