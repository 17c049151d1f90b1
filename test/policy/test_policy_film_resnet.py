"""The image encoders beyond what the golden files show."""

from __future__ import annotations

import pytest
import torch
import torchvision

from mode_ros.policy.config import ImageEncoderConfig
from mode_ros.policy.film_resnet import build_film_resnet, mean_and_keypoints


def encoder(architecture='resnet18', film_begins=None):
    torch.manual_seed(0)
    return build_film_resnet(ImageEncoderConfig(architecture=architecture), 6, film_begins=film_begins)


@pytest.mark.parametrize('architecture', ['resnet18', 'resnet34', 'resnet50'])
def test_film_as_the_identity_leaves_imagenets_weights_alone(architecture):
    torch.manual_seed(1)
    plain = getattr(torchvision.models, architecture)(weights=None).eval()
    film = encoder(architecture, 'identity').eval()
    film.load_imagenet(plain.state_dict())
    if architecture == 'resnet18':
        film.output = torch.nn.Identity()
    plain.fc = torch.nn.Identity()
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(film(image, torch.randn(1, 6)), plain(image), rtol=1e-4, atol=1e-5)


def test_incomplete_imagenet_weights_are_refused():
    weights = torchvision.models.resnet18(weights=None).state_dict()
    del weights['layer2.0.conv1.weight']
    with pytest.raises(RuntimeError, match=r'layer2\.0\.conv1\.weight'):
        encoder().load_imagenet(weights)


@pytest.mark.parametrize('architecture', ['resnet18', 'resnet34'])
def test_the_goal_reaches_the_features(architecture):
    film = encoder(architecture).eval()
    for layer in film.film.modules():
        if isinstance(layer, torch.nn.Linear):
            torch.nn.init.normal_(layer.weight, std=0.1)
    image = torch.randn(1, 3, 64, 64).expand(2, 3, 64, 64)
    with torch.inference_mode():
        features = film(image, torch.randn(2, 6))
    assert (features[0] - features[1]).abs().max() > 1e-2


def test_a_keypoint_is_where_its_channel_is_strongest():
    maps = torch.zeros(2, 3, 5, 9)
    maps[0, 0, 4, 0] = maps[1, 0, 0, 8] = maps[0, 2, 2, 4] = 50.0
    found = mean_and_keypoints(maps).view(2, 3, 3)  # [image, mean or column or row, channel]
    torch.testing.assert_close(found[:, 0], maps.mean((-2, -1)))
    torch.testing.assert_close(found[:, 1:, 0], torch.tensor([[-1.0, 1.0], [1.0, -1.0]]))
    torch.testing.assert_close(found[:, 1:, 1:], torch.zeros(2, 2, 2), atol=1e-6, rtol=0)


def test_a_keypoint_moves_by_less_than_a_cell():
    maps = torch.zeros(1, 1, 4, 4)
    maps[..., 1, 1], maps[..., 1, 2] = 9.0, 8.0
    before = mean_and_keypoints(maps)[0, 1]
    maps[..., 1, 1], maps[..., 1, 2] = 8.9, 8.1
    assert 0 < mean_and_keypoints(maps)[0, 1] - before < 1 / 3


def test_keypoints_belong_to_resnet18():
    with pytest.raises(ValueError, match='keypoints is for resnet18 alone'):
        ImageEncoderConfig(architecture='resnet50', pooling='keypoints')
    assert build_film_resnet(ImageEncoderConfig(width=0.5, pooling='keypoints'), 6).output.weight.shape == (256, 768)
