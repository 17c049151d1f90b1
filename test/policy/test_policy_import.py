"""The command import-checkpoint: published files in, a checkpoint folder out, nothing passed over in silence."""

from __future__ import annotations

import functools
import pickle
import re

import policy_golden as golden
import pytest
import torch
from policy_samples import FakeTextEncoder
from safetensors.torch import save_file

from mode_ros.cli.main import main
from mode_ros.errors import UserError
from mode_ros.policy.checkpoint import load_checkpoint
from mode_ros.policy.policy import Policy
from mode_ros.policy.published import PublishedFile, denoiser_config

ABOUT = golden.description('denoiser_small')
RESNET = golden.description('film_resnet18')
CONTRACT = 'metaworld_sawyer'
PREFIXES = {
    'as published': lambda name: name,
    'inner_model': lambda name: name.removeprefix('model.'),
    'every model. removed': lambda name: name.replace('model.', ''),
}


@functools.cache
def made(encoders):
    """Small weights by their published names, with a 512-number image feature and a 64-number goal."""
    sizes = {'tok_emb.weight': (64, 512), 'goal_emb.weight': (64, 64), 'action_emb.weight': (64, 4)}
    sizes |= {'out.weight': (4, 64), 'out.bias': (4,)}
    shapes = {name: tuple(shape) for name, shape in ABOUT['shapes'].items()}
    shapes |= {f'model.inner_model.{name}': shape for name, shape in sizes.items()}
    tensors = {name: torch.from_numpy(golden.fill(name, shape)) for name, shape in shapes.items()}
    if encoders:
        for name, shape in RESNET['shapes'].items():
            for camera in ('static_resnet', 'gripper_resnet'):
                values = torch.from_numpy(golden.fill(camera + name, tuple(shape)))
                kept = values.long() if name.endswith('num_batches_tracked') else values
                inner = name.removeprefix('static_resnet.').removeprefix('gripper_resnet.')
                tensors[f'{camera}.{inner}'] = kept
    return tensors


def published(encoders=True):
    return {name: tensor.clone() for name, tensor in made(encoders).items()}


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(['import-checkpoint', *map(str, arguments), '--contract', CONTRACT])
    return ended.value.code


KINDS = [*((prefix, 'safetensors') for prefix in PREFIXES), ('as published', 'pt'), ('as published', 'lightning')]


@pytest.mark.parametrize(('prefix', 'kind'), KINDS)
def test_every_kind_of_file_gives_the_same_policy(prefix, kind, tmp_path, capsys):
    rename = PREFIXES[prefix]
    tensors = {rename(name): tensor for name, tensor in published().items()}
    source = tmp_path / ('w.safetensors' if kind == 'safetensors' else 'w.pt')
    if kind == 'safetensors':
        save_file(tensors, source)
    else:
        torch.save(tensors if kind == 'pt' else {'state_dict': tensors, 'epoch': 3}, source)
    assert run(source, tmp_path / 'policy') == 0
    said = capsys.readouterr().out
    assert f'took     {rename("model.inner_model.pos_emb")} as denoiser.position' in said
    assert '1 unused, 0 refused, 0 missing' in said
    info, network = load_checkpoint(tmp_path / 'policy')
    assert info.trained_steps == 1
    assert info.config.image_encoder.architecture == 'resnet18'
    original = published()
    assert torch.equal(network.denoiser.position, original['model.inner_model.pos_emb'][0])
    third = original['model.inner_model.blocks.1.experts.expert_2.mlp.2.weight']
    assert torch.equal(network.denoiser.blocks[1].mixture.down_weight[2], third)


@pytest.mark.parametrize(
    ('deviation', 'words'),
    [
        (None, r"deviation 0\.02\d\d with 512 inputs: it began with torch's own, 0\.0255"),
        (0.02, r'deviation 0\.0\d+ with 512 inputs: it began with 0\.02, as if set for all'),
        ('cut', r'deviation 0\.017\d with 512 inputs: it began with 0\.02 cut at 0\.04, as if set for all'),
        (0.3, r"it began with neither torch's own, 0\.0255, nor 0\.02"),
    ],
)
def test_a_layer_that_nothing_uses_tells_what_the_network_began_with(deviation, words, tmp_path, capsys):
    torch.manual_seed(0)
    weight = torch.nn.Linear(512, 64, bias=False).weight.detach()
    if deviation == 'cut':
        torch.nn.init.trunc_normal_(weight, std=0.02, a=-0.04, b=0.04)
    elif deviation is not None:
        torch.nn.init.normal_(weight, std=deviation)
    save_file(published() | {'model.inner_model.gripper_embed.weight': weight}, tmp_path / 'w.safetensors')
    assert run(tmp_path / 'w.safetensors', tmp_path / 'policy', '--quiet') == 0
    assert re.search(words, capsys.readouterr().out)


def test_it_loads_to_run(tmp_path):
    save_file(published(), tmp_path / 'w.safetensors')
    assert run(tmp_path / 'w.safetensors', tmp_path / 'policy', '--quiet') == 0
    assert Policy.load(tmp_path / 'policy', 'cpu', FakeTextEncoder(64), number_format='int8').is_trained


def test_a_file_without_encoders(tmp_path, capsys):
    save_file(published(encoders=False), tmp_path / 'w.safetensors')
    assert run(tmp_path / 'w.safetensors', tmp_path / 'policy') == 1
    assert 'has no image encoders' in capsys.readouterr().err
    assert run(tmp_path / 'w.safetensors', tmp_path / 'policy', '--new-encoders', 'resnet18') == 0
    assert load_checkpoint(tmp_path / 'policy')[0].trained_steps == 0


def test_refused_and_missing_tensors_are_told_and_nothing_is_written(tmp_path, capsys):
    tensors = published()
    del tensors['model.inner_model.blocks.2.ln_1.g']
    save_file(tensors | {'optimizer.step': torch.zeros(1)}, tmp_path / 'w.safetensors')
    assert run(tmp_path / 'w.safetensors', tmp_path / 'policy') == 1
    told = capsys.readouterr()
    assert 'refused  optimizer.step' in told.out
    assert 'missing  denoiser.blocks.2.attention_norm.gain' in told.out
    assert 'blocks.2.attention_norm.gain' in told.err
    assert not (tmp_path / 'policy').exists()


def change_shape(tensors):
    tensors['model.inner_model.blocks.1.attn.key.weight'] = torch.zeros(63, 64)


def put_nan(tensors):
    tensors['model.inner_model.blocks.1.attn.key.weight'][3, 4] = float('nan')


@pytest.mark.parametrize(('spoil', 'words'), [(change_shape, 'of shape'), (put_nan, 'has a NaN')])
def test_a_spoiled_tensor_is_named(spoil, words, tmp_path, capsys):
    tensors = published()
    spoil(tensors)
    save_file(tensors, tmp_path / 'w.safetensors')
    assert run(tmp_path / 'w.safetensors', tmp_path / 'policy') == 1
    error = capsys.readouterr().err
    assert 'model.inner_model.blocks.1.attn.key.weight' in error
    assert words in error
    assert not (tmp_path / 'policy').exists()


@pytest.mark.parametrize('name', ['w.safetensors', 'w.pt'])
def test_a_file_cut_short(name, tmp_path):
    path = tmp_path / name
    (save_file if name.endswith('safetensors') else torch.save)(published(encoders=False), path)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(UserError, match='not a whole'):
        PublishedFile(path)


class Harmful:
    def __reduce__(self):
        return print, ('this must never run',)


def test_no_code_is_run(tmp_path, capsys):
    torch.save({'state_dict': Harmful()}, tmp_path / 'w.pt')
    with pytest.raises(UserError, match='tensors alone'):
        PublishedFile(tmp_path / 'w.pt')
    (tmp_path / 'bare.pt').write_bytes(pickle.dumps(Harmful()))
    with pytest.raises(UserError):
        PublishedFile(tmp_path / 'bare.pt')
    assert 'never' not in capsys.readouterr().out


def test_no_file(tmp_path):
    with pytest.raises(UserError, match='There is no file'):
        PublishedFile(tmp_path / 'w.pt')


@pytest.mark.slow
def test_full_size(tmp_path):
    """The large network's tensors by their published names, 2.7 GB: sizes, every expert, nothing left over."""
    scale = {64: 1024, 128: 2048, 512: 8192, 256: 4096, 16: 128, 192: 3072}
    small = ABOUT['shapes']
    tensors = {}
    for name, shape in small.items():
        short = name.removeprefix('model.inner_model.')
        if '.blocks.' in name and int(name.split('blocks.')[1].split('.')[0]) > 0:
            continue
        full = {'tok_emb.weight': (1024, 2048), 'gripper_embed.weight': (1024, 2048), 'goal_emb.weight': (1024, 512)}
        size = full.get(short, tuple(scale.get(n, n) for n in shape))
        for layer in range(12) if '.blocks.' in name else (0,):
            own = name.replace('blocks.0', f'blocks.{layer}')
            tensors[own] = torch.from_numpy(golden.fill(own, size))
    save_file(tensors, tmp_path / 'w.safetensors')
    sizes = denoiser_config(PublishedFile(tmp_path / 'w.safetensors').shapes)
    assert (sizes.embed_dim, sizes.layers, sizes.heads, sizes.experts) == (1024, 12, 8, 4)
    del tensors
    contract = ('--contract', 'libero_panda')  # seven actions
    arguments = [str(tmp_path / 'w.safetensors'), str(tmp_path / 'policy'), '--new-encoders', 'resnet50', *contract]
    with pytest.raises(SystemExit) as ended:
        main(['import-checkpoint', *arguments])
    assert ended.value.code == 0
    _, network = load_checkpoint(tmp_path / 'policy')
    last = 'model.inner_model.blocks.11.experts.expert_3.mlp.2.weight'
    expected = torch.from_numpy(golden.fill(last, (1024, 4096)))
    assert torch.equal(network.denoiser.blocks[11].mixture.down_weight[3], expected)
