"""Findings: each fires above its threshold, not below it, and says which layer and expert."""

import numpy as np
import pytest

from mode_ros.training.inspection.findings import (
    SAME_FUNCTION,
    STARVED,
    UNMOVED,
    Watch,
    find_in_probabilities,
    find_in_shares,
    find_in_similarity,
    movement,
    summaries,
)

EVEN = [0.25, 0.25, 0.25, 0.25]


def kinds(found):
    return [(finding.kind, finding.layer) for finding in found]


@pytest.mark.parametrize(
    ('shares', 'expected'),
    [
        ([EVEN, EVEN], []),
        ([EVEN, [0.5, 0.5, 0.0, 0.0]], [('router collapse', 1)]),
        ([[0.49, 0.01, 0.495, 0.005], EVEN], [('router collapse', 0)]),
        ([[0.40, 0.03, 0.30, 0.27], EVEN], []),  # 0.12 of an even share
        ([[0.40, 0.02, 0.31, 0.27], EVEN], [('load imbalance', 0)]),  # 0.08
    ],
)
def test_shares(shares, expected):
    assert kinds(find_in_shares(np.array(shares), 2)) == expected


def test_with_one_expert_per_token_one_that_gets_all_is_a_collapse():
    assert kinds(find_in_shares(np.array([[0.99, 0.005, 0.005]]), 1)) == [('router collapse', 0)]


def test_probability_on_one_expert_is_a_collapse_although_others_are_drawn_beside_it():
    shares = np.array([[0.5, 0.17, 0.17, 0.16]])
    sure = np.array([[0.97, 0.01, 0.01, 0.01]])
    found = find_in_shares(shares, 2, 'in training', sure)
    assert kinds(found) == [('router collapse', 0)]
    assert 'layer 0 gives 97% of its probability to expert 0' in found[0].text
    assert not find_in_shares(shares, 2, 'in training', np.array([[0.7, 0.1, 0.1, 0.1]]))


@pytest.mark.parametrize(('experts', 'top_k'), [(1, 1), (2, 2)])
def test_where_all_experts_run_nothing_can_be_left_out(experts, top_k):
    assert not find_in_shares(np.full((3, experts), 1 / experts), top_k)


def test_the_sentence_names_layer_expert_and_way_out():
    (finding,) = find_in_shares(np.array([EVEN, [0.4, 0.01, 0.3, 0.29]]), 2)
    assert finding.text == 'expert 1 of layer 1 gets 4% of an even share in training: raise loss.balancing'
    assert finding.value == pytest.approx(0.04)
    assert finding.threshold == STARVED


def test_routing_that_does_not_move_with_the_noise_level():
    fixed = np.tile([0.4, 0.3, 0.2, 0.1], (10, 1))
    turning = fixed.copy()
    turning[5:] = turning[5:, ::-1]
    probabilities = np.stack([fixed, turning], axis=1)  # [S, L, E]
    np.testing.assert_allclose(movement(probabilities), [0, 0.2], atol=1e-9)
    assert kinds(find_in_probabilities(probabilities)) == [('routing ignores noise', 0)]
    nearly = fixed.copy()
    nearly[5:] += np.array([1, -1, 0, 0]) * 2.2 * UNMOVED  # half of it on either side of the mean
    assert not find_in_probabilities(nearly[:, None])
    assert not find_in_probabilities(np.ones((10, 2, 1)))


def test_two_experts_that_are_one_function():
    alike = np.eye(3)[None].repeat(2, 0)
    alike[1, 0, 2] = alike[1, 2, 0] = SAME_FUNCTION + 0.01
    alike[0, 0, 1] = alike[0, 1, 0] = SAME_FUNCTION - 0.01
    (finding,) = find_in_similarity(alike)
    assert kinds([finding]) == [('expert collapse', 1)]
    assert 'experts 0 and 2 of layer 1' in finding.text
    opposite = np.array([[[1, -0.99], [-0.99, 1]]])
    assert not find_in_similarity(opposite)


def test_a_kind_that_several_layers_have_is_one_line():
    lines = summaries(find_in_shares(np.array([[0.5, 0.5, 0, 0], EVEN, [0.5, 0, 0.5, 0], [0, 0.5, 0.5, 0]]), 2))
    assert len(lines) == 1
    assert lines[0].startswith('router collapse: layer 0 selects experts 0, 1 100% of the time')
    assert lines[0].endswith('; also layers 2, 3')


def test_a_training_is_warned_once_of_each_kind_and_only_of_enough_samples():
    watch = Watch(top_k=2)
    collapsed, starved = [[0.5, 0.5, 0.0, 0.0]], [[0.4, 0.01, 0.3, 0.29]]
    assert watch.lines(1, collapsed, samples=99) == []  # 198 selections among 4 experts
    (line,) = watch.lines(20, collapsed, samples=100)
    assert line.startswith('warning at step 20: router collapse: layer 0 ')
    assert watch.lines(40, collapsed, 1000) == []
    assert len(watch.lines(60, starved, 1000)) == 1
    assert watch.lines(80, starved, 1000) == []
