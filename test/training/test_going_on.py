"""A training that stops and goes on ends as one that never stopped, to the last bit; a wrong OUT is named."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.contracts import ABSOLUTE_TEXT, DELTA_TEXT
from support.training_sets import camera_set, joints_set, logged, make_trainer, train_settings, write_data_set

from mode_ros.errors import UserError
from mode_ros.policy.checkpoint import load_checkpoint
from mode_ros.training.data import layout
from mode_ros.training.data.editing import edit
from mode_ros.training.snapshots import checkpoints, load_state
from mode_ros.training.trainer import Stopped, _seed, prepare_folder


@pytest.fixture(scope='module')
def joints(tmp_path_factory):
    return joints_set(tmp_path_factory.mktemp('joints') / 'data')


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
    return camera_set(tmp_path_factory.mktemp('pictures') / 'data')


def assert_same(ours, theirs):
    """Two states, equal bit for bit."""
    assert type(ours) is type(theirs)
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        for key, value in ours.items():
            assert_same(value, theirs[key])
    elif isinstance(ours, (list, tuple)):
        for left, right in zip(ours, theirs, strict=True):
            assert_same(left, right)
    elif isinstance(ours, torch.Tensor):
        assert torch.equal(ours, theirs)
    else:
        assert ours == theirs


def assert_same_training(first, second):
    """Weights, averages, optimiser and losses of two finished trainings."""
    states = [load_state(checkpoints(out)[-1]) for out in (first, second)]
    for state in states:
        del state['settings']
    assert_same(*states)
    averages = [load_checkpoint(out / 'policy')[1].state_dict() for out in (first, second)]
    assert_same(*map(dict, averages))
    losses = [{step: entry['denoising'] for step, entry in logged(out).items()} for out in (first, second)]
    assert losses[0] == losses[1]


def stopped(settings, out, after):
    with pytest.raises(Stopped, match=f'Stopped after step {after} of'):
        make_trainer(settings, out).train(stop_after=after)


@pytest.mark.parametrize(('kind', 'committed'), [('joints', 0), ('joints', 3), ('pictures', 0)])
def test_two_halves_are_the_whole(kind, committed, request, tmp_path):
    steps = 100 if kind == 'joints' else 12
    settings = train_settings(
        request.getfixturevalue(kind),
        **{'run.steps': steps, 'run.validate_every': steps // 3, 'policy.embed_dim': 16, 'run.batch_size': 4},
        **{'policy.max_committed': committed},
    )
    make_trainer(settings, tmp_path / 'whole').train()
    stopped(settings, tmp_path / 'halves', steps // 2)
    trainer = make_trainer(settings, tmp_path / 'halves')
    trainer.train(resume=True)
    assert trainer.step == steps
    assert_same_training(tmp_path / 'whole', tmp_path / 'halves')
    assert logged(tmp_path / 'whole', 'validation').keys() == logged(tmp_path / 'halves', 'validation').keys()


def test_dropout_is_decided_by_the_step(joints, tmp_path):
    """The seed of torch's own generator at the start makes no difference."""
    settings = train_settings(joints, **{'run.steps': 2, 'policy.attention_dropout': 0.5})
    for name, seed in (('one', 1), ('two', 2)):
        torch.manual_seed(seed)
        make_trainer(settings, tmp_path / name).train()
    assert_same_training(tmp_path / 'one', tmp_path / 'two')


def test_the_settings_of_the_beginning_hold(joints, tmp_path):
    settings = train_settings(joints)
    stopped(settings, tmp_path / 'out', 1)
    other = train_settings(joints, **{'optimizer.learning_rate': 0.5, 'policy.expert_dropout': 0.2, 'run.keep': 7})
    with pytest.raises(UserError) as error:
        make_trainer(other, tmp_path / 'out').train(resume=True)
    assert 'policy.expert_dropout was 0.1 and is 0.2' in str(error.value)
    assert 'optimizer.learning_rate was 0.0001 and is 0.5' in str(error.value)
    assert 'keep' not in str(error.value)
    make_trainer(train_settings(joints, **{'run.keep': 7, 'run.accumulate': 2}), tmp_path / 'out').train(resume=True)


@pytest.mark.parametrize(
    ('samples', 'noted', 'chosen_anew'), [(16, True, False), (3, True, True), (3, False, False)], ids=str
)
def test_the_best_policy_is_chosen_anew_on_other_held_out_moments(joints, tmp_path, samples, noted, chosen_anew):
    """Errors on other moments cannot be compared; a checkpoint from before does not say which they were."""
    changes, out = {'data.validation_share': 0.4, 'run.validate_every': 1}, tmp_path / 'out'
    stopped(train_settings(joints, **changes), out, 2)
    file = checkpoints(out)[-1] / 'training_state.pt'
    state = torch.load(file, weights_only=True)
    state['best'] = 0.0  # which no error is below
    if not noted:
        del state['validated']
    torch.save(state, file)
    before = load_checkpoint(out / 'best')[0].trained_steps

    make_trainer(train_settings(joints, **changes, **{'run.validation_samples': samples}), out).train(resume=True)

    after = load_checkpoint(out / 'best')[0].trained_steps
    assert (after > 2) == chosen_anew
    assert chosen_anew or after == before


def test_the_best_policy_is_chosen_anew_where_failed_spans_counted_in_the_error(tmp_path):
    """In a checkpoint from before, which does not say of which moments its error was."""
    driven, numbers = np.arange(18) % 9 > 3, np.linspace(0, 0.3, 36).reshape(18, 2)
    made = [{'state': numbers, 'action': numbers + k / 100, 'task': 'reach', 'intervention': driven} for k in range(6)]
    data = write_data_set(tmp_path / 'data', made, ABSOLUTE_TEXT, fps=10, streams={'joints': 2}, success=[True] * 6)
    settings, out = train_settings(data, **{'data.validation_share': 0.4, 'run.validate_every': 1}), tmp_path / 'out'
    stopped(settings, out, 2)
    file = checkpoints(out)[-1] / 'training_state.pt'
    state = torch.load(file, weights_only=True)
    state['best'] = 0.0  # which no error is below
    del state['validated']
    torch.save(state, file)
    make_trainer(settings, out).train(resume=True)
    assert load_checkpoint(out / 'best')[0].trained_steps > 2


def test_a_setting_that_did_not_exist_then_has_its_default(joints, tmp_path):
    settings = train_settings(joints)
    stopped(settings, tmp_path / 'out', 1)
    file = checkpoints(tmp_path / 'out')[-1] / 'training_state.pt'
    state = torch.load(file, weights_only=True)
    del state['settings']['loss']['padding']
    torch.save(state, file)
    make_trainer(settings, tmp_path / 'out').train(resume=True)
    state['settings']['loss']['forgotten'] = 3
    torch.save(state, file)
    for newer in checkpoints(tmp_path / 'out')[1:]:
        shutil.rmtree(newer)
    with pytest.raises(UserError, match=r'does not have \(loss\.forgotten: unknown key'):
        make_trainer(settings, tmp_path / 'out').train(resume=True)


def test_a_training_from_before_a_key_does_not_change_its_way(joints, tmp_path):
    settings = train_settings(joints)
    stopped(settings, tmp_path / 'out', 1)
    file = checkpoints(tmp_path / 'out')[-1] / 'training_state.pt'
    state = torch.load(file, weights_only=True)
    del state['settings']['loss']['draws'], state['settings']['loss']['goal_dropped']
    del state['settings']['policy']['initialisation']
    torch.save(state, file)
    with pytest.raises(
        UserError, match=r"initialisation was 'small'.*loss\.draws was 'sample'.*goal_dropped was 'whole'"
    ):
        make_trainer(settings, tmp_path / 'out').train(resume=True)
    before = {'policy.initialisation': 'small', 'loss.draws': 'sample', 'loss.goal_dropped': 'whole'}
    make_trainer(train_settings(joints, **before), tmp_path / 'out').train(resume=True)


def other_lengths(data):
    shutil.rmtree(data)
    joints_set(data, episodes=8)


def other_numbers(data):
    shutil.rmtree(data)
    joints_set(data, seed=1)


def other_words(data):
    shutil.rmtree(data)
    joints_set(data, tasks=('reach', 'pull'))


def a_goal(data):
    edit(data, relabel={2: 'push'})


def a_failure(data):
    extras = json.loads((data / layout.EXTRAS).read_text())
    (data / layout.EXTRAS).write_text(json.dumps(extras | {'success': [True, True, False, True, True, True]}))


def other_limits(data):
    (data / layout.CONTRACT).write_text(ABSOLUTE_TEXT.replace('upper: 2.0', 'upper: 3.0'))


@pytest.mark.parametrize(
    ('change', 'expected'),
    [
        (other_lengths, 'data had 6 episodes and has 8'),
        (other_numbers, r'the min of number 0 of the actions was -\S+ and is -'),
        (other_words, r'in \S+data the episodes 1, 3, 5 are told otherwise'),
        (a_goal, r'in \S+data the episodes 2 are told otherwise'),
        (a_failure, r'in \S+data the episodes 2 are marked otherwise'),
        (other_limits, r'the contract has action\S*\.upper: 3\.0, not 2\.0'),
    ],
)
def test_a_training_does_not_go_on_with_other_data(tmp_path, change, expected):
    settings, out = train_settings(joints_set(tmp_path / 'data')), tmp_path / 'out'
    stopped(settings, out, 1)
    change(tmp_path / 'data')
    with pytest.raises(UserError, match=f'began with other data: .*{expected}') as error:
        make_trainer(settings, out).train(resume=True)
    assert f'start.checkpoint={checkpoints(out)[-1]} and another --output' in str(error.value)


def test_the_same_data_are_no_others(tmp_path):
    """A comment in the contract, rounding, and a checkpoint that noted less of its data."""
    settings, out = train_settings(joints_set(tmp_path / 'data')), tmp_path / 'out'
    stopped(settings, out, 1)
    (tmp_path / 'data' / layout.CONTRACT).write_text(f'# the left one\n{ABSOLUTE_TEXT}')
    folder = checkpoints(out)[-1]
    state = torch.load(folder / 'training_state.pt', weights_only=True)
    del state['data']
    torch.save(state, folder / 'training_state.pt')
    (folder / 'goals.json').unlink()
    values = json.loads((folder / 'statistics.json').read_text())
    values['action']['mean'][0] += 1e-9
    del values['action']['floor']
    (folder / 'statistics.json').write_text(json.dumps(values))
    make_trainer(settings, out).train(resume=True)


@pytest.mark.parametrize('kind', ['joints', 'pictures'])
def test_two_halves_are_the_whole_as_published(kind, request, tmp_path):
    changes = {
        'loss.balancing_by': 'selected',
        'loss.padding': 'repeat',
        'loss.bias_rate': 0.001,
        'policy.selection_bias': True,
        'optimizer.clip': 0.0,
        'optimizer.ema_form': 'power',
        'optimizer.decay_reaches': 'all_but_biases',
        'optimizer.schedule_steps': 9,
    }
    settings = train_settings(request.getfixturevalue(kind), **changes)
    make_trainer(settings, tmp_path / 'whole').train()
    stopped(settings, tmp_path / 'halves', 2)
    make_trainer(settings, tmp_path / 'halves').train(resume=True)
    assert_same_training(tmp_path / 'whole', tmp_path / 'halves')


@pytest.mark.parametrize('file', ['training_state.pt', 'weights.safetensors'])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_good(joints, tmp_path, file):
    settings = train_settings(joints)
    stopped(settings, tmp_path / 'out', 1)
    with pytest.raises(Stopped):
        make_trainer(settings, tmp_path / 'out').train(resume=True, stop_after=2)
    _, second = checkpoints(tmp_path / 'out')
    content = (second / file).read_bytes()
    (second / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r'step_00000002 is damaged.*Remove it and go on from step_00000001'):
        make_trainer(settings, tmp_path / 'out').train(resume=True)
    shutil.rmtree(second)
    make_trainer(settings, tmp_path / 'out').train(resume=True)


def test_resuming_nothing(joints, tmp_path):
    trainer = make_trainer(train_settings(joints), tmp_path / 'out')
    with pytest.raises(UserError, match='no checkpoint to go on from; leave out --resume'):
        trainer.train(resume=True)


def test_a_folder_with_other_things_in_it_is_left_alone(joints, tmp_path):
    settings, out = train_settings(joints), tmp_path / 'out'
    out.mkdir()
    (out / 'thesis.tex').write_text('years of work')
    with pytest.raises(UserError, match='is not empty: give another --output'):
        prepare_folder(out, settings, resume=False)
    assert (out / 'thesis.tex').exists()
    with pytest.raises(UserError, match='cannot be written'):
        prepare_folder(out / 'thesis.tex', settings, resume=False)


def test_a_training_with_checkpoints_is_not_overwritten_and_one_without_is(joints, tmp_path):
    settings, out = train_settings(joints), tmp_path / 'out'
    prepare_folder(out, settings, resume=False)
    (out / 'log.jsonl').write_text('{}\n')
    prepare_folder(out, settings, resume=False)  # it ended before it had learnt anything
    assert not (out / 'log.jsonl').exists()
    stopped(settings, out, 1)
    with pytest.raises(UserError, match='holds a training: go on with --resume'):
        prepare_folder(out, settings, resume=False)


def test_a_finished_training_without_its_checkpoints_is_not_begun_anew(joints, tmp_path):
    settings, out = train_settings(joints), tmp_path / 'out'
    make_trainer(settings, out).train()
    shutil.rmtree(out / 'checkpoints')
    with pytest.raises(UserError, match=r'out holds the policy of a training without checkpoints.* another --output'):
        prepare_folder(out, settings, resume=False)
    assert (out / 'log.jsonl').exists()
    shutil.rmtree(out / 'policy')
    prepare_folder(out, settings, resume=False)
    left = sorted(path.name for path in out.iterdir())
    assert left == ['best_before', 'training.yaml'], 'its best policy, and nothing else of the one before'
    (out / 'best').mkdir()
    prepare_folder(out, settings, resume=False)
    assert (out / 'best_before2').exists()


@pytest.mark.parametrize('resume', [False, True])
def test_what_a_killed_training_left_half_written_is_removed(joints, tmp_path, resume):
    settings, out = train_settings(joints), tmp_path / 'out'
    prepare_folder(out, settings, resume=False)
    name = '0123456789abcdef'
    left = [f'.policy.{name}', f'checkpoints/.step_00000002.{name}', 'checkpoints/.step_00000002.part']
    left += [f'checkpoints/..step_00000002.part.{name}']
    kept = ['.best', '.policy.d', f'.best.{name}']
    for each in (*left, *kept):
        (out / each).mkdir(parents=True)
    prepare_folder(out, settings, resume=True)
    assert [each for each in (*left, *kept) if (out / each).exists()] == kept
    (out / 'best').mkdir()
    prepare_folder(out, settings, resume)
    assert not (out / kept[-1]).exists()
    (tmp_path / left[0]).mkdir()
    prepare_folder(tmp_path, settings, resume=True)
    assert (tmp_path / left[0]).exists(), 'this is no folder of a training'


def test_a_policy_is_not_there_without_its_settings(joints, tmp_path, monkeypatch):
    """Whatever ends the process while it is written."""
    trainer = make_trainer(train_settings(joints), tmp_path / 'out')

    write = Path.write_text

    def write_or_end(path, *more, **how):
        if path.name == 'training.yaml':
            raise KeyboardInterrupt
        return write(path, *more, **how)

    monkeypatch.setattr(Path, 'write_text', write_or_end)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    assert not (tmp_path / 'out' / 'best').exists()


def test_only_the_newest_are_kept(joints, tmp_path):
    settings = train_settings(joints, **{'run.checkpoint_minutes': 1e-9, 'run.keep': 2})
    make_trainer(settings, tmp_path / 'out').train()
    assert [path.name for path in checkpoints(tmp_path / 'out')] == ['step_00000003', 'step_00000004']


FULL = OSError(errno.ENOSPC, 'No space left on device')


def full(*_, **__):
    raise FULL


class FullFile:
    """Takes some bytes and then no more, as a file on a disk that fills up."""

    def __init__(self, file, room):
        self._file, self._room = file, room

    def write(self, data):
        self._room -= len(data)
        if self._room < 0:
            raise FULL
        return self._file.write(data)

    def __getattr__(self, name):
        return getattr(self._file, name)


@pytest.mark.parametrize('place', ['weights', 'state', 'fsync', 'rename', 'log', 'settings'])
def test_a_full_disk_leaves_the_earlier_checkpoints_whole(joints, tmp_path, monkeypatch, place):
    import mode_ros.training.snapshots as snapshots
    from mode_ros.training.progress import Progress

    settings, out = train_settings(joints), tmp_path / 'out'
    stopped(settings, out, 1)
    trainer = make_trainer(settings, out)
    with monkeypatch.context() as patch:
        if place == 'weights':
            patch.setattr('mode_ros.policy.checkpoint.save_file', full)
        elif place == 'state':
            save = torch.save
            patch.setattr(torch, 'save', lambda state, file: save(state, FullFile(file, 5000)))
        elif place == 'fsync':
            patch.setattr(os, 'fsync', full)
        elif place == 'rename':
            patch.setattr('pathlib.Path.rename', full)
        elif place == 'log':
            patch.setattr(Progress, 'record', full)
        else:
            patch.setattr('pathlib.Path.write_text', full)
        with pytest.raises(UserError, match=r'disk is full \(\d+ MB free\).*go on with --resume'):
            trainer.train(resume=True, stop_after=2)
    found = checkpoints(out)
    assert [path.name for path in found] == ['step_00000001']
    assert snapshots.load_state(found[0])['step'] == 1
    load_checkpoint(found[0])
    assert not list((out / 'checkpoints').glob('.*'))
    make_trainer(settings, out).train(resume=True)


def test_a_refused_file_is_told_apart_from_a_full_disk(joints, tmp_path, monkeypatch):
    trainer = make_trainer(train_settings(joints), tmp_path / 'out')

    def refuse(*_):
        raise PermissionError(errno.EACCES, 'Permission denied')

    monkeypatch.setattr('mode_ros.policy.checkpoint.save_file', refuse)
    with pytest.raises(UserError, match='could not be written: PermissionError'):
        trainer.train()


def with_a_signal(trainer, number):
    """It comes in the second step."""
    one_step = trainer._one_step

    def step(batches):
        if trainer.step == 1:
            os.kill(os.getpid(), number)
        return one_step(batches)

    trainer._one_step = step
    return trainer


@pytest.fixture
def hung_up():
    """Sets what SIGHUP does; as before after the test."""
    before = signal.getsignal(signal.SIGHUP)
    yield lambda action: signal.signal(signal.SIGHUP, action)
    signal.signal(signal.SIGHUP, before)


def test_a_closed_terminal_stops_and_saves(joints, tmp_path, hung_up):
    hung_up(lambda *_: pytest.fail('the process would have ended'))
    trainer = with_a_signal(make_trainer(train_settings(joints), tmp_path / 'out'), signal.SIGHUP)
    with pytest.raises(Stopped, match='Stopped after step 2 of 4; go on with --resume'):
        trainer.train()
    assert load_state(checkpoints(tmp_path / 'out')[-1])['step'] == 2


def test_a_training_under_nohup_does_not_mind(joints, tmp_path, hung_up):
    hung_up(signal.SIG_IGN)
    with_a_signal(make_trainer(train_settings(joints), tmp_path / 'out'), signal.SIGHUP).train()
    assert (tmp_path / 'out' / 'policy').exists()


@pytest.mark.parametrize('number', [errno.EPIPE, errno.EIO])
def test_a_pipe_that_nobody_reads_stops_and_saves(joints, tmp_path, monkeypatch, number):
    trainer = make_trainer(train_settings(joints), tmp_path / 'out')
    with (tmp_path / 'pipe').open('w') as pipe:

        def refuse(*_):
            raise OSError(number, os.strerror(number))

        ended = SimpleNamespace(write=refuse, flush=refuse, isatty=lambda: False, fileno=pipe.fileno)
        monkeypatch.setattr(sys, 'stdout', ended)
        with pytest.raises(Stopped, match='Stopped after step 1 of 4'):
            trainer.train()
    assert load_state(checkpoints(tmp_path / 'out')[-1])['step'] == 1


def test_a_log_that_cannot_be_written_is_named_when_going_on(joints, tmp_path):
    settings, out = train_settings(joints), tmp_path / 'out'
    stopped(settings, out, 1)
    (out / 'log.jsonl').unlink()
    (out / 'log.jsonl').mkdir()
    with pytest.raises(UserError, match=r'out could not be written: IsADirectoryError'):
        make_trainer(settings, out).train(resume=True)


def test_a_line_that_a_kill_cut_takes_none_with_it(joints, tmp_path):
    settings, out = train_settings(joints), tmp_path / 'out'
    stopped(settings, out, 1)
    with (out / 'log.jsonl').open('a') as log:
        log.write('{"step": 2, "ki')
    make_trainer(settings, out).train(resume=True)
    # The first that is written after it.
    assert '{"step": 2, "ki' in (out / 'log.jsonl').read_text().splitlines()
    assert sorted(logged(out)) == [1, 2, 3, 4]


def command(data, out, *more):
    small = [
        f'data.path={data}', 'policy.embed_dim=16', 'policy.layers=1', 'policy.heads=2', 'policy.states=all',
        'run.batch_size=4', 'run.steps=100000', 'run.log_every=1', 'run.precision=float32',
    ]  # fmt: skip
    return [sys.executable, '-m', 'mode_ros', 'train', 'small', *small, '--output', str(out), '--device', 'cpu', *more]


def wait_for_steps(process, out, steps):
    deadline = time.monotonic() + 300
    while not (out / 'log.jsonl').exists() or len(logged(out)) < steps:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_saves_and_the_command_goes_on(joints, tmp_path, number):
    out = tmp_path / 'out'
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    options = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'text': True, 'env': environment}
    with subprocess.Popen(command(joints, out), **options) as process:
        wait_for_steps(process, out, 3)
        process.send_signal(number)
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 130, errors
    reached = load_state(checkpoints(out)[-1])['step']
    assert f'Stopped after step {reached} of 100000; go on with --resume' in errors
    assert max(logged(out)) == reached
    again = subprocess.run(command(joints, out), **options, timeout=300)
    assert again.returncode == 1
    assert 'holds a training: go on with --resume' in again.stderr
    with subprocess.Popen(command(joints, out, '--resume'), **options) as process:
        wait_for_steps(process, out, reached + 2)
        process.send_signal(number)
        assert process.wait(300) == 130
    assert load_state(checkpoints(out)[-1])['step'] >= reached + 2


def test_the_contract_is_beside_every_checkpoint(pictures, tmp_path):
    trainer = make_trainer(train_settings(pictures, **{'run.steps': 1}), tmp_path / 'out')
    trainer.train()
    for folder in (tmp_path / 'out' / 'policy', checkpoints(tmp_path / 'out')[0]):
        assert (folder / 'contract.yaml').read_text() == DELTA_TEXT


def test_a_seed_is_the_same_number_with_every_numpy():
    """NumPy 1 does not shift a uint64 by an int, which once ended every training beside a sourced Jazzy."""
    assert _seed(1, 2, 3, 0) == 6498626229777268288
