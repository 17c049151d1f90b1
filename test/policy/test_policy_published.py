"""Published names: every prefix variant, nothing passed over in silence."""

from __future__ import annotations

import policy_golden as golden
import pytest
import torch

from mode_ros.errors import UserError
from mode_ros.policy.denoiser import Denoiser
from mode_ros.policy.published import convert, denoiser_config, plan_import

ABOUT = golden.description('denoiser_small')
NAMES = list(ABOUT['shapes'])
PREFIXES = {
    'as published': lambda name: name,
    'inner_model': lambda name: name.removeprefix('model.'),
    'every model. removed': lambda name: name.replace('model.', ''),
}


def wanted(config=None):
    network = Denoiser(config or golden.config(ABOUT))
    return {f'denoiser.{name}': tensor.shape for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize('rename', PREFIXES.values(), ids=PREFIXES)
def test_every_prefix_gives_the_same_network(rename):
    original = {rename(name): name for name in NAMES}
    assert rename('model.inner_model.pos_emb') in original
    plan = plan_import(original, wanted())
    assert (plan.unknown, plan.missing) == ((), ())
    assert plan.unused == (rename('model.inner_model.gripper_embed.weight'),)
    tensors = convert(plan, lambda name: golden.weight(ABOUT, original[name]), wanted())
    for name, tensor in golden.denoiser(ABOUT).state_dict().items():
        assert torch.equal(tensors[f'denoiser.{name}'], tensor), name


def test_every_published_tensor_is_used_once():
    plan = plan_import(NAMES, wanted())
    used = [name for sources in plan.sources.values() for name in sources]
    assert sorted([*used, *plan.unused]) == sorted(NAMES)


@pytest.mark.parametrize(
    ('name', 'gap'),
    [
        ('ln.g', 'denoiser.final_norm.gain'),
        ('blocks.1.attn.key.bias', 'denoiser.blocks.1.attention.query_key_value.bias (part 2 of 3)'),
        ('blocks.2.experts.expert_3.mlp.2.weight', 'denoiser.blocks.2.mixture.down_weight (part 4 of 4)'),
    ],
)
def test_a_missing_tensor_is_named(name, gap):
    plan = plan_import([n for n in NAMES if n != f'model.inner_model.{name}'], wanted())
    assert plan.missing == (gap,)
    with pytest.raises(UserError, match='lack 1 tensors of the network'):
        convert(plan, lambda name: golden.weight(ABOUT, name), wanted())


@pytest.mark.parametrize(
    'name',
    [
        'optimizer.step',
        'model.inner_model.blocks.7.ln_1.g',
        'model.inner_model.blocks.0.attn.rope.freqs',
        'static_resnet.conv1.weight',
        'model.inner_model.tok_emb.bias',
    ],
)
def test_an_unknown_tensor_is_reported(name):
    assert plan_import([*NAMES, name], wanted()).unknown == (name,)


def test_two_tensors_for_one_place_are_refused():
    with pytest.raises(UserError, match=r'inner_model\.pos_emb.*denoiser\.position'):
        plan_import([*NAMES, 'inner_model.pos_emb'], wanted())


@pytest.mark.parametrize('name', ['tok_emb.weight', 'blocks.0.attn.query.weight', 'pos_emb'])
def test_a_wrong_shape_is_named(name):
    spoiled = f'model.inner_model.{name}'

    def read(source):
        tensor = golden.weight(ABOUT, source)
        return tensor[..., :-1, :] if source == spoiled else tensor

    with pytest.raises(UserError, match=spoiled):
        convert(plan_import(NAMES, wanted()), read, wanted())


@pytest.mark.parametrize('name', ['denoiser_small', 'denoiser_top1'])
def test_sizes_are_read_from_shapes(name):
    about = golden.description(name)
    assert denoiser_config(about['shapes'], top_k=about['config']['top_k']) == golden.config(about)


def test_sizes_of_something_else():
    with pytest.raises(UserError, match=r'no tensor \'out\.weight\''):
        denoiser_config({'model.inner_model.pos_emb': (1, 11, 64)})
    with pytest.raises(UserError, match='top_k is 9'):
        denoiser_config(ABOUT['shapes'], top_k=9)


def test_both_cameras_encoders_have_a_place():
    about = golden.description('film_resnet18')
    names = [
        camera + name.removeprefix('static_resnet')
        for name in about['shapes']
        for camera in ('static_resnet', 'gripper_resnet')
    ]
    plan = plan_import(
        names,
        {
            f'image_encoders.{camera}.{part}': torch.Size()
            for camera in (0, 1)
            for part in ('backbone.conv1.weight', 'film.0.weight', 'film.3.bias', 'output.weight')
        },
    )
    assert plan.missing == ()
    assert plan.sources['image_encoders.1.film.3.bias'] == ('gripper_resnet.film_module4.modulation.1.bias',)
