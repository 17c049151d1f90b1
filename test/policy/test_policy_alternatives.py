"""Alternatives to the published block: each computes what it says, learns, samples, and is saved and loaded."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from policy_samples import CONTRACT, FakeTextEncoder, denoiser_config, random_denoiser, state_policy_config, statistics
from pydantic import ValidationError

from mode_ros.errors import UserError
from mode_ros.policy.checkpoint import CONFIG
from mode_ros.policy.config import DiffusionConfig
from mode_ros.policy.denoiser import Denoiser
from mode_ros.policy.diffusion import initial_noise, sample_plain, scalings
from mode_ros.policy.inference import ChunkSampler, Interrupted
from mode_ros.policy.layers import Modulation
from mode_ros.policy.normalization import build_normalizer
from mode_ros.policy.policy import Policy
from mode_ros.policy.routing import choose_tokens, select_experts
from mode_ros.policy.size import active_parameters, total_parameters

ALTERNATIVES = [
    {'routing': 'token'},
    {'routing': 'noise_and_token'},
    {'routing': 'observation'},
    {'routing': 'expert_choice'},
    {'routing': 'dense'},
    {'routing': 'dense', 'dense_width': 'active'},
    {'shared_expert': True},
    {'noise_token': False},
    {'noise_conditioning': 'none'},
    {'noise_conditioning': 'film'},
    {'routing': 'token', 'shared_expert': True, 'noise_token': False, 'noise_conditioning': 'film'},
]
NAMES = [' '.join(f'{value}' if isinstance(value, str) else name for name, value in a.items()) for a in ALTERNATIVES]
every_alternative = pytest.mark.parametrize('changes', ALTERNATIVES, ids=NAMES)


def toy_config(**changes):
    sizes = {'cameras': 0, 'image_dim': 0, 'state_dim': 2, 'goal_dim': 4, 'embed_dim': 32, 'layers': 2, 'action_dim': 2}
    return denoiser_config(**(sizes | {'attention_dropout': 0.0, 'expert_dropout': 0.0} | changes))


def toy_step(denoiser, generator):
    """The loss of a batch in which the action is a fixed function of the state."""
    config = denoiser.config
    state = torch.rand(32, 2, generator=generator) * 2 - 1
    actions = (state.flip(1) * torch.tensor([0.8, -0.5])).unsqueeze(1).expand(-1, config.chunk_length, -1)
    sigma = torch.exp(torch.randn(32, generator=generator) - 0.5)
    noisy = actions + sigma.view(-1, 1, 1) * torch.randn(actions.shape, generator=generator)
    c = scalings(sigma.view(-1, 1, 1), 0.5)
    tokens = [config.prefix_length + config.chunk_length] if config.routes_tokens else []
    draws = torch.empty(config.layers, 32, *tokens, config.experts).exponential_(generator=generator)
    raw = denoiser(c.into * noisy, sigma, torch.zeros(32, 4), None, state, draws).raw
    return ((raw - (actions - c.skip * noisy) / c.out) ** 2).mean()


@every_alternative
def test_it_learns_the_toy_problem_and_samples(changes):
    torch.manual_seed(0)
    denoiser = Denoiser(toy_config(**changes)).train()
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(denoiser.parameters(), 5e-3)
    losses = []
    for _ in range(40):
        loss = toy_step(denoiser, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:3])
    state = torch.tensor([[0.9, -0.9], [-0.9, 0.9]])
    chunk = sample_plain(
        denoiser.eval(), DiffusionConfig(), torch.randn(2, 5, 2, generator=generator), torch.zeros(2, 4), state=state
    )
    assert chunk.shape == (2, 5, 2)
    # The two states ask for opposite actions, the first's negative.
    assert (chunk[0, :, 0] < chunk[1, :, 0]).all()


def test_the_default_has_the_published_tensors_alone():
    names = Denoiser(denoiser_config()).state_dict().keys()
    assert not [name for name in names if 'shared' in name or 'modulation' in name]
    assert len([name for name in names if '.router.' in name]) == 3 * 4


@pytest.mark.parametrize('embed_dim', [32, 256])
@pytest.mark.parametrize(('experts', 'top_k'), [(4, 2), (8, 1)])
def test_a_dense_network_has_as_many_weights_as_it_should(embed_dim, experts, top_k):
    sizes = {'embed_dim': embed_dim, 'experts': experts, 'top_k': top_k}
    mixture = denoiser_config(**sizes)
    total, active = (denoiser_config(**sizes, routing='dense', dense_width=width) for width in ('total', 'active'))
    assert total_parameters(total) == pytest.approx(total_parameters(mixture), rel=0.02)
    assert total_parameters(active) == pytest.approx(active_parameters(mixture), rel=0.02)
    assert active_parameters(active) == total_parameters(active)


def inputs(config, batch=3):
    generator = torch.Generator().manual_seed(2)

    def draw(*shape):
        return torch.randn(batch, *shape, generator=generator)

    return {
        'scaled_actions': draw(config.chunk_length, config.action_dim),
        'sigma': draw().abs() + 0.1,
        'goal': draw(config.goal_dim),
        'images': draw(config.cameras, config.image_dim),
    }


@pytest.mark.parametrize('routing', ['token', 'noise_and_token', 'expert_choice'])
def test_tokens_are_routed_for_themselves(routing):
    denoiser = random_denoiser(routing=routing)
    given = inputs(denoiser.config)
    routings = denoiser(**given).routing
    assert routings[0].probabilities.shape == (3, denoiser.config.prefix_length + 5, 4)
    other = denoiser(**(given | {'goal': given['goal'] + 1})).routing[0].probabilities
    moved = (other - routings[0].probabilities).abs().amax((0, 2))
    assert moved[0] < 1e-6  # the noise token stands before the goal
    assert moved[1] > 1e-3
    louder = denoiser(**(given | {'sigma': given['sigma'] * 50})).routing[0].probabilities
    assert (louder - routings[0].probabilities).abs().max() > 1e-3


def test_the_observation_alone_chooses_the_experts_of_all_noise_levels():
    denoiser = random_denoiser(routing='observation', state_dim=3)
    given = inputs(denoiser.config) | {'state': torch.randn(3, 3, generator=torch.Generator().manual_seed(5))}
    found = denoiser(**given).routing[1].probabilities
    assert found.shape == (3, 4)
    for name in ('sigma', 'goal', 'scaled_actions'):
        torch.testing.assert_close(denoiser(**(given | {name: given[name] * 3})).routing[1].probabilities, found)
    for name in ('images', 'state'):
        assert (denoiser(**(given | {name: given[name] * 3})).routing[1].probabilities - found).abs().max() > 1e-3


def test_a_bias_moves_what_is_selected_and_not_the_weights():
    probabilities = torch.tensor([[0.4, 0.3, 0.2, 0.1]])
    plain = select_experts(probabilities, 2)
    biased = select_experts(probabilities, 2, bias=torch.tensor([0.0, -0.5, 0.0, 0.0]))
    assert sorted(plain.experts[0].tolist()) == [0, 1]
    assert sorted(biased.experts[0].tolist()) == [0, 2]
    assert biased.weights[0].tolist() == pytest.approx([2 / 3, 1 / 3])
    draws = torch.empty(4000, 4).exponential_(generator=torch.Generator().manual_seed(0))
    drawn = select_experts(probabilities.expand(4000, 4), 1, draws, torch.tensor([-0.5, 0.0, 0.0, 0.0])).experts
    shares = torch.bincount(drawn.flatten(), minlength=4) / 4000
    assert shares.tolist() == pytest.approx([0, 0.5, 1 / 3, 1 / 6], abs=0.03)


def test_the_fast_path_selects_by_the_bias_too():
    denoiser = random_denoiser(selection_bias=True)
    for block in denoiser.stack:
        block.router.bias.copy_(torch.tensor([5.0, 0.0, 0.0, 4.0]))
    fast = ChunkSampler(denoiser, DiffusionConfig())
    assert {tuple(sorted(experts)) for step in fast.routing.experts for experts in step} == {(0, 3)}
    given = inputs(denoiser.config)
    noise = initial_noise(3, 5, 3, torch.Generator().manual_seed(1))
    expected = sample_plain(denoiser, DiffusionConfig(), noise, given['goal'], given['images'])
    found = fast.sample(fast.read_observation(fast.read_goal(given['goal']), given['images']), noise)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_every_expert_takes_as_many_tokens_and_those_that_want_it_most():
    probabilities = torch.rand(2, 10, 4, generator=torch.Generator().manual_seed(0)).softmax(-1)
    routing = choose_tokens(probabilities, 2)
    assert routing.tokens.shape == (2, 5, 4)  # k·T/E
    for sample in range(2):
        for expert in range(4):
            best = probabilities[sample, :, expert].argsort(descending=True)[:5]
            assert set(routing.tokens[sample, :, expert].tolist()) == set(best.tolist())


def test_what_experts_choose_is_summed_by_their_probabilities():
    denoiser = random_denoiser(routing='expert_choice', layers=1)
    block = denoiser.stack[0]
    z = torch.randn(2, 8, 32, generator=torch.Generator().manual_seed(0))
    routing = block.route(z, torch.zeros(2, 32))
    expected = torch.zeros_like(z)
    for sample in range(2):
        for expert in range(4):
            for token in routing.tokens[sample, :, expert].tolist():
                weight = routing.probabilities[sample, token, expert]
                expected[sample, token] += weight * block.mixture.expert(expert, z[sample, token])
    torch.testing.assert_close(block.mixture(z, routing), expected, rtol=1e-4, atol=1e-4)


def test_modulation_starts_as_the_identity_and_follows_the_condition():
    denoiser = Denoiser(denoiser_config(noise_conditioning='film'))
    modulation = denoiser.stack[0].modulation
    x, condition = torch.randn(2, 3, 32), torch.randn(2, 32)
    torch.testing.assert_close(modulation(x, condition), x)
    torch.nn.init.normal_(modulation.output.weight)
    assert (modulation(x, condition) - modulation(x, condition + 1)).abs().max() > 1e-2
    assert isinstance(modulation, Modulation)


def test_the_shared_expert_runs_for_every_token():
    denoiser = random_denoiser(shared_expert=True)
    given = inputs(denoiser.config)
    before = denoiser(**given).raw
    with torch.no_grad():
        for block in denoiser.stack:
            block.shared.down_weight.zero_()
    plain = random_denoiser()
    plain.load_state_dict({k: v for k, v in denoiser.state_dict().items() if '.shared.' not in k})
    silent = denoiser(**given).raw
    torch.testing.assert_close(silent, plain(**given).raw)
    assert (before - silent).abs().max() > 1e-3


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'routing': 'dense', 'shared_expert': True}, 'no experts beside'),
        ({'routing': 'token', 'noise_token': False, 'noise_conditioning': 'none'}, 'nothing of the noise level'),
        ({'routing': 'tokens'}, 'routing'),
    ],
)
def test_what_cannot_be_had_together(changes, words):
    with pytest.raises(ValidationError, match=words):
        denoiser_config(**changes)


def policy(**changes):
    sizes = state_policy_config().denoiser.model_dump() | changes
    return Policy.untrained(
        state_policy_config(denoiser=sizes), statistics(), CONTRACT, 0, text_encoder=FakeTextEncoder()
    )


STATE = np.array([0.5, 1.0, -2.0, 0.03])


def predict(policy, **options):
    return policy.predict({}, STATE, 'push', torch.Generator().manual_seed(0), **options)


@every_alternative
def test_a_policy_samples_plainly_and_comes_back_from_disk(changes, tmp_path):
    made = policy(**changes)
    chunk = predict(made)
    goal = made.embed_goal('push').unsqueeze(0)
    noise = initial_noise(1, 5, 3, torch.Generator().manual_seed(0))
    joints, gripper = (made.info.statistics.state[name] for name in ('joints', 'gripper'))
    scaled = [*(STATE[:3] - joints.mean) / joints.std, (STATE[3] - gripper.mean[0]) / gripper.std[0]]
    state = torch.tensor([scaled], dtype=torch.float32)
    plain = sample_plain(made.network.denoiser, made.config.diffusion, noise, goal, state=state)
    expected = build_normalizer(made.info.statistics.action, 'min_max').unnormalize(plain[0].numpy())
    np.testing.assert_allclose(chunk, expected, rtol=1e-4, atol=1e-5)
    made.save(tmp_path / 'policy')
    loaded = Policy.load(tmp_path / 'policy', 'cpu', FakeTextEncoder())
    np.testing.assert_array_equal(predict(loaded), chunk)


def test_a_plain_policy_has_float32_alone(tmp_path):
    policy(routing='token').save(tmp_path / 'policy')
    with pytest.raises(UserError, match='float32 alone'):
        Policy.load(tmp_path / 'policy', 'cpu', FakeTextEncoder(), number_format='int8')
    with pytest.raises(UserError, match='no number format'):
        Policy.load(tmp_path / 'policy', 'cpu', FakeTextEncoder(), number_format='int4')


def test_the_fast_path_refuses_what_it_does_not_compute():
    with pytest.raises(UserError, match="routing 'token'"):
        ChunkSampler(random_denoiser(routing='token'), DiffusionConfig())


@pytest.mark.parametrize('answers', [0, 3, 5, 12])
def test_a_plain_policy_stops_at_the_first_yes(answers):
    made, asked = policy(noise_token=False), []

    def should_stop():
        asked.append(1)
        return len(asked) > answers

    with pytest.raises(Interrupted):
        predict(made, should_stop=should_stop)
    assert len(asked) == answers + 1


def test_it_is_asked_before_every_step():
    asked = []
    predict(policy(noise_token=False), should_stop=lambda: bool(asked.append(1)))
    assert len(asked) == 4 + 10  # stages, then steps


def test_settings_of_before_the_alternatives_load(tmp_path):
    made = policy()
    made.save(tmp_path / 'policy')
    path = tmp_path / 'policy' / CONFIG
    values = json.loads(path.read_text())
    for name in ('routing', 'dense_width', 'shared_expert', 'noise_token', 'noise_conditioning'):
        del values['policy']['denoiser'][name]
    path.write_text(json.dumps(values))
    loaded = Policy.load(tmp_path / 'policy', 'cpu', FakeTextEncoder())
    assert loaded.config == made.config
    np.testing.assert_allclose(predict(loaded), predict(made), rtol=1e-5)
