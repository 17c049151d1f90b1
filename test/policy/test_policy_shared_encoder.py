"""One image encoder for all cameras computes what one each with the same weights would, and is kept as one."""

import numpy as np
import pytest
import torch
from policy.policy_samples import denoiser_config, statistics

from mode_ros.errors import UserError
from mode_ros.policy.checkpoint import CheckpointInfo, load_checkpoint, save_checkpoint
from mode_ros.policy.config import PolicyConfig, TextEncoderConfig, parse_policy_config
from mode_ros.policy.network import PolicyNetwork


def config(shared, sizes=((40, 40), (40, 40))):
    encoder = {'architecture': 'resnet18', 'width': 0.25, 'shared': shared}
    network = denoiser_config(cameras=2, image_dim=128, goal_dim=384, embed_dim=16, layers=2)
    return {
        'denoiser': network,
        'image_encoder': encoder,
        'text_encoder': TextEncoderConfig(),
        'cameras': [{'name': f'c{k}', 'height': h, 'width': w} for k, (h, w) in enumerate(sizes)],
    }


def pair():
    """A shared network and one with two encoders of the same weights."""
    torch.manual_seed(0)
    shared = PolicyNetwork(PolicyConfig(**config(True)))
    each = PolicyNetwork(PolicyConfig(**config(False)))
    for encoder in each.image_encoders:
        encoder.load_state_dict(shared.image_encoders[0].state_dict())
    return shared, each


def pictures(batch=3):
    generator = torch.Generator().manual_seed(1)
    images = [torch.randn(batch, 3, 40, 40, generator=generator) for _ in range(2)]
    return images, torch.randn(batch, 384, generator=generator)


@pytest.mark.parametrize('batch', [1, 3])
def test_it_computes_what_two_alike_would(batch):
    shared, each = pair()
    images, goal = pictures(batch)
    with torch.inference_mode():
        found, expected = (network.eval().encode_images(images, goal) for network in (shared, each))
    assert found.shape == (batch, 2, 128)
    assert torch.allclose(found, expected, atol=1e-5)
    assert not torch.allclose(found[:, 0], found[:, 1]), 'cameras are not mixed up'
    with pytest.raises(ValueError, match='2 cameras, and was given 1'):
        shared.encode_images(images[:1], goal)


def test_both_cameras_teach_it():
    shared, _ = pair()
    images, goal = pictures()
    for camera in (0, 1):
        shared.zero_grad()
        shared.train().encode_images(images, goal)[:, camera].square().sum().backward()
        assert all(parameter.grad is not None for parameter in shared.image_encoders[0].backbone.parameters())
    assert len(shared.image_encoders) == 1


def test_its_checkpoint_has_it_once(tmp_path):
    shared, _ = pair()
    info = CheckpointInfo(shared.config, statistics(), 'contract', 1)
    save_checkpoint(tmp_path / 'policy', info, shared)
    found, network = load_checkpoint(tmp_path / 'policy')
    assert found.config.image_encoder.shared
    assert not any(name.startswith('image_encoders.1') for name in network.state_dict())
    for name, tensor in shared.state_dict().items():
        assert np.array_equal(tensor.numpy(), network.state_dict()[name].numpy()), name


def test_pictures_of_two_sizes_are_refused():
    with pytest.raises(UserError, match=r'image_encoder\.shared.*one size'):
        parse_policy_config(config(True, ((40, 40), (48, 48))), 'The file')
    parse_policy_config(config(False, ((40, 40), (48, 48))), 'The file')
