"""The policy as a node uses it."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from policy_samples import CONTRACT, FakeTextEncoder, camera_policy_config, state_policy_config, statistics

from mode_ros.errors import UserError
from mode_ros.policy.diffusion import initial_noise, sample_plain
from mode_ros.policy.images import image_to_tensor
from mode_ros.policy.normalization import build_normalizer
from mode_ros.policy.policy import Policy
from mode_ros.policy.stages import STAGES, Interrupted, StageTimer

STATE = np.array([0.5, 1.0, -2.0, 0.03])
RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (40, 48, 3), dtype=np.uint8)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def untrained(config=None, seed=0):
    config = config or state_policy_config()
    return Policy.untrained(config, statistics(), CONTRACT, seed, text_encoder=FakeTextEncoder())


@pytest.fixture(scope='module')
def seeing():
    return untrained(camera_policy_config())


def test_a_chunk_in_the_robots_units(seeing):
    chunk = seeing.predict({'static': IMAGE}, None, 'Push the button', seeded())
    assert chunk.shape == (5, 3)
    assert chunk.dtype == np.float64
    goal = seeing.embed_goal('push the button').unsqueeze(0)
    with torch.inference_mode():
        pixels = image_to_tensor(IMAGE, seeing.config.cameras[0]).unsqueeze(0)
        features = seeing.network.encode_images([pixels], goal)
    noise = initial_noise(1, 5, 3, seeded())
    plain = sample_plain(seeing.network.denoiser, seeing.config.diffusion, noise, goal, features)
    expected = build_normalizer(seeing.info.statistics.action, 'min_max').unnormalize(plain[0].numpy())
    np.testing.assert_allclose(chunk, expected, rtol=1e-4, atol=1e-5)


def test_state_is_normalised_and_reaches_the_chunk():
    policy = untrained()
    chunk = policy.predict({}, STATE, 'push', seeded())
    goal = policy.embed_goal('push').unsqueeze(0)
    joints, gripper = (policy.info.statistics.state[name] for name in ('joints', 'gripper'))
    scaled = [*(STATE[:3] - joints.mean) / joints.std, (STATE[3] - gripper.mean[0]) / gripper.std[0]]
    state = torch.tensor([scaled], dtype=torch.float32)
    noise = initial_noise(1, 5, 3, seeded())
    plain = sample_plain(policy.network.denoiser, policy.config.diffusion, noise, goal, state=state)
    expected = build_normalizer(policy.info.statistics.action, 'min_max').unnormalize(plain[0].numpy())
    np.testing.assert_allclose(chunk, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(policy.predict({}, STATE + 1, 'push', seeded()) - chunk).max() > 1e-6


def test_goal_seed_and_image_each_change_the_chunk_and_nothing_else_does(seeing):
    def chunk(image=IMAGE, goal='push', seed=0):
        return seeing.predict({'static': image}, None, goal, seeded(seed))

    first = chunk()
    others = [chunk(image=255 - IMAGE), chunk(goal='pull'), chunk(seed=1)]
    assert all(np.abs(other - first).max() > 1e-6 for other in others)
    np.testing.assert_array_equal(chunk(goal=' PUSH '), first)


def test_untrained_weights_follow_the_seed_and_leave_torchs_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    policies = [untrained(seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), before)
    first, same, other = (policy.predict({}, STATE, 'push', seeded()) for policy in policies)
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 1e-6


def test_saved_and_loaded_it_predicts_the_same_and_says_that_it_is_untrained(seeing, tmp_path, caplog):
    seeing.save(tmp_path / 'policy')
    with caplog.at_level(logging.INFO):
        loaded = Policy.load(tmp_path / 'policy', text_encoder=FakeTextEncoder())
    assert 'untrained' in caplog.text
    assert not loaded.is_trained
    assert loaded.contract_text == CONTRACT
    assert loaded.config == seeing.config
    arguments = {'static': IMAGE}, None, 'push'
    np.testing.assert_array_equal(loaded.predict(*arguments, seeded()), seeing.predict(*arguments, seeded()))


def test_predicting_leaves_no_trace(seeing):
    weights = {name: tensor.clone() for name, tensor in seeing.network.state_dict().items()}
    seeing.warm_up()
    for name, tensor in seeing.network.state_dict().items():
        assert torch.equal(tensor, weights[name]), name  # batch norm's running mean among them


def test_the_goals_part_is_computed_once_per_goal():
    policy = untrained()
    calls = []
    read_goal = policy.sampler.read_goal
    policy.sampler.read_goal = lambda goal: calls.append(1) or read_goal(goal)
    for goal in ('push', 'Push', 'pull', 'push'):
        policy.predict({}, STATE, goal, seeded())
    assert len(calls) == 2


def test_stages_are_told_in_order_and_timed_by_the_callers_clock(seeing):
    ticks = iter([10.0, 11.0, 13.0, 16.0, 20.0])
    timer = StageTimer(lambda: next(ticks))
    seeing.predict({'static': IMAGE}, None, 'push', seeded(), on_stage=timer)
    assert timer.seconds == dict(zip(STAGES, (1, 2, 3, 4), strict=True))
    assert timer.total == 10


@pytest.mark.parametrize('answers', [0, 1, 3, 4, 9])
def test_it_stops_at_the_first_yes(seeing, answers):
    asked = []

    def should_stop():
        asked.append(1)
        return len(asked) > answers

    with pytest.raises(Interrupted):
        seeing.predict({'static': IMAGE}, None, 'push', seeded(), should_stop)
    assert len(asked) == answers + 1


@pytest.mark.parametrize(
    ('images', 'state', 'goal', 'words'),
    [
        ({}, STATE, ' ', 'is empty'),
        ({'static': IMAGE}, STATE, 'push', r'cameras \[\], and got \[\'static\'\]'),
        ({}, None, 'push', r'\[\'joints\', \'gripper\'\] joined to shape \(4,\), and got none'),
        ({}, STATE[:3], 'push', r'got shape \(3,\)'),
        ({}, STATE * np.nan, 'push', 'not finite'),
    ],
)
def test_bad_input_to_a_policy_with_state(images, state, goal, words):
    with pytest.raises(UserError, match=words):
        untrained().predict(images, state, goal, seeded())


@pytest.mark.parametrize(
    ('images', 'state', 'words'),
    [
        ({}, None, r'cameras \[\'static\'\], and got \[\]'),
        ({'static': IMAGE, 'wrist': IMAGE}, None, r'got \[\'static\', \'wrist\'\]'),
        ({'static': IMAGE[:-1]}, None, r'\'static\' is uint8 of shape \(39, 48, 3\)'),
        ({'static': IMAGE}, STATE, 'takes no state'),
    ],
)
def test_bad_input_to_a_policy_with_a_camera(seeing, images, state, words):
    with pytest.raises(UserError, match=words):
        seeing.predict(images, state, 'push', seeded())


def test_another_text_encoder_is_refused():
    with pytest.raises(UserError, match='gives 7 numbers'):
        Policy.untrained(state_policy_config(), statistics(), CONTRACT, 0, text_encoder=FakeTextEncoder(7))


@pytest.mark.parametrize(
    ('device', 'words'),
    [('cuda', 'CUDA is not available'), ('tpu', "no device 'tpu'"), ('mps', "'mps' is not supported")],
)
def test_a_device_that_is_not_there(device, words, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(UserError, match=words):
        Policy.untrained(state_policy_config(), statistics(), CONTRACT, 0, device, FakeTextEncoder())


def test_auto_falls_back_and_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    policy = Policy.untrained(state_policy_config(), statistics(), CONTRACT, 0, 'auto', FakeTextEncoder())
    assert policy.device.type == 'cpu'
    assert 'chose cpu, because CUDA is not available' in policy.device_note


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
def test_cuda_gives_what_the_cpu_gives():
    config = camera_policy_config()
    cpu, cuda = (
        Policy.untrained(config, statistics(), CONTRACT, 0, device, FakeTextEncoder()) for device in ('cpu', 'cuda')
    )
    arguments = {'static': IMAGE}, None, 'push'
    np.testing.assert_allclose(cuda.predict(*arguments, seeded()), cpu.predict(*arguments, seeded()), atol=1e-2)
