"""The real loop on Meta-World: an expert that plans as the policy does succeeds, random weights do not."""

import pytest
import torch
from evaluation.stand_in import CONTRACT, Expert

from mode_ros.evaluation.rollout import run_episode
from mode_ros.evaluation.run import evaluate
from mode_ros.evaluation.settings import make_settings

pytest.importorskip('metaworld')
pytestmark = pytest.mark.rendering

from mode_ros.sim.metaworld_sim import MetaworldSimulator  # noqa: E402


@pytest.mark.parametrize(('task', 'length', 'latency'), [('drawer-open', 10, 1), ('door-open', 8, 2)])
def test_the_expert_as_the_policy_succeeds(task, length, latency):
    with MetaworldSimulator(task) as simulator, MetaworldSimulator(task) as twin:
        for seed in (0, 1):
            simulator.reset(seed)
            twin.reset(seed)
            policy = Expert(twin, simulator, length, latency)

            outcome = run_episode(simulator, CONTRACT, policy, 'go', latency, torch.Generator().manual_seed(0))

            assert policy.parted < 1e-9, 'the robot did what it was expected to do, period by period'
            assert outcome.success
            assert outcome.seconds < 6.25
            assert outcome.held == latency * (outcome.chunks - 1), 'the first chunk is no wait'


def test_random_weights_do_not_and_their_failure_is_played_again(checkpoint, tmp_path, capsys):
    results = evaluate(
        make_settings(checkpoint=checkpoint, output=tmp_path / 'out', tasks=('drawer-open',), rollouts=1, latency=0.05)
    )

    assert results['mean']['successes'] == 0
    assert 'is not filmed' not in capsys.readouterr().err
    assert (tmp_path / 'out' / 'videos' / 'drawer-open-000.mp4').stat().st_size > 5000


def test_a_checkpoint_that_always_pushes_closes_drawers(pusher, tmp_path):
    settings = make_settings(
        checkpoint=pusher, output=tmp_path / 'out', tasks=('drawer-close',), rollouts=3, latency=0.05
    )

    results = evaluate(settings)

    assert results['mean']['successes'] == 3
    assert results['mean']['seconds_to_success'] < 2.0
