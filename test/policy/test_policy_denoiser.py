"""Layers, routing, mixture and the whole network."""

from __future__ import annotations

import pytest
import torch
from policy_samples import random_denoiser

from mode_ros.policy.layers import Attention, RMSNorm
from mode_ros.policy.mixture import Mixture
from mode_ros.policy.routing import Router, Routing, select_experts


def test_rms_norm_takes_the_larger_of_norm_and_eps():
    norm = RMSNorm(4)
    x = torch.tensor([[3.0, -3.0, 3.0, -3.0], [2e-7, 0, 0, 0]])
    # The second row's root mean square, 1e-7, is below eps, so it is divided by eps instead.
    torch.testing.assert_close(norm(x), torch.tensor([[1.0, -1.0, 1.0, -1.0], [0.2, 0, 0, 0]]))


def test_rms_norm_keeps_a_bfloat16_input_bfloat16():
    assert RMSNorm(4).bfloat16()(torch.ones(4, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_attention_is_causal():
    torch.manual_seed(0)
    attention = Attention(16, 4, 0.0)
    x = torch.randn(2, 6, 16)
    changed = x.clone()
    changed[:, 4:] += 1
    before, after = attention(x), attention(changed)
    torch.testing.assert_close(before[:, :4], after[:, :4])
    assert (before[:, 4:] - after[:, 4:]).abs().min(-1).values.max() > 1e-4


def test_selected_experts_are_the_most_probable_with_weights_that_sum_to_one():
    probabilities = torch.tensor([[0.1, 0.4, 0.2, 0.3]])
    routing = select_experts(probabilities, 2)
    assert routing.experts.tolist() == [[1, 3]]
    torch.testing.assert_close(routing.weights, torch.tensor([[4 / 7, 3 / 7]]))


def exponential(*shape, seed=0):
    return torch.empty(shape).exponential_(generator=torch.Generator().manual_seed(seed))


def test_exploring_draws_different_experts_and_follows_the_probabilities():
    probabilities = torch.tensor([0.7, 0.2, 0.1, 0.0]).expand(4000, 4)
    routing = select_experts(probabilities, 2, exponential(4000, 4))
    assert (routing.experts[:, 0] != routing.experts[:, 1]).all()
    torch.testing.assert_close(routing.weights.sum(-1), torch.ones(4000))
    first = torch.bincount(routing.experts[:, 0], minlength=4) / 4000
    torch.testing.assert_close(first, probabilities[0], atol=0.03, rtol=0)
    # Without replacement: given that 0 came first, 1 and 2 follow as 2 to 1.
    second = torch.bincount(routing.experts[routing.experts[:, 0] == 0, 1], minlength=4).float()
    torch.testing.assert_close(second / second.sum(), torch.tensor([0, 2 / 3, 1 / 3, 0]), atol=0.03, rtol=0)


def test_exploring_survives_probabilities_that_underflowed():
    routing = select_experts(torch.tensor([[1.0, 0.0, 0.0]]).expand(50, 3), 2, exponential(50, 3))
    assert (routing.experts[:, 0] == 0).all()
    assert set(routing.experts[:, 1].tolist()) == {1, 2}
    assert torch.isfinite(routing.weights).all()


def test_the_draws_decide_and_a_batch_may_be_cut():
    torch.manual_seed(0)
    router = Router(8, 6, 2)
    condition = torch.randn(50, 8)
    same = [router(condition, exponential(50, 6, seed=seed)).experts for seed in (1, 1, 2)]
    assert torch.equal(same[0], same[1])
    assert not torch.equal(same[0], same[2])
    draws = exponential(50, 6, seed=1)
    cut = torch.cat([router(condition[part], draws[part]).experts for part in (slice(0, 20), slice(20, 50))])
    assert torch.equal(cut, same[0])


def random_mixture(experts=4):
    torch.manual_seed(1)
    mixture = Mixture(8, experts, 0.0)
    for parameter in mixture.parameters():
        torch.nn.init.normal_(parameter)
    return mixture


@pytest.mark.parametrize('leading', [(5,), (5, 3)], ids=['by sample', 'by token'])
def test_mixture_is_the_weighted_sum_of_the_selected_experts(leading):
    mixture = random_mixture()
    z = torch.randn(5, 3, 8)
    routing = select_experts(torch.rand(*leading, 4).softmax(-1), 2)
    every = torch.stack([mixture.expert(e, z) for e in range(4)], dim=-1)  # [5, 3, 8, 4]
    dense = torch.zeros(*leading, 4).scatter(-1, routing.experts, routing.weights)
    expected = (every * dense.view(5, -1, 1, 4)).sum(-1)
    torch.testing.assert_close(mixture(z, routing), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(mixture.forward_plain(z, routing), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('top_k', [1, 3])
@pytest.mark.parametrize('leading', [(6,), (6, 3)], ids=['by sample', 'by token'])
def test_grouped_experts_give_the_gradients_of_the_plain_loop(leading, top_k):
    z, grouped, plain = torch.randn(6, 3, 8).double(), random_mixture(5).double(), random_mixture(5).double()
    probabilities = torch.rand(*leading, 5).double().softmax(-1).requires_grad_()
    found = []
    for run in (grouped.forward, plain.forward_plain):
        x = z.clone().requires_grad_()
        out = run(x, select_experts(probabilities, top_k, exponential(*leading, 5)))
        found.append((out, *torch.autograd.grad(out.square().sum(), [x, probabilities, *run.__self__.parameters()])))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_mixture_leaves_unselected_experts_without_gradient():
    mixture = random_mixture()
    routing = Routing(torch.full((2, 4), 0.25), torch.tensor([[0, 2], [2, 0]]), torch.full((2, 2), 0.5))
    mixture(torch.randn(2, 3, 8), routing).sum().backward()
    used = mixture.up_weight.grad.abs().sum((1, 2)) > 0
    assert used.tolist() == [True, False, True, False]


def inputs(config, batch=2):
    torch.manual_seed(2)
    return {
        'scaled_actions': torch.randn(batch, config.chunk_length, config.action_dim),
        'sigma': torch.rand(batch) + 0.1,
        'goal': torch.randn(batch, config.goal_dim),
        'images': torch.randn(batch, config.cameras, config.image_dim) if config.cameras else None,
        'state': torch.randn(batch, config.state_dim) if config.state_dim else None,
    }


@pytest.mark.parametrize('sizes', [{}, {'state_dim': 4}, {'state_dim': 4, 'cameras': 0, 'image_dim': 0}])
def test_every_input_matters_and_samples_are_apart(sizes):
    denoiser = random_denoiser(**sizes)
    given = inputs(denoiser.config)
    raw = denoiser(**given).raw
    assert raw.shape == (2, 5, 3)
    for name, value in given.items():
        if value is None:
            continue
        changed = value.clone()
        changed[0] += 0.5
        other = denoiser(**(given | {name: changed})).raw
        assert (other[0] - raw[0]).abs().max() > 1e-3, name
        torch.testing.assert_close(other[1], raw[1], rtol=1e-4, atol=1e-5)


def test_an_action_sees_earlier_actions_only():
    denoiser = random_denoiser()
    given = inputs(denoiser.config)
    raw = denoiser(**given).raw
    given['scaled_actions'][:, 3] += 1
    other = denoiser(**given).raw
    torch.testing.assert_close(other[:, :3], raw[:, :3])
    assert (other[:, 3] - raw[:, 3]).abs().max() > 1e-3


def test_routing_is_reported_for_every_layer_and_depends_on_noise_alone():
    denoiser = random_denoiser()
    given = inputs(denoiser.config)
    routing = denoiser(**given).routing
    assert [r.probabilities.shape for r in routing] == [(2, 4)] * 3
    again = denoiser(**(given | {'goal': given['goal'] + 1})).routing
    for a, b in zip(routing, again, strict=True):
        assert torch.equal(a.probabilities, b.probabilities)


def test_training_reaches_every_parameter_and_repeats_by_its_seeds():
    denoiser = random_denoiser(state_dim=4).train()
    given = inputs(denoiser.config, batch=32)
    outputs = []
    for _ in range(2):
        torch.manual_seed(5)
        outputs.append(denoiser(**given, draws=exponential(denoiser.config.layers, 32, 4, seed=3)))
    assert torch.equal(outputs[0].raw, outputs[1].raw)
    balance = sum(r.probabilities.square().mean() for r in outputs[0].routing)
    (outputs[0].raw.square().mean() + balance).backward()
    assert not [name for name, p in denoiser.named_parameters() if p.grad is None or not p.grad.abs().sum()]


@pytest.mark.parametrize(
    ('wrong', 'words'),
    [
        ({'images': torch.zeros(2, 1, 12)}, 'image features'),
        ({'images': None}, 'got none'),
        ({'state': torch.zeros(2, 4)}, 'takes no state'),
    ],
)
def test_an_observation_of_another_shape_is_refused(wrong, words):
    denoiser = random_denoiser()
    with pytest.raises(ValueError, match=words):
        denoiser(**(inputs(denoiser.config) | wrong))


def test_a_missing_state_is_refused():
    denoiser = random_denoiser(state_dim=4)
    with pytest.raises(ValueError, match='state of 4 numbers'):
        denoiser(**(inputs(denoiser.config) | {'state': None}))
