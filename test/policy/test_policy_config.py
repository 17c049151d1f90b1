"""Settings: what fits together is accepted, what does not is named."""

from __future__ import annotations

import json

import pytest
from policy_samples import camera_policy_config, denoiser_config, state_policy_config
from pydantic import ValidationError

from mode_ros.errors import UserError
from mode_ros.policy.config import DiffusionConfig, PolicyConfig, TextEncoderConfig, parse_policy_config


def test_small_has_the_documented_sizes():
    config = PolicyConfig.small(4, state=('joints', 'gripper'), state_dim=8)
    network = config.denoiser
    assert (network.embed_dim, network.layers, network.heads, network.experts) == (256, 6, 8, 4)
    assert (network.top_k, network.chunk_length, network.image_dim, network.goal_dim) == (2, 10, 512, 384)
    assert network.prefix_length == 5
    assert [camera.name for camera in config.cameras] == ['static', 'wrist']


def test_small_without_cameras():
    config = PolicyConfig.small(2, cameras=(), state=('pose',), state_dim=2)
    assert config.image_encoder is None
    assert config.denoiser.prefix_length == 3


def test_published_large_has_the_papers_sizes():
    network = PolicyConfig.published_large().denoiser
    assert (network.embed_dim, network.layers, network.image_dim, network.goal_dim) == (1024, 12, 2048, 512)


@pytest.mark.parametrize('config', [PolicyConfig.small(4), PolicyConfig.published_large(), state_policy_config()])
def test_json_round_trip(config):
    assert parse_policy_config(json.loads(config.model_dump_json()), 'config.json') == config


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'top_k': 5}, 'top_k is 5'),
        ({'embed_dim': 30}, '30 cannot be divided into 4 heads'),
        ({'image_dim': 0}, 'image_dim'),
        ({'cameras': 0}, 'nothing to observe'),
        ({'layers': 0}, 'layers'),
        ({'attention_dropout': 1.0}, 'attention_dropout'),
        ({'expert': 3}, 'expert'),
    ],
)
def test_denoiser_sizes_that_do_not_fit(changes, words):
    with pytest.raises(ValidationError, match=words):
        denoiser_config(**changes)


@pytest.mark.parametrize(
    ('values', 'words'),
    [
        ({'kind': 'clip', 'dim': 512}, 'needs a source'),
        ({'kind': 'minilm', 'source': 'somewhere'}, 'takes no source'),
        ({'kind': 'minilm', 'dim': 512}, 'gives 384 numbers, not 512'),
    ],
)
def test_text_encoders_that_do_not_fit(values, words):
    with pytest.raises(ValidationError, match=words):
        TextEncoderConfig(**values)


def test_noise_levels_in_the_wrong_order():
    with pytest.raises(ValidationError, match='must be below'):
        DiffusionConfig(sigma_min=1.0, sigma_max=0.5)


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'cameras': ()}, '0 cameras are named, but the denoiser has 1'),
        ({'image_encoder': None}, 'image_encoder must be given'),
        ({'image_encoder': {'architecture': 'resnet50'}}, 'resnet50 gives 2048'),
        ({'text_encoder': {'kind': 'clip', 'source': 'x', 'dim': 512}}, 'gives 512 numbers'),
        ({'state_streams': ('joints',)}, 'give both or neither'),
        ({'action_normalization': 'minmax'}, "action_normalization: .*not 'minmax'"),
        ({'steps': 10}, 'steps: unknown key'),
        ({'diffusion': {'steps': 0}}, 'diffusion.steps: .*not 0'),
    ],
)
def test_policy_parts_that_do_not_fit(changes, words):
    values = json.loads(camera_policy_config().model_dump_json()) | changes
    with pytest.raises(UserError, match=f'(?s)settings.yaml .*{words}'):
        parse_policy_config(values, 'settings.yaml')


def test_a_repeated_name_is_refused():
    values = json.loads(PolicyConfig.small(4).model_dump_json())
    values['cameras'][1]['name'] = 'static'
    with pytest.raises(UserError, match='named once'):
        parse_policy_config(values, 'config.json')


def test_settings_are_frozen():
    with pytest.raises(ValidationError):
        PolicyConfig.small(4).denoiser.layers = 3
