"""Two processes on one machine, as `accelerate launch` starts them: one batch, one loss, one checkpoint."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from support.training_sets import joints_set, logged

from mode_ros.policy.checkpoint import load_checkpoint
from mode_ros.training.snapshots import checkpoints, load_state

pytestmark = pytest.mark.slow

LAUNCH = [
    sys.executable, '-m', 'accelerate.commands.launch', '--multi_gpu', '--num_processes', '2', '--num_machines', '1',
    '--mixed_precision', 'no', '--dynamo_backend', 'no', '--main_process_port', '0', '-m',
]  # fmt: skip
ALONE = [sys.executable, '-m']
SMALL = [
    'policy.embed_dim=32', 'policy.layers=2', 'policy.heads=2', 'policy.states=all', 'policy.attention_dropout=0',
    'policy.expert_dropout=0', 'run.batch_size=16', 'run.log_every=1', 'run.precision=float32',
]  # fmt: skip


@pytest.fixture(scope='module')
def joints(tmp_path_factory):
    return joints_set(tmp_path_factory.mktemp('joints') / 'data')


def command(launcher, data, out, *more):
    options = [option for option in more if option.startswith('--')]
    changes = [f'data.path={data}', *SMALL, *(change for change in more if not change.startswith('--'))]
    return [*launcher, 'mode_ros', 'train', 'small', *changes, '--output', str(out), '--device', 'cpu', *options]


def environment():
    return {**os.environ, 'OMP_NUM_THREADS': '1'}


def finish(*arguments):
    done = subprocess.run(command(*arguments), capture_output=True, text=True, env=environment(), timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def assert_alike(first, second):
    """Two finished trainings: losses of every step, averages, and what is kept to go on."""
    ours, theirs = logged(first), logged(second)
    assert ours.keys() == theirs.keys()
    for step, entry in ours.items():
        for name in ('denoising', 'balancing', 'gradient_norm'):
            assert entry[name] == pytest.approx(theirs[step][name], rel=1e-4, abs=1e-5), (step, name)
        for left, right in zip(entry['expert_shares'], theirs[step]['expert_shares'], strict=True):
            assert left == pytest.approx(right, abs=1e-6)
    averages = [load_checkpoint(out / 'policy')[1].state_dict() for out in (first, second)]
    for name, value in averages[0].items():
        assert torch.allclose(value, averages[1][name], atol=1e-4), name


@pytest.mark.parametrize(
    'more',
    [
        [],
        ['run.accumulate=2', 'loss.balancing=0'],
        ['loss.padding=mask'],
        ['loss.balancing_by=selected', 'optimizer.clip=0', 'policy.selection_bias=true', 'loss.bias_rate=0.001'],
    ],
)
def test_two_processes_learn_what_one_does(joints, tmp_path, more):
    finish(ALONE, joints, tmp_path / 'one', 'run.steps=20', *more)
    printed = finish(LAUNCH, joints, tmp_path / 'two', 'run.steps=20', *more)
    assert printed.count('Trained 20 steps') == 1
    assert_alike(tmp_path / 'one', tmp_path / 'two')


@pytest.mark.parametrize('more', [[], ['run.accumulate=2', 'loss.balancing=0']])
def test_a_network_spread_over_two_processes_learns_the_same(joints, tmp_path, more):
    finish(ALONE, joints, tmp_path / 'one', 'run.steps=6', *more)
    finish(LAUNCH, joints, tmp_path / 'spread', 'run.steps=6', 'run.shard=true', *more)
    assert_alike(tmp_path / 'one', tmp_path / 'spread')
    states = [load_state(checkpoints(tmp_path / name)[-1]) for name in ('one', 'spread')]
    moments = [state['optimizer']['state'] for state in states]
    assert moments[0].keys() == moments[1].keys()
    for number, values in moments[0].items():
        for name, value in values.items():
            assert torch.allclose(value, moments[1][number][name], atol=1e-5), (number, name)


def test_a_spread_training_and_a_whole_one_go_on_from_each_other(joints, tmp_path):
    """The whole one's checkpoint of step 3 is gone on from by two processes with parts of it, and the other way."""
    changes = ('run.steps=6', 'run.checkpoint_minutes=1e-9', 'run.keep=9')
    finish(ALONE, joints, tmp_path / 'whole', *changes)
    for name, launcher, shard in (('first', LAUNCH, 'true'), ('second', ALONE, 'false')):
        out = tmp_path / name
        shutil.copytree(tmp_path / ('whole' if name == 'first' else 'first'), out)
        for folder in checkpoints(out)[3:]:
            shutil.rmtree(folder)
        (out / 'log.jsonl').write_text('')
        finish(launcher, joints, out, *changes, f'run.shard={shard}', '--resume')
        ours, theirs = logged(out), logged(tmp_path / 'whole')
        assert list(ours) == [4, 5, 6]
        for step, entry in ours.items():
            assert entry['denoising'] == pytest.approx(theirs[step]['denoising'], abs=1e-5)


def test_sigterm_to_the_launcher_saves(joints, tmp_path):
    out = tmp_path / 'out'
    started = command(LAUNCH, joints, out, 'run.steps=100000')
    with subprocess.Popen(started, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment()) as process:
        deadline = time.monotonic() + 300
        while not (out / 'log.jsonl').exists() or len(logged(out)) < 3:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=300)
    state = load_state(checkpoints(out)[-1])
    assert state['step'] == max(logged(out))
