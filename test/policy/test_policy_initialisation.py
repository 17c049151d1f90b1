"""What a network begins with: layer by layer, and what it makes of the noise level (MoDE's published training)."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from policy_samples import denoiser_config

from mode_ros.policy.config import DiffusionConfig, ImageEncoderConfig
from mode_ros.policy.denoiser import Denoiser
from mode_ros.policy.diffusion import schedule
from mode_ros.policy.film_resnet import build_film_resnet
from mode_ros.policy.initialisation import guess

DIM = 64
ROOT3 = math.sqrt(3)  # a uniform distribution in ±a has the deviation a/√3


def denoiser(initialisation, seed=0, **changes):
    torch.manual_seed(seed)
    sizes = {'embed_dim': DIM, 'heads': 4, 'layers': 4, 'state_dim': 6} | changes
    return Denoiser(denoiser_config(**sizes), initialisation)


def uniform(dim):
    """The bound of each weight's uniform distribution, by its name."""
    return {
        'noise_embedding.input.weight': 1.0,
        'noise_embedding.input.bias': 1.0,
        'noise_embedding.output.weight': dim**-0.5,
        'goal_projection.weight': 10**-0.5,
        'image_projection.weight': 12**-0.5,
        'state_projection.weight': 6**-0.5,
        'action_projection.weight': 3**-0.5,
        'output.weight': dim**-0.5,
        'output.bias': dim**-0.5,
        'blocks.1.attention.query_key_value.weight': dim**-0.5,
        'blocks.1.attention.query_key_value.bias': dim**-0.5,
        'blocks.1.attention.output.weight': dim**-0.5,
        'blocks.1.mixture.up_weight': dim**-0.5,
        'blocks.1.mixture.up_bias': dim**-0.5,
        'blocks.1.mixture.down_weight': (4 * dim) ** -0.5,
    }


UNIFORM = uniform(DIM)
NORMAL = {'blocks.1.router.input.weight': 0.02, 'blocks.1.router.output.weight': 0.02}
ZERO = ('position', 'blocks.1.router.input.bias', 'blocks.1.router.output.bias')
ONE = ('final_norm.gain', 'blocks.1.attention_norm.gain', 'blocks.1.attention.query_norm.gain')


@pytest.mark.parametrize('name', [*UNIFORM, *NORMAL, *ZERO, *ONE])
def test_every_layer_begins_as_published(name):
    drawn = torch.cat([denoiser('published', seed).state_dict()[name].flatten() for seed in range(20)])
    if name in ZERO or name in ONE:
        assert (drawn == float(name in ONE)).all()
        return
    deviation = UNIFORM[name] / ROOT3 if name in UNIFORM else NORMAL[name]
    within = 5 / math.sqrt(2 * len(drawn))  # five times what chance moves a deviation by
    assert float(drawn.square().mean().sqrt()) == pytest.approx(deviation, rel=within)
    largest = float(drawn.abs().max())
    assert (largest <= UNIFORM[name]) if name in UNIFORM else (largest > 2.5 * deviation)


@pytest.mark.parametrize('dim', [192, 256, pytest.param(1024, marks=pytest.mark.slow)])
def test_wider_networks_begin_as_published_too(dim):
    squares, numbers, largest = Counter(), Counter(), {}
    for seed in range(20):
        for name, weight in denoiser('published', seed, embed_dim=dim, layers=2, experts=2).state_dict().items():
            squares[name] += float(weight.square().sum())
            numbers[name] += weight.numel()
            largest[name] = max(largest.get(name, 0.0), float(weight.abs().max()))
    for name, bound in (uniform(dim) | NORMAL).items():
        deviation = bound / ROOT3 if name not in NORMAL else bound
        within = 5 / math.sqrt(2 * numbers[name])
        assert math.sqrt(squares[name] / numbers[name]) == pytest.approx(deviation, rel=within), name
        assert name in NORMAL or largest[name] <= bound, name
    assert not any(largest[name] for name in ZERO)
    gains = [name for name in numbers if name.endswith('gain')]
    assert len(gains) == 2 * 4 + 1
    assert all(largest[name] == 1 and squares[name] == numbers[name] for name in gains)


def test_no_weight_is_left_out_above():
    parts = {name.replace('blocks.1.', ''): True for name in (*UNIFORM, *NORMAL, *ZERO, *ONE)}
    names = {name.split('.', 2)[2] if name.startswith('blocks.') else name for name in denoiser('small').state_dict()}
    assert {name for name in names if not name.endswith('gain')} <= parts.keys()


def noise_rms(initialisation, dim, seed):
    """e(σ)'s root mean square over the schedule."""
    network = denoiser(initialisation, seed, embed_dim=dim, layers=1, experts=1, top_k=1)
    with torch.inference_mode():
        return float(network.noise_embedding(schedule(DiffusionConfig())[:-1]).square().mean().sqrt())


@pytest.mark.parametrize('dim', [64, 192, 256, 1024])
def test_the_noise_embedding_is_as_loud_as_the_published_one(dim):
    levels = (schedule(DiffusionConfig())[:-1].log() / 4).square().mean()
    # W2's inputs have (x² + 1)/3, its weights 1/(3D), and there are D of them.
    expected = math.sqrt((float(levels) + 1) / 9)
    found = [noise_rms('published', dim, seed) for seed in range(20)]
    assert sum(found) / 20 == pytest.approx(expected, rel=4 / math.sqrt(20 * dim))
    small = [noise_rms('small', dim, seed) for seed in range(5)]
    assert sum(small) / 5 == pytest.approx(0.02**2 * math.sqrt(dim * float(levels)), rel=0.2)


def test_the_noise_levels_do_not_lie_on_one_line():
    """Without the first layer's bias the normed noise token would know only the sign of ln σ."""
    for initialisation, expected in (('published', True), ('small', False)):
        network = denoiser(initialisation)
        with torch.inference_mode():
            embedded = network.noise_embedding(schedule(DiffusionConfig())[:-1])
        second = torch.linalg.svdvals(embedded)[1] / torch.linalg.svdvals(embedded)[0]
        assert (float(second) > 0.05) == expected


def test_a_denoiser_tells_what_it_began_with():
    for initialisation in ('published', 'small'):
        assert guess(denoiser(initialisation).noise_embedding.input.weight) == initialisation


def test_film_begins_as_a_linear_layer_or_as_the_identity():
    config = ImageEncoderConfig(architecture='resnet18', width=0.25)
    image, goals = torch.randn(1, 3, 64, 64).expand(2, 3, 64, 64), torch.randn(2, 6)
    for arguments, expected in (
        (('published',), True),
        (('small',), False),
        (('published', 'identity'), False),
        (('small', 'random'), True),
    ):
        torch.manual_seed(0)
        encoder = build_film_resnet(config, 6, *arguments).eval()
        with torch.inference_mode():
            first, second = encoder(image, goals)
        assert bool((first - second).abs().max() > 1e-6) == expected, arguments
        layer = encoder.film[3]
        largest = float(layer.weight.detach().abs().max())
        assert (0 < largest <= 6**-0.5) if expected else largest == 0


def test_convolutions_of_the_blocks_begin_as_torchs_layers():
    torch.manual_seed(0)
    published = build_film_resnet(ImageEncoderConfig(), 6)
    weight = published.backbone.layer4[1].conv2.weight.detach()
    bound = (512 * 9) ** -0.5
    assert float(weight.std()) == pytest.approx(bound / ROOT3, rel=0.01)
    assert float(weight.abs().max()) <= bound
    stem = published.backbone.conv1.weight.detach()  # torchvision's: normal, √(2 / outputs)
    assert float(stem.std()) == pytest.approx(math.sqrt(2 / (64 * 49)), rel=0.05)
