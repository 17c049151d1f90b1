"""The benchmarks of conversion and loading, made short."""

import json
import os
import sys

import pytest

from mode_ros.bench_data import bag, load
from mode_ros.bench_data.memory import run_watched
from mode_ros.cli.main import main


def test_what_a_command_takes_is_measured_with_its_children():
    block = 80_000_000

    def watched(size):
        child = f'import time; block = bytearray({size}); time.sleep(1.0)'
        parent = f'import subprocess, sys; print("hello"); subprocess.run([sys.executable, "-c", {child!r}])'
        return run_watched([sys.executable, '-c', parent])

    usage, without = watched(block), watched(1)
    assert usage.status == 0
    assert usage.output == 'hello\n'
    # The difference, for what the interpreters take themselves varies; a block counted twice would be two.
    assert 0.7 * block < usage.peak - without.peak < 1.5 * block
    assert usage.seconds > 1.0
    assert usage.cpu < usage.seconds


def test_a_command_that_says_much_is_not_held_up():
    usage = run_watched([sys.executable, '-c', 'print("x" * 1_000_000)'])
    assert usage.status == 0
    assert len(usage.output) == 1_000_001


@pytest.mark.slow
def test_conversion_is_measured(tmp_path, capfd):
    with pytest.raises(SystemExit):
        main(
            ['bench-data', '--convert', '--seconds', '2', '--repeat', '1', '--folder', str(tmp_path / 'work')]
            + ['--json', str(tmp_path / 'numbers.json')]
        )
    numbers = json.loads((tmp_path / 'numbers.json').read_text())
    assert numbers['times real time'] > 0
    assert 50 < numbers['memory (MB)'] < 700
    assert 'times real time' in capfd.readouterr().out
    assert not os.listdir(tmp_path / 'work')


def test_loading_is_measured(tmp_path, capfd, monkeypatch):
    for name, value in (('EPISODES', 1), ('EPISODE_SECONDS', 1.0), ('ROUNDS', 2), ('ROUND_SECONDS', 0.1)):
        monkeypatch.setattr(load, name, value)
    monkeypatch.setattr(bag, 'PICTURES', 10)
    with pytest.raises(SystemExit):
        main(['bench-data', '--load', '--json', str(tmp_path / 'numbers.json')])
    numbers = json.loads((tmp_path / 'numbers.json').read_text())
    assert numbers['frames'] == 29
    assert numbers['samples/s'] > 0
    assert 'samples/s' in capfd.readouterr().out


def test_very_many_episodes_are_measured_step_by_step(tmp_path):
    from mode_ros.bench_data.many_worker import main

    found = main(20, tmp_path / 'work')
    assert set(found) == {
        'convert (ms)', 'open (ms)', 'edit (ms)', 'memory (KB)', 'stage, first tenth (ms)', 'stage, last tenth (ms)'
    }  # fmt: skip
    assert all(value > 0 for name, value in found.items() if name != 'memory (KB)')
    assert found['stage, first tenth (ms)'] < 20 * found['convert (ms)']
