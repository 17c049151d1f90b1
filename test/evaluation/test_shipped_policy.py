"""The policies that come with mode_ros: each fits its contract and is small; the demo's does what the sentence says."""

import pytest
import torch

from mode_ros.evaluation.rollout import run_episode
from mode_ros.pairing import load_paired
from mode_ros.paths import shipped_policy
from mode_ros.policy.checkpoint import read_info
from mode_ros.robots import load_named_contract

ROBOT = 'metaworld_sawyer'
CONTRACT = load_named_contract(ROBOT)[0]


@pytest.mark.parametrize('robot', [ROBOT, 'libero_panda'])
def test_it_fits_and_is_small_and_has_a_card(robot):
    folder = shipped_policy(robot)
    assert read_info(folder).trained_steps > 0
    assert read_info(folder).contract_text == load_named_contract(robot)[1]
    assert (folder / 'weights.safetensors').stat().st_size < 40e6
    assert 'Scores' in (folder / 'README.md').read_text()


@pytest.fixture(scope='module')
def policy():
    return load_paired(str(shipped_policy(ROBOT)), CONTRACT, 'cpu')


def solved(policy, task, goal=None):
    from mode_ros.sim.metaworld_sim import MetaworldSimulator

    with MetaworldSimulator(task) as simulator:
        count = 0
        for seed in range(3):
            simulator.reset(seed)
            sentence = goal or simulator.instruction
            count += run_episode(simulator, CONTRACT, policy, sentence, 2, torch.Generator().manual_seed(seed)).success
        return count


@pytest.mark.rendering
@pytest.mark.parametrize('task', ['drawer-open', 'drawer-close', 'handle-press', 'sweep', 'coffee-pull'])
def test_it_does_what_it_is_told(policy, task):
    pytest.importorskip('metaworld')
    # Not all: another processor rounds differently.
    assert solved(policy, task) >= 2


@pytest.mark.rendering
@pytest.mark.parametrize('task', ['drawer-open-halfway', 'drawer-close-halfway'])
def test_where_both_are_possible_the_sentence_decides(policy, task):
    pytest.importorskip('metaworld')
    assert solved(policy, task) >= 2


@pytest.mark.rendering
def test_it_does_not_do_what_it_is_not_told(policy):
    pytest.importorskip('metaworld')
    assert solved(policy, 'drawer-open', 'close the drawer') <= 1
