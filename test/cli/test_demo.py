"""`mode_ros demo` as a user types it: three processes, one episode, a table and a film."""

import os
import signal
import subprocess
import sys

import av
import pytest

pytest.importorskip('metaworld')
pytestmark = pytest.mark.rendering


COMMAND = [sys.executable, '-m', 'mode_ros', 'demo']


def mark(folder):
    """An environment in which every node that the demo starts has `folder` in its command line."""
    return {**os.environ, 'TMPDIR': str(folder)}


def left_behind(folder):
    listing = subprocess.run(['ps', '-eww', '-o', 'args'], capture_output=True, text=True, check=True).stdout
    return [line for line in listing.splitlines() if 'mode_ros.nodes' in line and str(folder) in line]


def demo(folder, *arguments):
    command = [*COMMAND, *arguments, '--output', str(folder / 'out')]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=mark(folder))


def test_an_episode_ends_with_a_table_and_a_film(tmp_path):
    output = tmp_path / 'out'
    done = demo(tmp_path, '--untrained', '--seconds', '3', '--task', 'drawer-open', '--goal', 'touch the red ball')
    assert done.returncode == 0, done.stderr
    assert 'UNTRAINED' in done.stdout
    table = {
        line.split('  ')[1]: line.split('  ')[-1].strip() for line in (output / 'demo.txt').read_text().splitlines()
    }
    assert table['goal'] == 'touch the red ball'
    assert table['success'].startswith('no')
    assert int(table['chunks'].split()[0]) >= 1
    rate = float(table['control rate'].split()[0])
    assert 5.0 < rate <= 21.0
    with av.open(str(output / 'demo.mp4')) as film:
        frames = [frame.to_ndarray(format='rgb24') for frame in film.decode(video=0)]
    assert len(frames) > 20
    assert frames[0].shape == (440, 768, 3)
    assert frames[0][:384].std() > 20
    assert frames[0][384:].max() > 150, 'the goal is written below'
    assert (output / 'demo.png').stat().st_size > 10_000


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_ends_all_it_started(tmp_path, number):
    command = [*COMMAND, '--untrained', '--output', str(tmp_path / 'out')]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=mark(tmp_path)
    ) as process:
        for line in process.stdout:
            if line.startswith('starting'):
                break
        nodes = left_behind(tmp_path)
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number, errors
    assert len(nodes) == 3
    assert not left_behind(tmp_path)
    assert 'Traceback' not in errors


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--checkpoint', 'nowhere'], 'nowhere'),
        (['--task', 'drawer-opn'], 'drawer-open'),
        (['--simulator', 'libero', '--task', 'libero_spacial/0'], 'libero_spatial'),
    ],
)
def test_what_cannot_be_shown_is_said_and_leaves_nothing(tmp_path, arguments, words):
    if 'libero' in arguments:
        pytest.importorskip('libero')
    done = demo(tmp_path, *arguments)
    assert done.returncode == 1
    assert words in done.stderr
    assert 'Traceback' not in done.stderr
    assert not left_behind(tmp_path)
