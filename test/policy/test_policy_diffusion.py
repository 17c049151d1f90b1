"""Scalings, schedule and sampler."""

from __future__ import annotations

import math

import pytest
import torch

from mode_ros.errors import UserError
from mode_ros.policy.config import DiffusionConfig
from mode_ros.policy.diffusion import (
    SOLVERS,
    ddim,
    dpmpp_2m,
    exponential_schedule,
    initial_noise,
    karras_schedule,
    scalings,
    schedule,
)


def test_scalings_where_noise_equals_data():
    c = scalings(torch.tensor(0.5), 0.5)
    torch.testing.assert_close(torch.stack(c), torch.tensor([0.5, 0.5 / math.sqrt(2), math.sqrt(2)]))


def test_scaled_input_has_unit_variance_at_every_noise_level():
    sigma = torch.logspace(-3, 2, 20)
    c = scalings(sigma, 0.5)
    torch.testing.assert_close(c.into**2 * (sigma**2 + 0.25), torch.ones(20))
    # A target for F of unit variance, too: (data - c_skip·noisy) / c_out.
    variance = ((1 - c.skip) ** 2 * 0.25 + c.skip**2 * sigma**2) / c.out**2
    torch.testing.assert_close(variance, torch.ones(20), rtol=1e-3, atol=1e-3)


def test_schedule_is_equally_spaced_in_the_logarithm_and_ends_at_zero():
    levels = schedule(DiffusionConfig())
    assert levels.shape == (11,)
    assert levels[-1] == 0
    assert levels[0].item() == pytest.approx(80)
    assert levels[-2].item() == pytest.approx(0.001)
    spacing = levels[:-1].log().diff()
    torch.testing.assert_close(spacing, spacing[:1].expand(9), rtol=1e-4, atol=0)


def test_one_step_starts_at_the_top():
    assert exponential_schedule(1, 0.001, 80).tolist() == [80, 0]


@pytest.mark.parametrize('steps', [0, -3])
def test_no_steps_is_refused(steps):
    with pytest.raises(UserError, match=str(steps)):
        exponential_schedule(steps, 0.001, 80)


def test_ddim_with_a_perfect_denoiser_ends_at_the_data():
    data = torch.randn(2, 5, 3)
    found = ddim(lambda x, step: data, torch.randn(2, 5, 3) * 80, schedule(DiffusionConfig()))
    assert torch.equal(found, data)


def test_ddim_steps_as_written():
    x = torch.tensor([[[8.0]]])
    seen = []

    def denoise(noisy, step):
        seen.append((step, noisy.item()))
        return torch.ones_like(noisy)

    last = ddim(denoise, x, torch.tensor([4.0, 1.0, 0.0]))
    # 1/4 of x and 3/4 of the denoised chunk, then the denoised chunk alone.
    assert seen == [(0, 8.0), (1, 2.75)]
    assert last.item() == 1


def test_ddim_tells_each_step_and_can_be_stopped():
    told = []

    def stop_at_the_second(step, x):
        told.append(step)
        if step == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ddim(lambda x, step: x, torch.zeros(1, 1, 1), schedule(DiffusionConfig()), stop_at_the_second)
    assert told == [0, 1]


def test_noise_repeats_by_its_seed():
    draws = [initial_noise(1, 10, 4, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert draws[0].shape == (1, 10, 4)
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_karras_levels():
    levels = karras_schedule(5, 0.01, 80, rho=7)
    assert levels[-1] == 0
    roots = levels[:-1] ** (1 / 7)
    assert levels[0].item() == pytest.approx(80)
    torch.testing.assert_close(roots.diff(), roots.diff()[:1].expand(4), rtol=1e-4, atol=0)
    assert karras_schedule(1, 0.01, 80).tolist() == pytest.approx([80, 0])
    with pytest.raises(UserError, match='is 0'):
        karras_schedule(0, 0.01, 80)
    assert torch.equal(schedule(DiffusionConfig(schedule='karras', steps=5, sigma_min=0.01)), levels)


def gaussian(sigmas, spread=0.5):
    """The exact denoiser of data that are normal with deviation `spread`."""
    return lambda x, step: x * spread**2 / (spread**2 + sigmas[step] ** 2)


@pytest.mark.parametrize('solve', SOLVERS.values(), ids=SOLVERS)
def test_solvers_reach_the_exact_answer_with_many_steps(solve):
    sigmas = exponential_schedule(400, 0.001, 80).double()
    x = torch.tensor([[[80.0]]], dtype=torch.float64)
    exact = x * 0.5 / math.sqrt(0.5**2 + 80**2)  # the probability flow's solution for normal data
    assert solve(gaussian(sigmas), x, sigmas, None).item() == pytest.approx(exact.item(), rel=0.02)


def test_the_second_order_solver_is_nearer_and_gains_four_times_from_twice_the_steps():
    x = torch.tensor([[[80.0]]], dtype=torch.float64)

    def error(solve, steps, low=0.05):
        sigmas = exponential_schedule(steps, low, 80).double()[:-1]  # down to `low`, where the exact answer is known
        exact = 80 * math.sqrt((0.5**2 + low**2) / (0.5**2 + 80**2))
        return abs(solve(gaussian(sigmas), x, sigmas, None).item() - exact)

    assert error(dpmpp_2m, 20) < error(ddim, 20) / 3
    assert error(dpmpp_2m, 40) / error(dpmpp_2m, 80) == pytest.approx(4, rel=0.35)
    assert error(ddim, 40) / error(ddim, 80) == pytest.approx(2, rel=0.35)


@pytest.mark.parametrize('steps', [1, 2])
def test_few_steps_of_the_second_order_solver_are_ddims(steps):
    sigmas = exponential_schedule(steps, 0.001, 80)
    x = torch.randn(1, 2, 3)
    torch.testing.assert_close(dpmpp_2m(gaussian(sigmas), x, sigmas), ddim(gaussian(sigmas), x, sigmas))
