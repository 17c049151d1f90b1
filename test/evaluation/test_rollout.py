"""The rollout's timing is that of the nodes: who waits for whom, what is seen, what is done, when it ends."""

import numpy as np
import pytest
import torch
import yaml
from evaluation.stand_in import CONTRACT, STEPS, Expert, PointSimulator, Scripted, SeeingSimulator

from mode_ros.control.asking import RETRY_AFTER
from mode_ros.control.execution import ExecutionSettings
from mode_ros.evaluation.rollout import MAX_CHUNK_AGE, run_episode
from mode_ros.evaluation.sensors import Faults
from mode_ros.paths import share_folder
from mode_ros.policy.inference import Interrupted
from mode_ros.robots import load_named_contract

STILL = [0.0, 0, 0, 0]


def run(policy, simulator=None, latency=1, contract=CONTRACT, **more):
    simulator = simulator or PointSimulator()
    simulator.reset(0)
    return run_episode(simulator, contract, policy, 'go', latency, torch.Generator().manual_seed(0), **more)


def ramp(length, sign=1.0, gripper=1.0):
    return [[0.0, sign * 0.001 * (k + 1), 0.0, gripper] for k in range(length)]


@pytest.mark.parametrize('latency', [1, 2, 5])
def test_a_chunk_is_played_after_the_latency_and_then_the_robot_waits_for_the_next(latency):
    first, second = ramp(3), ramp(4, sign=-1.0, gripper=-1.0)

    outcome = run(Scripted(first, second), PointSimulator(limit=40 * STEPS), latency)

    waiting = [[0.0, 0, 0, 1.0]] * latency  # displacements end, the gripper's target stays
    expected = [*[STILL] * latency, *first, *waiting, *second]
    assert outcome.commands[: len(expected)].tolist() == expected
    assert outcome.periods == 40
    assert outcome.acting == 40 - latency, 'from the first chunk on, as the nodes count'
    assert outcome.held == sum(not row[:3].any() for row in outcome.commands[latency:])


def test_the_policy_sees_the_moment_in_which_the_robot_came_to_rest():
    simulator, policy = PointSimulator(limit=40 * STEPS), Scripted(ramp(6), state=('end_effector',))

    outcome = run(policy, simulator, latency=2)

    periods = list(range(0, 40, 2 + 6))
    assert [steps for camera, steps in simulator.rendered if camera == 'static'] == [p * STEPS for p in periods]
    assert [images['wrist'][0, 0, 0] for images, _, _ in policy.seen] == periods
    done = np.cumsum(outcome.commands[:, 1])
    for period, (_, state, goal) in zip(periods, policy.seen, strict=True):
        assert state[1] == pytest.approx(done[period - 1] if period else 0.0)
        assert goal == 'go'


def test_without_cameras_the_policy_sees_the_scene_of_the_moment():
    contract = load_named_contract('metaworld_sawyer_state')[0]
    simulator, policy = SeeingSimulator(limit=40 * STEPS), Scripted(ramp(6), state=('scene', 'end_effector'))

    run(policy, simulator, latency=2, contract=contract)

    assert not simulator.rendered
    places = dict(zip(contract.state('scene').names, range(17), strict=True))
    steps = [period * STEPS for period in range(0, 40, 2 + 6)]
    for (images, state, _), step in zip(policy.seen, steps, strict=True):
        assert images == {}
        assert state[[places[f'goal_{axis}'] for axis in 'xyz']].tolist() == simulator.target.tolist()
        assert state[places['object_1_x']] == step


@pytest.mark.parametrize(('length', 'latency'), [(1, 1), (10, 1), (10, 3), (7, 2)])
def test_an_expert_that_plans_ahead_meets_the_robot_where_it_expects_it(length, latency):
    simulator, twin = PointSimulator(), PointSimulator()
    policy = Expert(twin, simulator, length, latency)

    outcome = run(policy, simulator, latency)

    assert outcome.success
    assert policy.parted < 1e-12


def test_an_episode_ends_with_the_step_that_succeeds():
    simulator = PointSimulator()

    outcome = run(Scripted([[0.04, 0.0, 0.04, 1.0]] * 10), simulator)

    # 9 cm in each direction, after one period of waiting.
    assert outcome.success
    assert outcome.seconds == pytest.approx((4 + 10) * 0.0125)
    assert (outcome.periods, outcome.chunks, outcome.refused) == (4, 1, 0)
    assert simulator.steps == 14


def test_an_episode_that_does_not_succeed_ends_with_the_benchmark_limit():
    simulator = PointSimulator()

    outcome = run(Scripted(ramp(10)), simulator)

    assert not outcome.success
    assert simulator.steps == 500
    assert (outcome.periods, outcome.seconds) == (125, 6.25)
    assert outcome.chunks == 12
    assert outcome.commands.shape == (125, 4)
    assert outcome.end == pytest.approx(simulator.hand)


def test_limits_of_the_contract_apply():
    outcome = run(Scripted([[0.5, 0.0, 0.0, 3.0]] * 5), PointSimulator(limit=6 * STEPS))

    assert outcome.commands[1].tolist() == [0.04, 0.0, 0.0, 1.0]
    assert outcome.limited == 5


def test_a_refused_chunk_is_asked_for_again_as_by_the_node():
    policy = Scripted([[np.nan, 0.0, 0.0, 0.0]], ramp(3))

    outcome = run(policy, PointSimulator(limit=80 * STEPS))

    assert outcome.refused == 1
    assert np.flatnonzero(outcome.commands[:, 1])[0] == 2, 'in the next period, and one of thinking'
    assert policy.seen[1][0]['static'][0, 0, 0] == 1


def test_a_slow_policy_is_asked_once_per_chunk():
    latency = 2 * RETRY_AFTER // CONTRACT.period + 7
    policy = Scripted(ramp(3))

    outcome = run(policy, PointSimulator(limit=3 * latency * STEPS), latency)

    assert outcome.chunks == 2
    assert len(policy.seen) == 3, 'the third is on its way when the episode ends'
    assert outcome.refused == 0


def test_a_slow_chunk_that_is_refused_has_answered_the_requests_that_came_meanwhile():
    retry = RETRY_AFTER // CONTRACT.period
    policy = Scripted([[np.nan, 0.0, 0.0, 0.0]], ramp(3))

    run(policy, PointSimulator(limit=130 * STEPS), latency=retry + 10)

    assert [images['static'][0, 0, 0] for images, _, _ in policy.seen][:2] == [0, retry + 10]


def test_the_age_that_a_chunk_may_have_is_that_of_the_node():
    settings = yaml.safe_load((share_folder() / 'config' / 'nodes.yaml').read_text())
    assert settings['/**/controller_node']['ros__parameters']['max_chunk_age'] == MAX_CHUNK_AGE


def test_the_same_noise_gives_the_same_episode():
    class Noisy(Scripted):
        def predict(self, images, state, goal, generator, should_stop=None, on_stage=None, plan=None):
            return (0.01 * torch.randn(10, 4, generator=generator)).numpy()

    def commands(seed):
        simulator = PointSimulator(limit=100)
        return run_episode(simulator, CONTRACT, Noisy(), 'go', 1, torch.Generator().manual_seed(seed)).commands.tolist()

    assert commands(3) == commands(3)
    assert commands(3) != commands(4)


def test_it_stops_when_asked():
    asked = iter([False] * 10 + [True])

    with pytest.raises(Interrupted):
        run(Scripted(ramp(5)), should_stop=lambda: next(asked))


def seen_under(faults, limit=60, seed=0):
    policy = Scripted(ramp(1), state=('end_effector',))
    run(
        policy,
        PointSimulator(limit=limit * STEPS),
        faults=faults,
        faults_generator=np.random.default_rng(seed),
    )
    return policy.seen


def test_image_noise_has_the_asked_for_size_and_is_the_same_for_the_same_generator():
    seen, again = seen_under(Faults(image_noise=8.0)), seen_under(Faults(image_noise=8.0))
    image = seen[20][0]['static'].astype(float)
    assert image.dtype == float
    assert seen[20][0]['static'].dtype == np.uint8
    assert np.std(image) == pytest.approx(8.0, rel=0.05)
    assert np.mean(image) == pytest.approx(40.0, abs=0.5)
    assert np.array_equal(seen[3][0]['wrist'], again[3][0]['wrist'])
    assert not np.array_equal(seen[20][0]['static'], seen[20][0]['wrist'])
    other = seen_under(Faults(image_noise=8.0), seed=1)
    assert not np.array_equal(seen[20][0]['static'], other[20][0]['static'])


def test_state_noise_leaves_quaternions_of_length_one():
    clean = np.array([state for _, state, _ in seen_under(Faults())])
    noisy = np.array([state for _, state, _ in seen_under(Faults(state_noise=0.01))])
    assert np.std(noisy[:, :3] - clean[:, :3]) == pytest.approx(0.01, rel=0.3)
    assert np.linalg.norm(noisy[:, 3:], axis=1) == pytest.approx(1.0)


def test_a_dropped_frame_shows_the_one_before():
    # A chunk of one action: the policy looks in every second period.
    shown = [images['static'][0, 0, 0] for images, _, _ in seen_under(Faults(drop_frames=0.5), limit=240)]
    late = np.arange(0, 240, 2) - np.array(shown, int)
    assert late.min() == 0
    assert late.max() > 0
    assert np.mean(late > 0) == pytest.approx(0.5, abs=0.15)
    assert 0 < np.mean(late) == pytest.approx(1.0, abs=0.4), 'geometric: p / (1 - p) frames'


class Continuing(Scripted):
    """Goes on from what is decided, in equal steps to the side."""

    def predict(self, images, state, goal, generator, should_stop=None, on_stage=None, plan=None):
        self.seen.append((images, state, goal))
        actions = np.tile([0.0, 0.001, 0.0, 1.0], (10, 1))
        if plan is not None and plan.committed:
            actions[: plan.committed] = plan.actions[: plan.committed]
        return actions


@pytest.mark.parametrize('slowest', [None, 4])
def test_in_realtime_the_robot_does_not_wait_for_the_next_chunk(slowest):
    outcomes = {
        mode: run(
            Continuing(),
            PointSimulator(limit=200 * STEPS),
            latency=3,
            slowest=slowest,
            execution=ExecutionSettings(mode),
        )
        for mode in ('realtime', 'synchronous')
    }
    assert outcomes['synchronous'].held > 40
    assert outcomes['realtime'].held <= (3 if slowest is None else 20)
    assert outcomes['realtime'].seams > 15
    assert outcomes['realtime'].seam_velocity == pytest.approx(0.0, abs=1e-12)
    assert outcomes['realtime'].jerk < outcomes['synchronous'].jerk
    moved = outcomes['realtime'].commands[:, 1]
    assert set(moved) == {0.0, 0.001}


def test_the_delays_of_an_episode_follow_from_its_generator_alone():
    def held(seed):
        return run(
            Continuing(),
            PointSimulator(limit=200 * STEPS),
            latency=2,
            slowest=6,
            faults_generator=np.random.default_rng(seed),
        ).held

    assert held(1) == held(1)
    assert len({held(seed) for seed in range(5)}) > 1
