"""The formulas of MoDE's training, each against the plainest way to write it."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from mode_ros.policy.config import DiffusionConfig
from mode_ros.policy.diffusion import scalings
from mode_ros.policy.routing import Routing, select_experts
from mode_ros.training.loss import (
    SHARES,
    balancing_loss,
    denoising_error,
    expert_shares,
    log_logistic_sigmas,
    move_biases,
)
from mode_ros.training.optimizer import average_of, build_optimizer
from mode_ros.training.schedule import learning_rate_factor
from mode_ros.training.settings import OptimizerSettings

DIFFUSION = DiffusionConfig()


def cumulative(sigma, scale=0.5):
    """The share of a log-logistic with location ln σ_data below sigma: 1 / (1 + (σ/σ_data)^(−1/s))."""
    return 1 / (1 + (sigma / DIFFUSION.sigma_data) ** (-1 / scale))


@pytest.mark.parametrize('scale', [0.5, 1.0])
def test_noise_levels_are_log_logistic(scale):
    uniform = torch.linspace(0, 1 - 1e-9, 4001, dtype=torch.float64)
    sigmas = log_logistic_sigmas(uniform, DIFFUSION, scale).double()
    low, high = cumulative(0.001, scale), cumulative(80.0, scale)
    expected = (cumulative(sigmas, scale) - low) / (high - low)
    assert expected[1:-1].numpy() == pytest.approx(uniform[1:-1].numpy(), abs=1e-5)
    assert float(sigmas[2000]) == pytest.approx(0.5, rel=1e-2)  # the median is the location
    assert float(sigmas.min()) >= 0.001
    assert float(sigmas.max()) <= 80
    assert sigmas.isfinite().all()


def test_noise_levels_are_cut_where_the_sampler_ends():
    narrow = DiffusionConfig(sigma_min=0.4, sigma_max=0.6)
    sigmas = log_logistic_sigmas(torch.rand(1000, generator=torch.Generator().manual_seed(0)), narrow, 0.5)
    assert sigmas.min() >= 0.4
    assert sigmas.max() <= 0.6
    assert np.histogram(sigmas, 4, (0.4, 0.6))[0].min() > 150  # cut, not clamped


def test_the_perfect_network_has_no_denoising_error():
    generator = torch.Generator().manual_seed(0)
    actions = torch.rand(6, 4, 3, generator=generator) * 2 - 1
    sigma = torch.tensor([0.001, 0.01, 0.1, 0.5, 5.0, 80.0])
    noisy = actions + sigma.view(-1, 1, 1) * torch.randn(actions.shape, generator=generator)
    c = scalings(sigma.view(-1, 1, 1), 0.5)
    perfect = (actions - c.skip * noisy) / c.out
    assert denoising_error(perfect, actions, noisy, sigma, 0.5).max() < 1e-8
    # And F is what the sampler makes the denoised chunk of: an error of F is c_out times one of the chunk.
    wrong = denoising_error(perfect + 0.1, actions, noisy, sigma, 0.5)
    assert wrong.numpy() == pytest.approx(0.01, rel=1e-3)
    chunk = c.skip * noisy + c.out * perfect
    assert chunk.numpy() == pytest.approx(actions.numpy(), abs=2e-5)


def routing(probabilities, experts):
    experts = torch.as_tensor(experts)
    chosen = probabilities.gather(-1, experts)
    return Routing(probabilities, experts, chosen / chosen.sum(-1, keepdim=True))


@pytest.mark.parametrize('top_k', [1, 2])
def test_balancing_is_k_when_even(top_k):
    even = torch.full((8, 4), 0.25)
    experts = [[(row + k) % 4 for k in range(top_k)] for row in range(8)]
    assert float(balancing_loss([routing(even, experts)])) == pytest.approx(top_k)


def test_balancing_is_the_number_of_experts_when_one_does_it_all():
    one = torch.tensor([[1.0, 0, 0, 0]]).expand(8, 4)
    assert float(balancing_loss([routing(one, [[0]] * 8)])) == pytest.approx(4)


def test_balancing_is_the_mean_over_layers_and_takes_the_shares_of_all_processes():
    even, one = torch.full((8, 4), 0.25), torch.tensor([[1.0, 0, 0, 0]]).expand(8, 4)
    layers = [routing(even, [[row % 4] for row in range(8)]), routing(one, [[0]] * 8)]
    assert float(balancing_loss(layers)) == pytest.approx(2.5)
    elsewhere = torch.tensor([[0.25] * 4, [0, 0, 0, 1.0]])  # the other process's experts
    assert float(balancing_loss(layers, lambda shares: (shares + elsewhere) / 2)) == pytest.approx((1 + 2) / 2)


def test_balancing_draws_towards_the_neglected_expert():
    logits = torch.tensor([[2.0, 0.0, 0.0, 0.0]]).expand(64, 4).clone().requires_grad_()
    decision = select_experts(logits.softmax(-1), 1)
    balancing_loss([decision]).backward()
    gradient = logits.grad.mean(0)
    assert gradient[0] > 0
    assert (gradient[1:] < 0).all()
    assert expert_shares(decision).tolist() == [1, 0, 0, 0]


def test_balancing_by_the_selected_is_by_the_weights_they_were_taken_with():
    probabilities = torch.tensor([[0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]])
    decision = routing(probabilities, [[0, 1], [0, 3]])
    weights = [[4 / 7, 3 / 7, 0, 0], [1 / 5, 0, 0, 4 / 5]]
    share = [(a + b) / 2 for a, b in zip(*weights, strict=True)]
    expected = 4 * sum(f * p for f, p in zip([1, 0.5, 0, 0.5], share, strict=True))
    assert float(balancing_loss([decision], share=SHARES['selected'])) == pytest.approx(expected)
    even = torch.full((8, 4), 0.25)
    experts = [[(row + k) % 4 for k in range(2)] for row in range(8)]
    assert float(balancing_loss([routing(even, experts)], share=SHARES['selected'])) == pytest.approx(2)


def test_loss_free_balancing_moves_each_bias_towards_an_even_load():
    biases = [torch.zeros(4), torch.tensor([0.1, 0.0, 0.0, 0.0])]
    move_biases(biases, torch.tensor([[0.25, 0.3, 0.2, 0.25], [0.0, 0.0, 0.0, 1.0]]), 0.001)
    assert biases[0].tolist() == pytest.approx([0, -0.001, 0.001, 0])
    assert biases[1].tolist() == pytest.approx([0.101, 0.001, 0.001, -0.001])


def test_a_schedule_may_be_longer_than_the_training():
    settings = OptimizerSettings(schedule_steps=45_000)
    at = learning_rate_factor(15_000, settings.schedule_steps, settings)
    assert at == pytest.approx((1 + math.cos(math.pi * (15_000 - 4_500) / 40_500)) / 2, rel=1e-4)


def test_the_learning_rate_rises_holds_and_falls_as_a_cosine():
    settings = OptimizerSettings()
    rate = [learning_rate_factor(step, 1000, settings) for step in range(1000)]
    assert rate[0] == pytest.approx(0.1)
    assert rate[10] == pytest.approx(0.55)
    assert rate[20:100] == [1.0] * 80
    assert rate[99] == 1
    assert learning_rate_factor(549, 1000, settings) == pytest.approx(0.5, abs=2e-3)
    quarter = (1 + math.cos(math.pi * 225 / 899)) / 2
    assert rate[325] == pytest.approx(quarter, rel=1e-5)
    assert rate[999] == pytest.approx(1e-6)
    assert rate[100:] == sorted(rate[100:], reverse=True)


@pytest.mark.parametrize('steps', [1, 2, 7])
def test_a_short_training_has_a_learning_rate_too(steps):
    rates = [learning_rate_factor(step, steps, OptimizerSettings()) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)


class Network(nn.Module):
    """Everything that an average must carry: weights, batch norm's statistics and its counter."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.norm = nn.BatchNorm1d(3)
        self.position = nn.Parameter(torch.zeros(2, 3))
        self.up_bias = nn.Parameter(torch.zeros(2, 3))

    def forward(self, x):
        return self.norm(self.layer(x))


@pytest.mark.parametrize('form', ['constant', 'power'])
def test_the_average_is_the_loop_one_would_write(form):
    torch.manual_seed(0)
    network = Network()
    average = average_of(network, OptimizerSettings(ema_decay=0.85, ema_form=form))
    expected = None
    for update in range(30):
        network(torch.randn(8, 3))
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += 0.1 * torch.randn(parameter.shape)
        average.update_parameters(network)
        now = {name: value.clone() for name, value in network.state_dict().items()}
        if expected is None:
            expected = now
            continue
        decay = min(0.85, (1 + update) / (10 + update) if form == 'constant' else 1 - (1 + update) ** (-2 / 3))
        for name, value in now.items():
            floating = value.is_floating_point()
            expected[name] = decay * expected[name] + (1 - decay) * value if floating else value
    found = average.module.state_dict()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].numpy() == pytest.approx(value.numpy(), rel=1e-5, abs=1e-6), name
    assert int(found['norm.num_batches_tracked']) == 30
    assert float(found['norm.running_mean'].abs().sum()) > 0


def test_weight_decay_is_for_matrices_and_every_weight_is_in_one_group():
    network = Network()
    network.layer.weight.requires_grad_(False)
    network.other = nn.Linear(3, 3)
    optimizer = build_optimizer(network, OptimizerSettings(weight_decay=0.05))
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    groups = {group['weight_decay']: [names[id(p)] for p in group['params']] for group in optimizer.param_groups}
    assert groups[0.05] == ['other.weight']
    assert sorted(groups[0.0]) == ['layer.bias', 'norm.bias', 'norm.weight', 'other.bias', 'position', 'up_bias']


def test_weight_decay_may_reach_all_but_biases_and_the_whole_of_the_image_encoders():
    network = Network()
    network.image_encoders = nn.ModuleList([nn.BatchNorm2d(2)])
    optimizer = build_optimizer(network, OptimizerSettings(weight_decay=0.05, decay_reaches='all_but_biases'))
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    groups = {group['weight_decay']: [names[id(p)] for p in group['params']] for group in optimizer.param_groups}
    assert sorted(groups[0.0]) == ['layer.bias', 'norm.bias', 'up_bias']
    assert {'position', 'norm.weight', 'image_encoders.0.bias', 'image_encoders.0.weight'} <= set(groups[0.05])


def test_one_pass_does_what_a_pass_per_operation_does_and_goes_on_from_its_state():
    def trained(optimizer, network, steps):
        for step in range(steps):
            for number, parameter in enumerate(network.parameters()):
                parameter.grad = torch.full_like(parameter, 0.1 * (step + 1) * (-1) ** number)
            optimizer.step()
        return network.state_dict()

    networks = [Network() for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    fused = build_optimizer(networks[0], OptimizerSettings(weight_decay=0.05))
    assert all(group['fused'] for group in fused.param_groups)
    plain = build_optimizer(networks[1], OptimizerSettings(weight_decay=0.05))
    for group in plain.param_groups:
        group['fused'] = False
    found, expected = trained(fused, networks[0], 5), trained(plain, networks[1], 5)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-6, atol=1e-7)
    again = build_optimizer(networks[1], OptimizerSettings(weight_decay=0.05))
    again.load_state_dict(plain.state_dict())  # of a training that began before
    found, expected = trained(fused, networks[0], 3), trained(again, networks[1], 3)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-6, atol=1e-7)


def test_no_weight_of_the_policy_is_missing_or_twice():
    from mode_ros.policy.config import PolicyConfig
    from mode_ros.policy.network import PolicyNetwork

    with torch.device('meta'):
        network = PolicyNetwork(PolicyConfig.small(7, state=('joints',), state_dim=7))
    optimizer = build_optimizer(network, OptimizerSettings())
    found = [id(parameter) for group in optimizer.param_groups for parameter in group['params']]
    assert len(found) == len(set(found))
    assert set(found) == {id(parameter) for parameter in network.parameters()}
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    plain = {names[id(parameter)] for parameter in optimizer.param_groups[1]['params']}
    assert {'denoiser.position', 'denoiser.blocks.0.mixture.up_bias', 'denoiser.final_norm.gain'} <= plain
    assert not any(
        name.endswith('weight') and 'norm' not in name and 'bn' not in name for name in plain - downsample(plain)
    )


def downsample(names):
    """The batch norms of the ResNet's shortcuts, whose names do not say so."""
    return {name for name in names if 'downsample.1' in name}
