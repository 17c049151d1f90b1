"""A chunk continues what is decided: exactly, by every path, and without a trace where nothing is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_samples import (
    CONTRACT,
    FakeTextEncoder,
    camera_policy_config,
    denoiser_config,
    random_denoiser,
    state_policy_config,
    statistics,
)

from mode_ros.errors import UserError
from mode_ros.policy.config import DiffusionConfig
from mode_ros.policy.continuation import Known, known_of, nothing_known
from mode_ros.policy.diffusion import sample_plain
from mode_ros.policy.guidance import guided
from mode_ros.policy.inference import ChunkSampler
from mode_ros.policy.linear import linear_makers
from mode_ros.policy.plain_sampler import PlainSampler
from mode_ros.policy.plans import BEYOND_TRAINING, WHOLE_CHUNK, choose_continuation, hard_weights, soft_weights
from mode_ros.policy.policy import Policy
from mode_ros.policy.products import products_of

LENGTH, DIM = 5, 3
SOLVERS = ('ddim', 'dpmpp_2m')
STATE = np.array([0.5, 1.0, -2.0, 0.03])


@dataclass(frozen=True)
class APlan:
    actions: np.ndarray
    committed: int


def plan_of(known, committed, seed=0, spread=1.0):
    return APlan(np.random.default_rng(seed).normal(size=(known, DIM)) * spread, committed)


def given_to(denoiser, batch=1, seed=0):
    torch.manual_seed(seed)
    config = denoiser.config
    return {
        'noise': torch.randn(batch, config.chunk_length, config.action_dim),
        'goal': torch.randn(batch, config.goal_dim),
        'images': torch.randn(batch, config.cameras, config.image_dim),
    }


def fast(denoiser, diffusion, noise, goal, images, known=None, **more):
    sampler = ChunkSampler(denoiser, diffusion, **more)
    return sampler.sample(sampler.read_observation(sampler.read_goal(goal), images), noise, known=known)


def begun(denoiser, diffusion, noise, goal, images, known=None):
    """The first step along with the prefix."""
    sampler = ChunkSampler(denoiser, diffusion)
    prefix, first = sampler.begin(sampler.read_goal(goal), images, None, noise, known)
    return sampler.sample(prefix, noise, known=known, first=first)


def slow(denoiser, diffusion, noise, goal, images, known=None):
    sampler = PlainSampler(denoiser, diffusion)
    return sampler.sample(sampler.read_observation(sampler.read_goal(goal), images), noise, known=known)


# ---- weights -------------------------------------------------------------------------------------------------------


def test_soft_weights_are_those_of_the_paper():
    """H 16, d 4, and an overlap to action 11 (execution horizon 5): equation 5, written out."""
    found = soft_weights(16, 4, 11)
    for index, weight in enumerate(found):
        if index < 4:
            expected = 1.0
        elif index >= 11:
            expected = 0.0
        else:
            share = (16 - 5 - index) / (16 - 5 - 4 + 1)
            expected = share * (math.exp(share) - 1) / (math.e - 1)
        assert weight == pytest.approx(expected), index


@given(st.integers(1, 30), st.integers(0, 40), st.integers(0, 40))
def test_weights_fall_from_one_to_nothing(length, committed, planned):
    found = soft_weights(length, committed, committed + planned)
    assert found.shape == (length,)
    assert (found[:committed] == 1).all()
    assert (found[committed + planned :] == 0).all()
    between = found[committed : committed + planned]
    assert ((between > 0) & (between < 1)).all()
    assert (np.diff(found) <= 0).all()
    assert ((found == 1) == hard_weights(length, committed)).all()


# ---- nothing known: what is sampled is what it always was ----------------------------------------------------------


@pytest.mark.parametrize('solver', SOLVERS)
@pytest.mark.parametrize('max_committed', [0, 3])
@pytest.mark.parametrize('sample', [fast, begun, slow])
def test_without_a_weight_not_a_bit_changes(sample, max_committed, solver):
    plain = random_denoiser()
    denoiser = random_denoiser(max_committed=max_committed)
    weights = denoiser.state_dict() | plain.state_dict()  # the same but for the mark
    denoiser.load_state_dict(weights)
    diffusion, inputs = DiffusionConfig(solver=solver), given_to(plain)
    expected = sample(plain, diffusion, **inputs)
    assert torch.equal(sample(denoiser, diffusion, **inputs), expected)
    nothing = nothing_known(denoiser.config, 1)._replace(target=torch.randn(1, LENGTH, DIM))
    assert torch.equal(sample(denoiser, diffusion, **inputs, known=nothing), expected)
    # Nor does the loop as it was, without any of this, give anything else.
    assert torch.allclose(expected, sample_plain(plain, diffusion, **inputs), rtol=1e-4, atol=1e-5)


# ---- every path gives the same -------------------------------------------------------------------------------------


@pytest.mark.parametrize('solver', SOLVERS)
@pytest.mark.parametrize('continuation', ['hard', 'soft', 'trained'])
@pytest.mark.parametrize('committed', [0, 1, 3])
def test_fast_path_equals_plain_path(committed, continuation, solver):
    denoiser = random_denoiser(max_committed=3)
    diffusion, inputs = DiffusionConfig(solver=solver), given_to(denoiser)
    plan = plan_of(4, committed)
    known = known_of(plan.actions, committed, continuation, denoiser.config)
    expected = sample_plain(denoiser, diffusion, **inputs, known=known)
    found = fast(denoiser, diffusion, **inputs, known=known)
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()
    along = begun(denoiser, diffusion, **inputs, known=known)
    assert (along - expected).abs().max() < 1e-4 * expected.abs().max()
    assert torch.equal(slow(denoiser, diffusion, **inputs, known=known), expected)
    for chunk in (expected, found, along):
        assert torch.equal(chunk[0, :committed], torch.from_numpy(plan.actions[:committed]).float())
    alone = sample_plain(denoiser, diffusion, **inputs)
    moved = (expected - alone)[0, committed:].abs().max(-1).values
    assert (moved > 1e-4).all() == bool(committed or continuation == 'soft')


def test_samples_of_a_batch_continue_their_own_plans():
    denoiser = random_denoiser(max_committed=3)
    inputs = given_to(denoiser, batch=3)
    each = [
        known_of(plan_of(4, committed, committed).actions, committed, 'trained', denoiser.config)
        for committed in (0, 1, 3)
    ]
    together = Known(*(torch.cat(parts) for parts in zip(*each, strict=True)))
    found = fast(denoiser, DiffusionConfig(), **inputs, known=together)
    for row, known in enumerate(each):
        alone = {name: value[row : row + 1] for name, value in inputs.items()}
        expected = fast(denoiser, DiffusionConfig(), **alone, known=known)
        torch.testing.assert_close(found[row], expected[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('number_format', ['float32', 'bfloat16', 'int8'])
@pytest.mark.parametrize('continuation', ['hard', 'soft', 'trained'])
def test_any_number_format_continues(number_format, continuation):
    denoiser = random_denoiser(max_committed=3, embed_dim=64)
    makers = linear_makers(number_format, torch.device('cpu'))
    sample = partial(fast, denoiser, DiffusionConfig(), make_products=partial(products_of, denoiser, makers))
    plan = plan_of(5, 2)
    known = known_of(plan.actions, 2, continuation, denoiser.config)
    found, expected = (
        sample(**given_to(denoiser), known=known),
        fast(denoiser, DiffusionConfig(), **given_to(denoiser), known=known),
    )
    assert torch.equal(found[0, :2], torch.from_numpy(plan.actions[:2]).float())
    assert (found - expected).abs().max() < 0.2 * expected.abs().max()


def test_clean_actions_are_for_those_trained_for_them():
    denoiser = random_denoiser()
    known = nothing_known(random_denoiser(max_committed=3).config, 1)
    for sample in (fast, slow):
        with pytest.raises(ValueError, match='not trained to continue'):
            sample(denoiser, DiffusionConfig(), **given_to(denoiser), known=known)


# ---- guidance ------------------------------------------------------------------------------------------------------


def test_guidance_reaches_the_plan_where_the_denoiser_is_the_best_of_normal_data():
    """Actions of the deviation σ_data: D(x) = c_skip·x, and ΠGDM's step is the whole way, where β allows it."""
    known = Known(torch.full((1, 2, 1), 0.7), torch.tensor([[[1.0], [0.0]]]))
    x = torch.tensor([[[0.3], [0.4]]])
    for sigma, whole in ((0.5, True), (2.0, True), (80.0, False), (0.01, False)):
        skip = 0.25 / (sigma**2 + 0.25)
        found = guided(lambda y, skip=skip: skip * y, x, sigma, 0.5, known, 5.0)
        assert float(found[0, 1]) == pytest.approx(skip * 0.4)
        reached = (float(found[0, 0]) - skip * 0.3) / (0.7 - skip * 0.3)
        assert reached == pytest.approx(1.0 if whole else 5 * sigma / 0.5 * skip, rel=1e-3)


@pytest.mark.parametrize('solver', SOLVERS)
def test_guidance_draws_a_chunk_to_its_plan(solver):
    denoiser = random_denoiser()
    with torch.no_grad():
        for parameter in denoiser.output.parameters():
            parameter.zero_()  # D(x) = c_skip·x, as above
    with torch.inference_mode():  # as the encoders leave what they give
        inputs = given_to(denoiser)
        sampler = PlainSampler(denoiser, DiffusionConfig(solver=solver), guidance=5.0)
        prefix = sampler.read_observation(sampler.read_goal(inputs['goal']), inputs['images'])
        alone = sampler.sample(prefix, inputs['noise'])
        known = known_of(plan_of(3, 2).actions, 2, 'guided', denoiser.config)
        found = sampler.sample(prefix, inputs['noise'], known=known)
    missing, before = ((each - known.target)[0, :2].abs().max() for each in (found, alone))
    assert missing < 0.2 * before
    assert torch.equal(found[0, 3:], alone[0, 3:])
    assert all(parameter.grad is None for parameter in denoiser.parameters())


def test_guidance_without_a_plan_does_nothing():
    denoiser = random_denoiser()
    inputs, nothing = given_to(denoiser), nothing_known(denoiser.config, 1)
    alone = sample_plain(denoiser, DiffusionConfig(), **inputs)
    same = sample_plain(denoiser, DiffusionConfig(), **inputs, known=nothing, guidance=5.0)
    torch.testing.assert_close(same, alone, rtol=1e-5, atol=1e-6)


# ---- the policy ----------------------------------------------------------------------------------------------------


def policy_of(continuation=None, max_committed=3):
    config = state_policy_config()
    config = config.model_copy(update={'denoiser': config.denoiser.model_copy(update={'max_committed': max_committed})})
    return Policy.untrained(config, statistics(), CONTRACT, 0, 'cpu', FakeTextEncoder(), continuation)


def predict(policy, plan=None, seed=0):
    return policy.predict({}, STATE, 'push', torch.Generator().manual_seed(seed), plan=plan)


@pytest.fixture(scope='module')
def policies():
    return {name: policy_of(name) for name in ('none', 'hard', 'soft', 'guided', 'trained', 'rejoin')}


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 3), st.integers(0, 3), st.integers(0, 99), st.sampled_from(['hard', 'soft', 'trained']))
def test_what_is_decided_comes_back(policies, committed, planned, seed, name):
    """From the policy to the last bit, and from the sampler to 1e-5 in the robot's units."""
    policy, plan = policies[name], plan_of(committed + planned, committed, seed, spread=4.0)
    assert (predict(policy, plan, seed)[:committed] == plan.actions[:committed]).all()
    policy._plans.keep_decided, keep = lambda chunk, plan: None, policy._plans.keep_decided
    try:
        sampled = predict(policy, plan, seed)
    finally:
        policy._plans.keep_decided = keep
    np.testing.assert_allclose(sampled[:committed], plan.actions[:committed], atol=1e-5)


def test_each_way_is_a_way_of_its_own(policies):
    plan = plan_of(4, 2)
    alone = predict(policies['none'])
    for policy in policies.values():
        if policy.continuation != 'guided':  # another path, equal but for rounding
            assert (predict(policy) == alone).all()
        np.testing.assert_allclose(predict(policy), alone, atol=1e-4)
    assert (predict(policies['none'], plan) == alone).all()
    chunks = {name: predict(policy, plan) for name, policy in policies.items()}
    names = list(chunks)
    for index, first in enumerate(names):
        for second in names[:index]:
            assert np.abs(chunks[first] - chunks[second])[2:].max() > 1e-5, (first, second)


def test_a_plan_without_actions_is_none(policies):
    for policy in policies.values():
        assert (predict(policy, APlan(np.zeros((0, 0)), 0)) == predict(policy)).all()


def test_more_than_was_trained_is_continued_as_by_any_policy_and_counted():
    policy, soft = policy_of('trained', 2), policy_of('soft', 2)
    plan = plan_of(4, 3)
    assert (predict(policy, plan) == predict(soft, plan)).all()
    assert policy.fallbacks == {BEYOND_TRAINING: 1, WHOLE_CHUNK: 0}
    assert soft.fallbacks == {BEYOND_TRAINING: 0, WHOLE_CHUNK: 0}
    assert np.abs(predict(policy, plan_of(4, 2)) - predict(soft, plan_of(4, 2))).max() > 1e-5


@pytest.mark.parametrize('name', ['hard', 'soft', 'trained', 'rejoin'])
def test_a_plan_of_a_whole_chunk_is_that_chunk_and_counted(name):
    policy = policy_of(name)
    for committed in (LENGTH, LENGTH + 3):
        plan = plan_of(LENGTH + 4, committed)
        assert (predict(policy, plan) == plan.actions[:LENGTH]).all()
    assert policy.fallbacks[WHOLE_CHUNK] == 2


@pytest.mark.parametrize(
    ('plan', 'words'),
    [
        (APlan(np.zeros((2, 4)), 1), r'shape \[2, 4\], and the policy \[m, 3\]'),
        (APlan(np.zeros(3), 1), r'shape \[3\]'),
        (APlan(np.zeros((2, 3)), 3), 'has 2 actions, of which 3 cannot be decided'),
        (APlan(np.zeros((2, 3)), -1), '-1 cannot be decided'),
        (APlan(np.full((2, 3), np.nan), 1), 'not finite'),
    ],
)
def test_a_plan_that_is_none(policies, plan, words):
    for policy in policies.values():
        with pytest.raises(UserError, match=words):
            predict(policy, plan)


def test_which_way_is_taken():
    plain, trained = denoiser_config(), denoiser_config(max_committed=3)
    assert choose_continuation(None, plain) == 'soft'
    assert choose_continuation(None, trained) == 'trained'
    assert choose_continuation('hard', trained) == 'hard'
    with pytest.raises(UserError, match=r'not trained to continue \(max_committed is 0\): use soft, or train'):
        choose_continuation('trained', plain)
    with pytest.raises(UserError, match="no continuation 'firm': use one of none, hard, soft, guided, trained, rejoin"):
        choose_continuation('firm', plain)


def test_a_loaded_policy_continues_as_asked(tmp_path):
    made = Policy.untrained(camera_policy_config(), statistics(), CONTRACT, 0, text_encoder=FakeTextEncoder())
    made.save(tmp_path / 'policy')
    load = partial(Policy.load, tmp_path / 'policy', 'cpu', FakeTextEncoder())
    assert load().continuation == made.continuation == 'soft'
    assert load(continuation='hard').continuation == 'hard'
    image = {'static': np.zeros((40, 48, 3), np.uint8)}
    guided_chunk = load(continuation='guided').predict(
        image, None, 'push', torch.Generator().manual_seed(0), plan=plan_of(4, 2)
    )
    assert np.isfinite(guided_chunk).all()
    with pytest.raises(UserError, match=r"guided takes gradients, .* number format 'int8' was asked for"):
        load(continuation='guided', number_format='int8')
    with pytest.raises(UserError, match='not trained to continue'):
        load(continuation='trained')
