"""scripts/measure_gpu.sh without a GPU: what it runs, whether the command line takes it, how it shares its time."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import torch

import mode_ros.bench.run
from mode_ros.cli.main import main

SCRIPT = Path(__file__).parents[2] / 'scripts' / 'measure_gpu.sh'


def run_script(folder, **environment):
    """Its calls of Python, which does nothing, and its log."""
    python = folder / 'python'
    python.write_text(f'#!/bin/bash\nprintf "%q " "$@" >> {folder}/calls; echo >> {folder}/calls\n')
    python.chmod(0o755)
    given = {**os.environ, 'OUT': str(folder / 'out'), 'PYTHON': str(python), 'DEVICE': 'cuda', **environment}
    subprocess.run(['bash', str(SCRIPT)], env=given, check=True, capture_output=True)
    calls = [shlex.split(line) for line in (folder / 'calls').read_text().splitlines()]
    return calls, (folder / 'out' / 'log.txt').read_text()


def bench(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(['bench', *arguments])
    return ended.value.code


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda: True)


@pytest.fixture
def measured(monkeypatch):
    found = []
    for name in ('run_card', 'run_comparison'):
        monkeypatch.setattr(mode_ros.bench.run, name, lambda *given: found.append(given))
    return found


def test_the_command_line_takes_what_the_script_runs_on_a_gpu(gpu, measured, tmp_path):
    (_, *cards), _ = run_script(tmp_path, POLICY='some/policy')
    assert [call[:3] for call in cards] == [['-m', 'mode_ros', 'bench']] * 2
    for call in cards:
        assert bench(*call[3:]) == 0
    small, large = measured
    assert [given[0].configuration for given in measured] == ['small', 'large']
    assert all(given[0].device == 'cuda' for given in measured)
    assert {*small[1]} == {*large[1]} == {'chunks', 'images', 'training'}
    assert small[3] == Path('some/policy')


def test_a_gpu_is_not_asked_for_int8_unless_it_is_named(gpu, measured, capsys):
    assert bench('--device', 'cuda') == 0
    assert bench('--device', 'cuda', '--variants', 'float32', 'bfloat16') == 0
    found = mode_ros.bench.run.on_device(('mixture', 'float32', 'bfloat16', 'int8'), 'cuda')
    assert found == ('mixture', 'float32', 'bfloat16')
    by_default, named = (given[0].variants for given in measured)
    assert by_default == ('fused copies', 'mixture', 'dense', 'float32', 'bfloat16')
    assert named == ('float32', 'bfloat16')
    assert bench('--device', 'cuda', '--variants', 'float32', 'int8') == 1
    assert "'int8' is not for this device, a GPU" in capsys.readouterr().err


def test_no_gpu_is_told_before_what_it_lacks(measured, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert bench('--device', 'cuda') == 1
    assert 'CUDA is not available here' in capsys.readouterr().err
    assert not measured


@pytest.mark.parametrize('limit', [150, 400])
def test_parts_share_the_time_that_there_is(limit, tmp_path):
    _, log = run_script(tmp_path, LIMIT=str(limit))
    parts = re.findall(r'== (\w+): status 0 after \d+ of (\d+) s, \d+ of (\d+) s in all', log)
    assert [name for name, *_ in parts] == ['tests', 'small', 'large']
    tests, small, large = (int(seconds) for _, seconds, _ in parts)
    assert {int(all_of_it) for *_, all_of_it in parts} == {limit}
    assert 0.3 * limit < tests < 0.45 * limit
    assert 0.3 * limit < small < 0.45 * limit
    assert large > 0.7 * limit  # here nothing took any time, and what the others leave is its own


def test_without_time_nothing_begins(tmp_path):
    (tmp_path / 'calls').touch()
    calls, log = run_script(tmp_path, LIMIT='4')
    assert calls == []
    assert log.count('no time left') == 3
