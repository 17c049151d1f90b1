"""Small policies and a text encoder that needs no weights."""

from __future__ import annotations

import zlib

import torch

from mode_ros.policy.config import DenoiserConfig, ImageEncoderConfig, PolicyConfig, TextEncoderConfig
from mode_ros.policy.denoiser import Denoiser
from mode_ros.policy.normalization import Statistics, StreamStatistics

CONTRACT = 'robot: test arm\r\nunit: "\N{DEGREE SIGN}"\n'


class FakeTextEncoder:
    """Numbers from a sentence's checksum; counts what it was asked."""

    def __init__(self, dim=384):
        self.dim = dim
        self.asked = []

    def encode(self, texts):
        self.asked += texts
        return torch.stack(
            [
                torch.randn(self.dim, generator=torch.Generator().manual_seed(zlib.crc32(text.encode())))
                for text in texts
            ]
        )


def denoiser_config(**changes):
    sizes = {
        'action_dim': 3,
        'image_dim': 12,
        'goal_dim': 10,
        'cameras': 2,
        'embed_dim': 32,
        'layers': 3,
        'heads': 4,
        'experts': 4,
        'top_k': 2,
        'chunk_length': 5,
    }
    return DenoiserConfig(**(sizes | changes))


def random_denoiser(seed=0, **changes):
    """Weights large enough that every part has a say in the output, unlike those training starts from."""
    torch.manual_seed(seed)
    network = Denoiser(denoiser_config(**changes)).eval()
    for name, parameter in network.named_parameters():
        if name.endswith('gain'):
            torch.nn.init.normal_(parameter, mean=1, std=0.1)
        else:
            torch.nn.init.normal_(parameter, std=1.5 / parameter.shape[-1] ** 0.5)
    return network


def state_policy_config(**changes):
    """Without cameras, so that it is small."""
    network = denoiser_config(cameras=0, image_dim=0, state_dim=4, goal_dim=384, embed_dim=16, layers=2)
    values = {'denoiser': network, 'text_encoder': TextEncoderConfig(), 'state_streams': ('joints', 'gripper')}
    return PolicyConfig(**(values | changes))


def camera_policy_config():
    network = denoiser_config(cameras=1, image_dim=512, goal_dim=384, embed_dim=16, layers=2)
    return PolicyConfig(
        denoiser=network,
        image_encoder=ImageEncoderConfig(),
        text_encoder=TextEncoderConfig(),
        cameras=({'name': 'static', 'height': 40, 'width': 48},),
    )


def statistics():
    values = torch.linspace(-3, 5, 300, dtype=torch.float64).view(100, 3).numpy()
    gripper = StreamStatistics(min=(0.0,), max=(0.08,), mean=(0.05,), std=(0.02,), q01=(0.001,), q99=(0.079,))
    return Statistics(
        action=StreamStatistics.of(values), state={'joints': StreamStatistics.of(values), 'gripper': gripper}
    )
