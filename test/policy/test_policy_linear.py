"""Number formats: the products, what they are refused for, and how far a chunk moves."""

from __future__ import annotations

import time
from functools import partial

import policy_golden as golden
import pytest
import torch
import torch.nn.functional as F

from mode_ros.errors import UserError
from mode_ros.policy import linear
from mode_ros.policy.config import DiffusionConfig
from mode_ros.policy.inference import ChunkSampler
from mode_ros.policy.linear import linear_makers
from mode_ros.policy.products import products_of

CPU = torch.device('cpu')
WITHIN = {'float32': 1e-5, 'bfloat16': 0.02, 'int8': 0.03}  # RMS over the spread


def distance(found, expected):
    return ((found - expected).pow(2).mean().sqrt() / expected.std()).item()


@pytest.mark.parametrize('number_format', WITHIN)
@pytest.mark.parametrize('part', ['attention', 'experts', 'gated'])
@pytest.mark.parametrize('shape', [(64,), (1, 10, 64), (10, 2, 3, 64)])
def test_a_product_in_each_format(number_format, part, shape):
    torch.manual_seed(0)
    weight, bias, x = torch.randn(96, 64), torch.randn(96), torch.randn(*shape)
    for given in (bias, None):
        found = getattr(linear_makers(number_format, CPU), part)(weight, given)(x)
        assert found.dtype == torch.float32
        assert distance(found, F.linear(x, weight, given)) < WITHIN[number_format]


@pytest.mark.parametrize('number_format', WITHIN)
def test_a_packed_product_does_not_look_at_the_weights_again(number_format):
    weight, bias, x = torch.randn(32, 16), torch.randn(32), torch.randn(3, 16)
    makers = linear_makers(number_format, CPU)
    product = makers.experts(weight, bias)
    before = product(x)
    makers.experts(torch.randn(32, 16), None)  # the place where weights are converted is used again
    weight.zero_()
    bias.zero_()
    assert torch.equal(product(x), before)


def test_each_token_has_a_scale_of_its_own_in_int8():
    torch.manual_seed(0)
    weight = torch.randn(32, 64)
    quiet = torch.randn(1, 64) * 1e-3
    product = linear_makers('int8', CPU).experts(weight, None)
    beside_a_loud_one = product(torch.cat([quiet, torch.randn(1, 64) * 1e3]))[:1]
    assert distance(beside_a_loud_one, F.linear(quiet, weight)) < 0.03


def test_int8_products_run_on_the_processors_own_instructions():
    """Given signed numbers, oneDNN falls back to a reference implementation without AMX: thousands of times slower."""
    torch.manual_seed(0)
    weight, x = torch.randn(1024, 512), torch.randn(10, 512)
    products = [linear_makers(number_format, CPU).experts(weight, None) for number_format in ('float32', 'int8')]
    fastest = [float('inf')] * 2
    for _ in range(20):
        for index, product in enumerate(products):
            begin = time.perf_counter()
            product(x)
            fastest[index] = min(fastest[index], time.perf_counter() - begin)
    assert fastest[1] < 30 * fastest[0]


@pytest.mark.parametrize('number_format', WITHIN)
def test_products_of_the_same_input_share_its_encoding(number_format):
    torch.manual_seed(0)
    makers = linear_makers(number_format, CPU)
    first, second = (makers.experts(torch.randn(32, 16), None) for _ in range(2))
    x = torch.randn(3, 16)
    encoded = first.encode(x)
    assert torch.equal(first.product(encoded), first(x))
    assert torch.equal(second.product(encoded), second(x))


def test_zeros_stay_zeros_in_int8():
    makers = linear_makers('int8', CPU)
    assert torch.equal(makers.experts(torch.zeros(32, 16), None)(torch.randn(3, 16)), torch.zeros(3, 32))
    assert torch.equal(makers.experts(torch.randn(32, 16), None)(torch.zeros(3, 16)), torch.zeros(3, 32))


@pytest.mark.parametrize('number_format', WITHIN)
@pytest.mark.parametrize('name', ['denoiser_small', 'denoiser_top1'])
def test_chunks_stay_near_the_published_ones(name, number_format, device):
    if device.type == 'cuda' and number_format == 'int8':
        pytest.skip('a GPU has no int8 here')
    about = golden.description(name)
    sizes, batch = about['config'], about['batch']
    denoiser = golden.denoiser(about).to(device)
    images = golden.random_input(about, 'state_images', (batch, about['images'], sizes['obs_dim']))
    goal = golden.random_input(about, 'goal', (batch, 1, sizes['goal_dim'])).squeeze(1)
    noise = golden.random_input(about, 'noise', (batch, sizes['action_seq_len'], sizes['action_dim']))
    images, goal, noise = images.to(device), goal.to(device), noise.to(device)
    makers = linear_makers(number_format, device)
    sampler = ChunkSampler(denoiser, DiffusionConfig(), make_products=partial(products_of, denoiser, makers))
    found = sampler.sample(sampler.read_observation(sampler.read_goal(goal), images), noise).cpu()
    expected = golden.outputs(name)['ddim_trajectory'][-1]
    assert distance(found, expected) < WITHIN[number_format]
    if number_format == 'float32':
        golden.assert_near(found, expected)
    else:
        assert distance(found, expected) > 1e-4  # else it was float32


def test_an_unknown_format():
    with pytest.raises(UserError, match="no number format 'int4': use float32, bfloat16, int8"):
        linear_makers('int4', CPU)


def test_a_format_that_the_device_lacks(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda: False)
    with pytest.raises(UserError, match=r"'int8' is not for this device, a GPU.*: use float32"):
        linear_makers('int8', torch.device('cuda'))
    with pytest.raises(UserError, match='a GPU without bfloat16: use float32'):
        linear_makers('bfloat16', torch.device('cuda'))
    monkeypatch.setattr(torch.backends.mkldnn, 'is_available', lambda: False)
    with pytest.raises(UserError, match='without oneDNN'):
        linear_makers('bfloat16', CPU)
    assert linear_makers('float32', CPU).experts is linear.view_linear
