"""Units of the robot and of the network; images."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from mode_ros.errors import UserError
from mode_ros.policy.config import CameraConfig
from mode_ros.policy.images import image_to_tensor, normalize_images
from mode_ros.policy.normalization import Statistics, StreamStatistics, build_normalizer, build_state_normalizer

METHODS = ['min_max', 'quantile', 'mean_std']


def samples():
    rng = np.random.default_rng(0)
    return rng.normal([1.0, -20.0, 0.0], [0.1, 5.0, 1e-3], (2000, 3))


@pytest.mark.parametrize('method', METHODS)
def test_round_trip(method):
    x = samples()
    normalizer = build_normalizer(StreamStatistics.of(x), method)
    np.testing.assert_allclose(normalizer.unnormalize(normalizer.normalize(x)), x, rtol=1e-12, atol=1e-12)


def test_min_max_fills_the_range_exactly():
    x = samples()
    y = build_normalizer(StreamStatistics.of(x), 'min_max').normalize(x)
    np.testing.assert_allclose([y.min(0), y.max(0)], [[-1] * 3, [1] * 3], atol=1e-12)


def test_quantile_leaves_two_percent_outside():
    x = samples()
    y = build_normalizer(StreamStatistics.of(x), 'quantile').normalize(x)
    np.testing.assert_allclose((np.abs(y) > 1).mean(0), 0.02, atol=1e-3)


def test_mean_std_standardises():
    x = samples()
    y = build_normalizer(StreamStatistics.of(x), 'mean_std').normalize(x)
    np.testing.assert_allclose([y.mean(0), y.std(0)], [[0] * 3, [1] * 3], atol=1e-9)


@pytest.mark.parametrize('method', METHODS)
def test_a_constant_dimension_becomes_zero_and_comes_back(method):
    x = samples()
    x[:, 1] = 123456.7
    x[:, 2] = 0
    normalizer = build_normalizer(StreamStatistics.of(x), method)
    y = normalizer.normalize(x)
    np.testing.assert_allclose(y[:, 1:], 0, atol=1e-7)
    np.testing.assert_allclose(normalizer.unnormalize(np.zeros(3))[1:], [123456.7, 0])


def test_a_small_spread_on_a_small_scale_is_not_taken_for_a_constant():
    x = samples()  # the third dimension moves by millimetres in metres
    assert build_normalizer(StreamStatistics.of(x), 'mean_std').scale[2] == pytest.approx(1e-3, rel=0.1)


def test_state_streams_are_joined_in_order():
    streams = {'b': StreamStatistics.of(samples()), 'a': StreamStatistics.unit(2)}
    normalizer = build_state_normalizer(streams, ('a', 'b'), 'mean_std')
    np.testing.assert_allclose(normalizer.center, [0, 0, *streams['b'].mean])
    assert build_state_normalizer(streams, (), 'mean_std') is None
    with pytest.raises(UserError, match=r'\'c\'.*\[\'a\', \'b\'\]'):
        build_state_normalizer(streams, ('a', 'c'), 'mean_std')


def test_statistics_survive_json():
    statistics = Statistics(action=StreamStatistics.of(samples()), state={'a': StreamStatistics.unit(2)})
    assert Statistics.from_values(json.loads(statistics.to_json()), 'statistics.json') == statistics


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'max': (-2.0, 1.0)}, 'min is above max'),
        ({'q01': (2.0, 0.0)}, 'q01 is above q99'),
        ({'std': (-1.0, 1.0)}, 'below 0'),
        ({'mean': (0.0,)}, 'mean has 1 numbers'),
        ({'mean': (0.0, float('inf'))}, 'not finite'),
    ],
)
def test_impossible_statistics_are_refused(change, words):
    with pytest.raises(ValidationError, match=words):
        StreamStatistics(**(StreamStatistics.unit(2).model_dump() | change))


@pytest.mark.parametrize('values', [np.zeros((0, 3)), np.zeros(3)])
def test_statistics_of_nothing_are_refused(values):
    with pytest.raises(UserError, match='samples'):
        StreamStatistics.of(values)


CAMERA = CameraConfig(name='wrist', height=40, width=48)


def test_an_image_is_normalised_per_channel_and_turned():
    image = np.zeros((40, 48, 3), np.uint8)
    image[3, 5] = 255, 0, 128
    image.setflags(write=False)  # as a ROS message's data
    tensor = image_to_tensor(image, CAMERA)
    assert tensor.shape == (3, 40, 48)
    # (value/255 - mean) / std with CLIP's constants for red, green and blue
    expected = [(1 - 0.48145466) / 0.26862954, -0.4578275 / 0.26130258, (128 / 255 - 0.40821073) / 0.27577711]
    np.testing.assert_allclose(tensor[:, 3, 5], expected, rtol=1e-5)


def test_a_batch_of_images_is_normalised_like_one():
    image = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    batch = torch.from_numpy(image).permute(2, 0, 1).expand(2, 5, 3, 40, 48)
    torch.testing.assert_close(normalize_images(batch)[1, 4], image_to_tensor(image, CAMERA))


@pytest.mark.parametrize(
    'image',
    [
        np.zeros((48, 40, 3), np.uint8),
        np.zeros((40, 48), np.uint8),
        np.zeros((40, 48, 4), np.uint8),
        np.zeros((40, 48, 3), np.float32),
    ],
)
def test_another_image_is_refused_by_camera_and_size(image):
    with pytest.raises(UserError, match=r'\'wrist\'.*\(40, 48, 3\)') as caught:
        image_to_tensor(image, CAMERA)
    assert str(image.shape) in str(caught.value)
