"""The image encoders as inference runs them: the features of the network in eval mode."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from policy_samples import CONTRACT, FakeTextEncoder, denoiser_config, statistics
from torch import nn

from mode_ros.policy.config import ImageEncoderConfig, PolicyConfig, TextEncoderConfig
from mode_ros.policy.images import image_to_tensor
from mode_ros.policy.network import PolicyNetwork
from mode_ros.policy.packed_encoder import PackedEncoders, fold
from mode_ros.policy.policy import Policy

SIZES = ((40, 48), (41, 51))


def config(encoder, sizes=SIZES, layers=2):
    cameras = tuple({'name': f'camera{i}', 'height': h, 'width': w} for i, (h, w) in enumerate(sizes))
    changes = {'image_dim': encoder.feature_dim, 'goal_dim': 384, 'embed_dim': 16, 'cameras': len(sizes)}
    network = denoiser_config(layers=layers, **changes)
    return PolicyConfig(denoiser=network, image_encoder=encoder, text_encoder=TextEncoderConfig(), cameras=cameras)


def trained_network(settings, seed=0):
    """Every norm and every FiLM has a say in the features."""
    torch.manual_seed(seed)
    network = PolicyNetwork(settings).eval()
    for module in network.image_encoders.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1)
            nn.init.normal_(module.bias, std=0.3)
    for encoder in network.image_encoders:
        for layer in encoder.film.modules():
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.02)
                nn.init.normal_(layer.bias, std=0.3)
    return network.requires_grad_(False)


def pictures(settings, seed=0):
    random = np.random.default_rng(seed)
    return [random.integers(0, 256, (c.height, c.width, 3), dtype=np.uint8) for c in settings.cameras]


def plainly(network, images, goal):
    tensors = [image_to_tensor(*pair).unsqueeze(0) for pair in zip(images, network.config.cameras, strict=True)]
    with torch.inference_mode():
        return network.encode_images(tensors, goal)


CASES = {
    'resnet18': ImageEncoderConfig(),
    'half as wide': ImageEncoderConfig(width=0.5),
    'with keypoints': ImageEncoderConfig(width=0.5, pooling='keypoints'),
    'resnet34': ImageEncoderConfig(architecture='resnet34'),
    'resnet50': ImageEncoderConfig(architecture='resnet50'),
}


@pytest.mark.parametrize('packed', [True, False])
@pytest.mark.parametrize('encoder', CASES.values(), ids=CASES)
def test_the_features_are_the_networks(encoder, packed, monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, 'is_available', lambda: packed)
    settings = config(encoder)
    network = trained_network(settings)
    encode = PackedEncoders(settings, network)
    for seed in (0, 1):
        images, goal = pictures(settings, seed), torch.randn(1, 384)
        with torch.inference_mode():
            found = encode(images, encode.modulations(goal))
        torch.testing.assert_close(found, plainly(network, images, goal), rtol=1e-5, atol=2e-5)


def test_one_encoder_for_all_cameras():
    settings = config(ImageEncoderConfig(width=0.5, shared=True), (SIZES[0],) * 2)
    network = trained_network(settings)
    assert len(network.image_encoders) == 1
    images, goal = pictures(settings), torch.randn(1, 384)
    encode = PackedEncoders(settings, network)
    with torch.inference_mode():
        found = encode(images, encode.modulations(goal))
    torch.testing.assert_close(found, plainly(network, images, goal), rtol=1e-5, atol=2e-5)


def test_a_convolution_and_its_norm_become_one():
    torch.manual_seed(0)
    layer, norm = nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5).eval()
    for each in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(each)
    nn.init.uniform_(norm.running_var, 0.1, 3)
    x = torch.randn(2, 3, 9, 9)
    with torch.no_grad():
        torch.testing.assert_close(nn.functional.conv2d(x, *fold(layer, norm)), norm(layer(x)), rtol=1e-5, atol=1e-5)


def test_the_goals_part_is_computed_once_and_a_loaded_policy_keeps_one_copy(tmp_path):
    settings = config(ImageEncoderConfig(width=0.5), SIZES[:1])
    policy = Policy.untrained(settings, statistics(), CONTRACT, 0, text_encoder=FakeTextEncoder())
    policy.save(tmp_path / 'policy')
    loaded = Policy.load(tmp_path / 'policy', 'cpu', FakeTextEncoder())
    kept = {name for name, tensor in loaded.network.image_encoders.named_parameters() if not tensor.is_meta}
    assert all('film' in name or 'output' in name for name in kept)
    asked = []
    modulations = loaded._read_images.modulations
    loaded._read_images.modulations = lambda goal: asked.append(1) or modulations(goal)
    image = {'camera0': pictures(settings)[0]}
    chunks = [
        each.predict(image, None, goal, np.random.default_rng(0))
        for goal in ('push', 'pull', 'push')
        for each in (loaded, policy)
    ]
    assert len(asked) == 2
    for found, expected in zip(chunks[::2], chunks[1::2], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert np.abs(chunks[0] - chunks[2]).max() > 1e-6
