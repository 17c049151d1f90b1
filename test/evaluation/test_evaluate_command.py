"""`mode_ros evaluate` as a user types it."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from mode_ros.cli.main import main


@pytest.fixture
def command(capsys, monkeypatch):
    """Runs the command in this process; gives its exit status, output and errors."""
    # main leaves its signal handlers in place, which a test run must not keep.
    monkeypatch.setattr(signal, 'signal', lambda number, handler: None)

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main(['evaluate', *map(str, arguments)])
        printed = capsys.readouterr()
        return end.value.code or 0, printed.out, printed.err

    return run


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ([], 'No checkpoint is given: name its folder, or two results after --compare.'),
        (['{checkpoint}', '--suite', 'metaworld-dmo'], 'metaworld-demo'),
        (['{checkpoint}', '--tasks', 'drawer-opn'], 'drawer-open'),
        (['{checkpoint}', '--rollouts', '0'], 'rollouts'),
        (['{checkpoint}', '--seeds', '5-x'], "'5-x' names no seeds"),
        (['{checkpoint}', '--jobs', '0'], 'jobs'),
        (['{checkpoint}', '--suite', 'calvin'], 'calvin_env is missing'),
        (['nowhere'], 'There is no checkpoint folder nowhere'),
        (['{checkpoint}', '--actions', '5'], "actions 5 changes nothing in the execution 'synchronous'"),
        (['{checkpoint}', '--actions', '5', '--execution', 'ensemble'], 'give it with receding, realtime or naive'),
    ],
)
def test_what_cannot_be_used_is_one_sentence(command, checkpoint, tmp_path, arguments, words):
    given = [text.format(checkpoint=checkpoint) for text in arguments]
    code, out, errors = command(*given, '--output', tmp_path / 'out')
    assert code == 1
    assert words in errors
    assert len(errors.strip().splitlines()) == 1
    assert out == ''
    assert not (tmp_path / 'out').exists()


def test_what_is_typed_beside_a_comparison_is_not_ignored(command, tmp_path):
    for besides, told in ((['c'], 'leave out c.'), (['--videos', '1', '--seeds', '3'], 'leave out --seeds, --videos.')):
        code, _, errors = command(*besides, '--compare', 'a', 'b')
        assert (code, len(errors.strip().splitlines())) == (1, 1)
        assert errors.strip().endswith(f'--compare takes two results and runs nothing: {told}')
    code, _, errors = command('--compare', tmp_path / 'a', 'b')
    assert code == 1
    assert 'a cannot be read' in errors


def test_a_checkpoint_for_another_robot_is_refused(command, checkpoint, tmp_path):
    pytest.importorskip('libero')
    code, _, errors = command(
        checkpoint, '--suite', 'libero-object', '--tasks', '0', '--output', tmp_path / 'out', '--latency', '0.1'
    )
    assert code == 1
    assert 'does not fit the simulated Panda arm of LIBERO: it commands' in errors


def test_a_missing_renderer_is_said(command, checkpoint, tmp_path, monkeypatch):
    pytest.importorskip('metaworld')
    from mode_ros.sim import metaworld_sim

    metaworld_sim._import_metaworld.cache_clear()
    monkeypatch.setenv('MUJOCO_GL', 'vulkan')
    try:
        code, _, errors = command(checkpoint, '--tasks', 'reach', '--latency', '0.1', '--output', tmp_path / 'out')
    finally:
        metaworld_sim._import_metaworld.cache_clear()
    assert code == 1
    assert "MUJOCO_GL is 'vulkan', which is not one of egl, osmesa" in errors


def test_a_table_is_printed_and_two_results_are_compared(command, checkpoint, tmp_path, point):
    options = [checkpoint, '--tasks', 'reach,push', '--seeds', '2-3', '--latency', '2', '--videos', '0']
    code, out, _ = command(*options, '--output', tmp_path / 'a')
    assert code == 0
    assert [line.split()[0] for line in out.splitlines() if ' of ' in line][:3] == ['reach', 'push', 'mean']
    assert 'Wilson' in out
    assert command(*options, '--output', tmp_path / 'b', '--steps', '2')[0] == 0

    code, out, _ = command('--compare', tmp_path / 'a' / 'results.json', tmp_path / 'b')

    assert code == 0
    assert 'steps: not given and 2' in out
    assert '4 pairs of episodes' in out


@pytest.mark.slow
@pytest.mark.rendering
def test_interrupted_in_parallel_and_gone_on_with(checkpoint, tmp_path):
    pytest.importorskip('metaworld')
    out = tmp_path / 'out'
    words = [sys.executable, '-m', 'mode_ros', 'evaluate', str(checkpoint), '--tasks', 'reach', '--rollouts', '8']
    words += ['--jobs', '2', '--latency', '0.05', '--videos', '1', '--output', str(out)]
    marked = {**os.environ, 'MODE_ROS_TEST': str(tmp_path)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=marked) as process:
        deadline = time.monotonic() + 240
        while not (out / 'episodes.jsonl').exists():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert 'type the same command again to go on' in errors
    assert 'Traceback' not in errors
    assert not _left_behind(tmp_path)
    before = _lines(out)
    assert 0 < len(before) < 8

    done = subprocess.run(words, capture_output=True, text=True, timeout=400, env=marked, check=False)

    assert done.returncode == 0, done.stderr
    assert _lines(out)[: len(before)] == before
    assert sorted(line['seed'] for line in _lines(out)) == list(range(8))
    solved = sum(line['success'] for line in _lines(out))  # an untrained arm may touch the goal
    assert f'{solved} of 8' in done.stdout
    assert json.loads((out / 'results.json').read_text())['mean']['successes'] == solved


def _lines(folder):
    return [json.loads(line) for line in (folder / 'episodes.jsonl').read_text().splitlines()]


def _left_behind(folder):
    found = []
    for path in os.listdir('/proc'):
        if path.isdecimal():
            try:
                with open(f'/proc/{path}/environ', 'rb') as file:
                    if f'MODE_ROS_TEST={folder}'.encode() in file.read():
                        found.append(path)
            except OSError:
                continue
    return found
