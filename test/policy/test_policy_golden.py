"""The network and the sampler against the published implementation's outputs."""

from __future__ import annotations

import policy_golden as golden
import pytest
import torch

from mode_ros.policy.config import DiffusionConfig, ImageEncoderConfig
from mode_ros.policy.diffusion import denoise_plain, sample_plain, schedule
from mode_ros.policy.film_resnet import build_film_resnet
from mode_ros.policy.inference import ChunkSampler
from mode_ros.policy.published import convert, plan_import

DIFFUSION = DiffusionConfig()
SIGMAS = {'1': 1.0, '0p02': 0.02, '80': 80.0}


class Case:
    """One golden denoiser on a device, with its inputs there, and the expected outputs."""

    def __init__(self, name, device):
        about = golden.description(name)
        sizes, batch = about['config'], about['batch']
        self.device = device
        self.expected = golden.outputs(name)
        self.denoiser = golden.denoiser(about).to(device)

        def given(name, *shape):
            return golden.random_input(about, name, (batch, *shape)).to(device)

        self.images = given('state_images', about['images'], sizes['obs_dim'])
        self.goal = given('goal', 1, sizes['goal_dim']).squeeze(1)
        self.noise = given('noise', sizes['action_seq_len'], sizes['action_dim'])


@pytest.fixture(scope='module', params=['denoiser_small', 'denoiser_top1'])
def case(request, device):
    return Case(request.param, device)


def test_schedule(case):
    found, expected = schedule(DIFFUSION), case.expected['sigmas']
    assert found[-1] == expected[-1] == 0
    torch.testing.assert_close(found, expected, rtol=golden.TOLERANCE, atol=0)


def test_routing_table(case):
    table = ChunkSampler(case.denoiser, DIFFUSION).routing
    assert torch.equal(torch.tensor(table.experts), case.expected['router_topk'])
    dense = torch.zeros_like(case.expected['router_weights'])
    dense.scatter_(-1, torch.tensor(table.experts), torch.tensor(table.weights))
    torch.testing.assert_close(dense, case.expected['router_weights'], rtol=golden.TOLERANCE, atol=1e-6)


def test_router_probabilities(case):
    noise = case.denoiser.noise_embedding(case.expected['sigmas'][:-1].to(case.device))
    for layer, block in enumerate(case.denoiser.blocks):
        routing = block.router(noise)
        expected = case.expected['router_probs'][:, layer]
        torch.testing.assert_close(routing.probabilities.cpu(), expected, rtol=golden.TOLERANCE, atol=1e-7)
        assert torch.equal(routing.experts.cpu(), case.expected['router_topk'][:, layer])


@pytest.mark.parametrize('name', SIGMAS)
def test_denoised(case, name):
    sigma = torch.tensor([SIGMAS[name]], device=case.device).expand(len(case.noise))
    x = case.noise * SIGMAS[name]
    found = denoise_plain(case.denoiser, x, sigma, case.goal, case.images, None, DIFFUSION.sigma_data)
    golden.assert_near(found.cpu(), case.expected[f'denoised_sigma_{name}'])


def test_ddim_trajectory(case):
    steps = []
    sample_plain(
        case.denoiser, DIFFUSION, case.noise, case.goal, case.images, on_step=lambda _, x: steps.append(x.cpu().clone())
    )
    assert len(steps) == len(case.expected['ddim_trajectory'])
    for found, expected in zip(steps, case.expected['ddim_trajectory'], strict=True):
        golden.assert_near(found, expected)


@pytest.mark.parametrize('recorded', [False, True], ids=['loop', 'recorded'])
def test_fast_path_gives_the_published_chunk(case, recorded):
    sampler = ChunkSampler(case.denoiser, DIFFUSION)
    if recorded:
        sampler.prepare(len(case.noise))  # on a CPU nothing
    prefix = sampler.read_observation(sampler.read_goal(case.goal), case.images)
    golden.assert_near(sampler.sample(prefix, case.noise).cpu(), case.expected['ddim_trajectory'][-1])


@pytest.mark.parametrize('architecture', ['resnet18', 'resnet34', 'resnet50'])
def test_image_encoder(architecture, device):
    about = golden.description(f'film_{architecture}')
    encoder = build_film_resnet(ImageEncoderConfig(architecture=architecture), about['condition_dim']).eval()
    shapes = {f'image_encoders.0.{name}': tensor.shape for name, tensor in encoder.state_dict().items()}
    plan = plan_import(about['shapes'], shapes)
    assert not plan.unknown
    assert not plan.unused
    tensors = convert(plan, lambda name: golden.weight(about, name), shapes)
    encoder.load_state_dict({name.removeprefix('image_encoders.0.'): tensor for name, tensor in tensors.items()})
    encoder.to(device)
    size = about['image_size']
    image = golden.random_input(about, 'image', (2, 3, size, size)).to(device)
    condition = golden.random_input(about, 'condition', (2, about['condition_dim'])).to(device)
    with torch.inference_mode():
        golden.assert_near(encoder(image, condition).cpu(), golden.outputs(f'film_{architecture}')['features'])
