"""The fast path gives what the plain path gives, and does no work twice."""

from __future__ import annotations

import pytest
import torch
from policy_samples import random_denoiser

from mode_ros.policy.config import DiffusionConfig
from mode_ros.policy.diffusion import sample_plain
from mode_ros.policy.inference import ChunkSampler, Interrupted
from mode_ros.policy.linear import LinearMakers, view_linear
from mode_ros.policy.products import products_of

DIFFUSION = DiffusionConfig()


def observation(config, batch, seed=0):
    torch.manual_seed(seed)
    images = torch.randn(batch, config.cameras, config.image_dim) if config.cameras else None
    state = torch.randn(batch, config.state_dim) if config.state_dim else None
    return images, state


def random_goal_and_noise(config, batch, seed=0):
    torch.manual_seed(seed + 100)
    return torch.randn(batch, config.goal_dim), torch.randn(batch, config.chunk_length, config.action_dim)


def assert_same_chunk(found, expected):
    error = (found - expected).abs().max() / expected.abs().max()
    assert error < 1e-5, f'relative error {error:.1e}'


CASES = {
    'as published': {},
    'k=1': {'top_k': 1},
    'k=3': {'top_k': 3},
    'E=1': {'experts': 1, 'top_k': 1},
    'E=9': {'experts': 9, 'top_k': 4},
    'one layer': {'layers': 1},
    'one camera': {'cameras': 1},
    'state': {'state_dim': 6},
    'state only': {'state_dim': 6, 'cameras': 0, 'image_dim': 0},
    'one action': {'chunk_length': 1},
}


@pytest.mark.parametrize('batch', [1, 2])
@pytest.mark.parametrize('changes', CASES.values(), ids=CASES)
def test_fast_path_equals_plain_path(changes, batch):
    denoiser = random_denoiser(**changes)
    goal, noise = random_goal_and_noise(denoiser.config, batch)
    images, state = observation(denoiser.config, batch)
    sampler = ChunkSampler(denoiser, DIFFUSION)
    expected = sample_plain(denoiser, DIFFUSION, noise, goal, images, state)
    goal_prefix = sampler.read_goal(goal)
    assert_same_chunk(sampler.sample(sampler.read_observation(goal_prefix, images, state), noise), expected)
    prefix, first = sampler.begin(goal_prefix, images, state, noise)
    assert first is not None
    assert_same_chunk(sampler.sample(prefix, noise, first=first), expected)


@pytest.mark.gpu
@pytest.mark.parametrize('recorded', [False, True], ids=['loop', 'recorded'])
@pytest.mark.parametrize('batch', [1, 2])
@pytest.mark.parametrize('changes', CASES.values(), ids=CASES)
def test_fast_path_on_a_gpu_equals_the_plain_path_on_the_cpu(changes, batch, recorded):
    denoiser = random_denoiser(**changes)
    goal, noise = random_goal_and_noise(denoiser.config, batch)
    images, state = observation(denoiser.config, batch)
    expected = sample_plain(denoiser, DIFFUSION, noise, goal, images, state)
    goal, noise, images, state = (None if x is None else x.cuda() for x in (goal, noise, images, state))
    sampler = ChunkSampler(denoiser.cuda(), DIFFUSION)
    if recorded:
        sampler.prepare(batch)
    prefix, first = sampler.begin(sampler.read_goal(goal), images, state, noise)
    assert (first is None) == recorded
    for _ in range(2):
        found = sampler.sample(prefix, noise, first=first).cpu()
        error = (found - expected).abs().max() / expected.abs().max()
        assert error < 1e-4, f'relative error {error:.1e}'


@pytest.mark.parametrize('steps', [1, 2, 23])
def test_any_number_of_steps(steps):
    denoiser = random_denoiser()
    diffusion = DiffusionConfig(steps=steps)
    goal, noise = random_goal_and_noise(denoiser.config, 1)
    images, _ = observation(denoiser.config, 1)
    sampler = ChunkSampler(denoiser, diffusion)
    found = sampler.sample(sampler.read_observation(sampler.read_goal(goal), images), noise)
    assert_same_chunk(found, sample_plain(denoiser, diffusion, noise, goal, images))


def test_one_goal_prefix_serves_many_observations_and_goals_stay_apart():
    denoiser = random_denoiser()
    sampler = ChunkSampler(denoiser, DIFFUSION)
    goals = [random_goal_and_noise(denoiser.config, 1, seed)[0] for seed in (0, 1)]
    prefixes = [sampler.read_goal(goal) for goal in goals]
    _, noise = random_goal_and_noise(denoiser.config, 1)
    for seed in (3, 4):
        images, _ = observation(denoiser.config, 1, seed)
        chunks = [sampler.sample(sampler.read_observation(prefix, images), noise) for prefix in prefixes]
        for goal, chunk in zip(goals, chunks, strict=True):
            assert_same_chunk(chunk, sample_plain(denoiser, DIFFUSION, noise, goal, images))
        assert (chunks[0] - chunks[1]).abs().max() > 1e-2


def test_one_prefix_serves_many_noises():
    denoiser = random_denoiser()
    sampler = ChunkSampler(denoiser, DIFFUSION)
    images, _ = observation(denoiser.config, 1)
    goal, _ = random_goal_and_noise(denoiser.config, 1)
    prefix = sampler.read_observation(sampler.read_goal(goal), images)
    for seed in (0, 1):
        _, noise = random_goal_and_noise(denoiser.config, 1, seed)
        assert_same_chunk(sampler.sample(prefix, noise), sample_plain(denoiser, DIFFUSION, noise, goal, images))


def test_the_prefix_of_the_plain_path_does_not_depend_on_the_actions():
    denoiser = random_denoiser()
    images, _ = observation(denoiser.config, 1)
    goal, noise = random_goal_and_noise(denoiser.config, 1)
    seen = []
    for block in denoiser.blocks:
        block.attention.query_key_value.register_forward_hook(lambda *call: seen.append(call[-1][:, :4].clone()))
    for actions in (noise, noise * 3 + 1):
        denoiser(actions, torch.tensor([0.7]), goal, images)
    for first, second in zip(seen[:3], seen[3:], strict=True):
        assert torch.equal(first, second)


def test_training_mode_does_not_reach_the_fast_path():
    denoiser = random_denoiser()
    goal, noise = random_goal_and_noise(denoiser.config, 1)
    images, _ = observation(denoiser.config, 1)
    expected = sample_plain(denoiser, DIFFUSION, noise, goal, images)
    sampler = ChunkSampler(denoiser.train(), DIFFUSION)
    assert_same_chunk(sampler.sample(sampler.read_observation(sampler.read_goal(goal), images), noise), expected)


class CountingLinears:
    """Counts the rows that each of a denoiser's products was given, by the place of its weight."""

    def __init__(self):
        self.rows = {}

    def __call__(self, weight, bias):
        key = (weight.data_ptr(), weight.shape)
        self.rows[key] = 0
        counted = view_linear(weight, bias)
        product = counted.product

        def count(x):
            self.rows[key] += x.shape[:-1].numel()
            return product(x)

        counted.product = count
        return counted

    def of(self, weight):
        return self.rows.get((weight.data_ptr(), weight.shape), 0)  # 0: an expert that is not kept

    def reset(self):
        self.rows = dict.fromkeys(self.rows, 0)


def test_each_stage_computes_only_what_it_must():
    denoiser = random_denoiser()  # 2 image tokens, 5 actions, k 2, 10 steps
    count = CountingLinears()
    sampler = ChunkSampler(denoiser, DIFFUSION, count)
    goal, noise = random_goal_and_noise(denoiser.config, 1)
    images, _ = observation(denoiser.config, 1)
    first, last = denoiser.blocks[0], denoiser.blocks[-1]
    dim = denoiser.config.embed_dim

    def experts(block):
        return sum(count.of(weight) for weight in block.mixture.up_weight)

    def work():
        fused = [block.attention.query_key_value.weight for block in (first, last)]
        output = [count.of(block.attention.output.weight) for block in (first, last)]
        done = (*map(count.of, fused), count.of(fused[1][dim:]), *output, experts(first), experts(last))
        count.reset()
        return done

    goal_prefix = sampler.read_goal(goal)
    assert work() == (20, 0, 20, 20, 0, 40, 0)  # 2 tokens at 10 levels; of the last layer keys and values alone
    prefix = sampler.read_observation(goal_prefix, images)
    assert work() == (20, 0, 20, 20, 0, 40, 0)  # 2 image tokens at 10 levels
    sampler.sample(prefix, noise)
    assert work() == (50, 50, 0, 50, 50, 100, 100)  # 5 actions at 10 steps, 2 experts each
    begun, along = sampler.begin(goal_prefix, images, None, noise)
    assert work() == (25, 25, 0, 25, 5, 50, 10)  # the 5 actions of the first step along with the image tokens
    sampler.sample(begun, noise, first=along)
    assert work() == (45, 45, 0, 45, 45, 90, 90)


def test_experts_are_read_where_they_lie():
    denoiser = random_denoiser()
    sampler = ChunkSampler(denoiser, DIFFUSION)
    with torch.no_grad():  # A copy made at build would not see this.
        for block in denoiser.blocks:
            for linear in (block.mixture, block.attention.query_key_value, block.attention.output):
                for weight in linear.parameters():
                    weight.mul_(1.3)
    goal, noise = random_goal_and_noise(denoiser.config, 1)
    images, _ = observation(denoiser.config, 1)
    found = sampler.sample(sampler.read_observation(sampler.read_goal(goal), images), noise)
    assert_same_chunk(found, sample_plain(denoiser, DIFFUSION, noise, goal, images))


def test_experts_that_no_step_uses_are_not_kept():
    denoiser = random_denoiser(experts=9, top_k=2)
    asked = []

    def make_products(used):
        asked.extend(used)
        return products_of(denoiser, LinearMakers.same(view_linear), used)

    sampler = ChunkSampler(denoiser, DIFFUSION, make_products=make_products)
    for layer, used in enumerate(asked):
        assert used == {expert for step in sampler.routing.experts for expert in step[layer]}
        assert 2 <= len(used) < 9
        assert sampler._layers[layer].products.up.keys() == sampler._layers[layer].products.down.keys() == used
    with torch.no_grad():  # no say in anything
        for layer, block in enumerate(denoiser.stack):
            for expert in set(range(9)) - asked[layer]:
                block.mixture.up_weight[expert] = float('nan')
    goal, noise = random_goal_and_noise(denoiser.config, 1)
    images, _ = observation(denoiser.config, 1)
    assert sampler.sample(sampler.read_observation(sampler.read_goal(goal), images), noise).isfinite().all()


def test_the_routing_table_is_plain_numbers_built_at_once():
    denoiser = random_denoiser(experts=9, top_k=4)
    sampler = ChunkSampler(denoiser, DIFFUSION)
    assert len(sampler.routing.experts) == DIFFUSION.steps
    for experts, weights in zip(sampler.routing.experts, sampler.routing.weights, strict=True):
        assert len(experts) == len(weights) == 3
        for chosen, shares in zip(experts, weights, strict=True):
            assert all(type(expert) is int for expert in chosen)
            assert all(type(share) is float for share in shares)
            assert len(set(chosen)) == 4
            assert sum(shares) == pytest.approx(1)


@pytest.mark.parametrize('stop_at', [0, 1, 7])
def test_it_stops_before_the_step_at_which_it_is_told(stop_at):
    denoiser = random_denoiser()
    sampler = ChunkSampler(denoiser, DIFFUSION)
    goal, noise = random_goal_and_noise(denoiser.config, 1)
    images, _ = observation(denoiser.config, 1)
    prefix = sampler.read_observation(sampler.read_goal(goal), images)
    asked = []

    def should_stop():
        asked.append(True)
        return len(asked) > stop_at

    with pytest.raises(Interrupted, match=f'step {stop_at}'):
        sampler.sample(prefix, noise, should_stop)
    assert len(asked) == stop_at + 1


def test_a_prefix_without_its_observation_is_refused():
    denoiser = random_denoiser()
    sampler = ChunkSampler(denoiser, DIFFUSION)
    goal, noise = random_goal_and_noise(denoiser.config, 1)
    with pytest.raises(ValueError, match='2 tokens instead of 9'):
        sampler.sample(sampler.read_goal(goal), noise)


@pytest.mark.parametrize('actions', [1, 5, 12])
def test_what_fills_up_the_keys_has_no_say(actions):
    denoiser = random_denoiser(chunk_length=actions)
    goal, noise = random_goal_and_noise(denoiser.config, 1)
    images, _ = observation(denoiser.config, 1)
    sampler = ChunkSampler(denoiser, DIFFUSION)
    prefix = sampler.read_observation(sampler.read_goal(goal), images)
    assert prefix.keys.shape[-2] == prefix.values.shape[-2] == 16
    before = sampler.sample(prefix, noise)
    empty = 16 - denoiser.config.prefix_length - actions
    with torch.inference_mode():
        for part in prefix:
            assert not part[..., :empty, :].any()
            part[..., :empty, :] = 100.0 * torch.randn(part[..., :empty, :].shape)
    assert torch.equal(sampler.sample(prefix, noise), before)
