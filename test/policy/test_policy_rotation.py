"""Rotations before rounding: what they leave as it is, and what they take from int8's error."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mode_ros.policy.config import DenoiserConfig
from mode_ros.policy.denoiser import Denoiser
from mode_ros.policy.layers import gate
from mode_ros.policy.linear import LinearMakers, linear_makers, view_linear
from mode_ros.policy.products import products_of
from mode_ros.policy.rotation import block_size, hadamard, rotate

# Inner widths of an expert, published and small, and some that powers of two divide less well.
WIDTHS = {4096: 32, 768: 32, 400: 16, 6: 2, 7: 1, 1: 1}
INT8 = linear_makers('int8', torch.device('cpu'))


def distance(make, weight, x):
    expected = F.linear(x, weight)
    return ((make(weight, None)(x) - expected).pow(2).mean().sqrt() / expected.std()).item()


@pytest.mark.parametrize(('width', 'size'), WIDTHS.items())
def test_blocks_divide_the_width(width, size):
    assert block_size(width) == size


@pytest.mark.parametrize('size', [1, 2, 32])
def test_a_block_is_orthonormal_and_mixes_all_alike(size):
    block = hadamard(size)
    torch.testing.assert_close(block @ block.T, torch.eye(size))
    torch.testing.assert_close(block, block.T)
    torch.testing.assert_close(block.abs(), torch.full((size, size), size**-0.5))


@pytest.mark.parametrize('width', WIDTHS)
def test_a_product_of_rotated_ones_is_the_product(width):
    torch.manual_seed(0)
    weight, x = torch.randn(24, width), torch.randn(2, 5, width)
    block = hadamard(block_size(width))
    found = F.linear(rotate(x, block), rotate(weight, block))
    torch.testing.assert_close(found, F.linear(x, weight), rtol=1e-4, atol=1e-5 * width**0.5)


@pytest.mark.parametrize('width', WIDTHS)
def test_gated_int8_products_of_any_width_leave_their_input(width):
    torch.manual_seed(0)
    weight, x = torch.randn(64, width), torch.randn(3, width)
    given = x.clone()
    assert distance(INT8.gated, weight, x) < 0.03
    assert torch.equal(x, given)


def test_gated_inputs_lose_little_more_in_int8_than_normal_ones():
    """A gate lets a few through that are far larger than the rest."""
    torch.manual_seed(0)
    weight, gated = torch.randn(256, 2048), gate(torch.randn(10, 4096))
    found = distance(INT8.gated, weight, gated)
    assert found < 0.7 * distance(INT8.experts, weight, gated)
    assert found < 1.4 * distance(INT8.gated, weight, torch.randn(10, 2048))


def test_the_experts_second_products_are_the_gated_ones():
    config = DenoiserConfig(
        action_dim=2, image_dim=8, goal_dim=8, cameras=1, embed_dim=16, layers=2, heads=2, experts=2, chunk_length=3
    )
    made = []

    def make_gated(weight, bias):
        made.append((tuple(weight.shape), bias))
        return view_linear(weight, bias)

    used = ({0, 1}, {1})
    layers = products_of(Denoiser(config), LinearMakers(view_linear, view_linear, gated=make_gated), used)
    assert made == [((16, 64), None)] * 3
    assert [set(layer.down) for layer in layers] == [{0, 1}, {1}]
