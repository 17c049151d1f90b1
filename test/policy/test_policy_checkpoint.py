"""Checkpoints: what was saved comes back, and whatever is wrong with a folder is named."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from policy_samples import CONTRACT, camera_policy_config, state_policy_config, statistics
from safetensors.torch import load_file, save_file
from support.umask import umask

from mode_ros.errors import UserError
from mode_ros.policy.checkpoint import (
    CONFIG,
    STATISTICS,
    WEIGHTS,
    CheckpointInfo,
    load_checkpoint,
    read_info,
    save_checkpoint,
)
from mode_ros.policy.folder import FILES
from mode_ros.policy.network import PolicyNetwork


def make(config=None, trained_steps=7, seed=0):
    torch.manual_seed(seed)
    config = config or state_policy_config()
    return CheckpointInfo(config, statistics(), CONTRACT, trained_steps), PolicyNetwork(config)


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp('saved') / 'checkpoint'
    save_checkpoint(folder, *make())
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(saved, tmp_path / 'checkpoint')


@pytest.mark.parametrize('config', [state_policy_config(), camera_policy_config()], ids=['state', 'camera'])
def test_round_trip(config, tmp_path):
    info, network = make(config)
    save_checkpoint(tmp_path / 'new' / 'checkpoint', info, network)
    loaded_info, loaded = load_checkpoint(tmp_path / 'new' / 'checkpoint')
    assert loaded_info == info
    assert not loaded.training
    assert loaded.state_dict().keys() == network.state_dict().keys()
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    assert {path.name for path in (tmp_path / 'new').iterdir()} == {'checkpoint'}


@pytest.mark.parametrize(('mask', 'folder_mode', 'file_mode'), [(0o022, 0o755, 0o644), (0o077, 0o700, 0o600)])
def test_who_may_read_it_is_the_users_to_say(tmp_path, mask, folder_mode, file_mode):
    with umask(mask):
        save_checkpoint(tmp_path / 'checkpoint', *make())
    assert (tmp_path / 'checkpoint').stat().st_mode & 0o777 == folder_mode
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / 'checkpoint').iterdir()} == {file_mode}


def test_saving_again_replaces_the_earlier_one(folder):
    info, network = make(trained_steps=8, seed=1)
    save_checkpoint(folder, info, network)
    loaded_info, loaded = load_checkpoint(folder)
    assert loaded_info.trained_steps == 8
    assert torch.equal(loaded.denoiser.position, network.denoiser.position)
    assert {path.name for path in folder.parent.iterdir()} == {'checkpoint'}


def test_saving_over_something_else_is_refused(tmp_path):
    (tmp_path / 'thesis').mkdir()
    (tmp_path / 'thesis' / 'thesis.tex').write_text('dear')
    with pytest.raises(UserError, match='is not a checkpoint'):
        save_checkpoint(tmp_path / 'thesis', *make())
    assert (tmp_path / 'thesis' / 'thesis.tex').read_text() == 'dear'


def test_a_failed_save_leaves_the_earlier_one(folder, monkeypatch):
    def full_disk(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('mode_ros.policy.checkpoint.save_file', full_disk)
    with pytest.raises(OSError, match='No space'):
        save_checkpoint(folder, *make(trained_steps=9))
    assert read_info(folder).trained_steps == 7
    assert {path.name for path in folder.parent.iterdir()} == {'checkpoint'}


def test_bfloat16_on_disk_is_read_as_float32(folder):
    weights = load_file(folder / WEIGHTS)
    save_file({name: tensor.bfloat16() for name, tensor in weights.items()}, folder / WEIGHTS)
    _, network = load_checkpoint(folder)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, weights[name].bfloat16().float()), name


def test_it_can_be_loaded_in_bfloat16(saved):
    _, network = load_checkpoint(saved, dtype=torch.bfloat16)
    assert {p.dtype for p in network.parameters()} == {torch.bfloat16}


def test_no_folder(tmp_path):
    with pytest.raises(UserError, match=r'There is no checkpoint folder .*nothing'):
        read_info(tmp_path / 'nothing')


@pytest.mark.parametrize('name', FILES)
def test_an_absent_file(folder, name):
    (folder / name).unlink()
    with pytest.raises(UserError, match=f'has no {name}'):
        load_checkpoint(folder)


@pytest.mark.parametrize('name', [WEIGHTS, CONFIG, STATISTICS])
@pytest.mark.parametrize('kept', [0.0, 0.5, 0.99])
def test_a_truncated_file(folder, name, kept):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(kept * len(content))])
    with pytest.raises(UserError, match=f'{name}.*cut short'):
        load_checkpoint(folder)


def spoil_weights(folder, change):
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS)


def rename(weights):
    weights['denoiser.outputs.weight'] = weights.pop('denoiser.output.weight')


def transpose(weights):
    weights['denoiser.output.weight'] = weights['denoiser.output.weight'].T.contiguous()


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda w: w.pop('denoiser.position'), r'lacks the tensor denoiser\.position,'),
        (lambda w: w.update(spare=torch.zeros(1)), 'has the tensor spare,'),
        (rename, r'lacks the tensor denoiser\.output\.weight'),
        (transpose, r'denoiser\.output\.weight has shape \[16, 3\], but config\.json asks for \[3, 16\]'),
        (lambda w: w['denoiser.position'][1, 2].fill_(float('nan')), r'denoiser\.position has a NaN'),
        (lambda w: w['denoiser.position'][1, 2].fill_(float('inf')), r'denoiser\.position has a NaN or an infinite'),
        (lambda w: w.update({'denoiser.position': w['denoiser.position'].int()}), 'stored as I32'),
    ],
    ids=['missing', 'extra', 'renamed', 'transposed', 'nan', 'infinite', 'integer'],
)
def test_spoiled_weights(folder, change, words):
    spoil_weights(folder, change)
    with pytest.raises(UserError, match=f'{WEIGHTS}.*{words}'):
        load_checkpoint(folder)


def test_many_missing_tensors_are_counted_not_listed(folder):
    spoil_weights(folder, lambda w: [w.pop(name) for name in list(w)[:20]])
    with pytest.raises(UserError, match='and 15 more'):
        load_checkpoint(folder)


def spoil_json(folder, name, change):
    values = json.loads((folder / name).read_text())
    change(values)
    (folder / name).write_text(json.dumps(values))


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda c: c.update(format_version=2), 'format_version 2'),
        (lambda c: c.update(note='x'), 'note'),
        (lambda c: c.pop('trained_steps'), 'trained_steps'),
        (lambda c: c.update(trained_steps=1.5), 'trained_steps is 1.5'),
        (lambda c: c['policy'].update(sampler='ddim'), 'sampler: unknown key'),
        (lambda c: c['policy']['denoiser'].update(tok_k=2), r'denoiser\.tok_k: unknown key'),
        (lambda c: c['policy']['denoiser'].pop('action_dim'), r'denoiser\.action_dim: Field required'),
    ],
)
def test_a_spoiled_configuration(folder, change, words):
    spoil_json(folder, CONFIG, change)
    with pytest.raises(UserError, match=f'{CONFIG}.*{words}'):
        load_checkpoint(folder)


def test_a_configuration_of_another_size_than_the_weights(folder):
    spoil_json(folder, CONFIG, lambda c: c['policy']['denoiser'].update(experts=5))
    with pytest.raises(UserError, match=r'has shape \[4, .*asks for \[5, '):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda s: s['action'].pop('q99'), r'action\.q99: Field required'),
        (lambda s: s['action'].update(min=[0, 0]), 'has 3 numbers, but min has 2'),
        (lambda s: s['action']['std'].__setitem__(0, float('nan')), 'finite'),
        (lambda s: s['action'].update(median=[0, 0, 0]), 'median: unknown key'),
    ],
)
def test_spoiled_statistics(folder, change, words):
    spoil_json(folder, STATISTICS, change)
    with pytest.raises(UserError, match=f'{STATISTICS}.*{words}'):
        load_checkpoint(folder)


def test_statistics_of_another_robot(folder):
    spoil_json(folder, STATISTICS, lambda s: s['state'].pop('gripper'))
    with pytest.raises(UserError, match=r'do not belong together.*lack the state stream \'gripper\''):
        load_checkpoint(folder)
    spoil_json(folder, STATISTICS, lambda s: s['state'].update(gripper=s['action']))
    with pytest.raises(UserError, match='6 state numbers, but the policy 4'):
        load_checkpoint(folder)
