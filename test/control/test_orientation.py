"""Quaternions with one sign."""

import numpy as np
import pytest

from mode_ros.control.orientation import EpisodeSigns, continuous
from mode_ros.robots import load_named_contract


def pose(*quaternion):
    return np.array([0.1, 0.2, 0.3, *quaternion], float)


def follow(poses):
    before, seen = None, []
    for item in poses:
        before = continuous(item, before)
        seen.append(before)
    return np.array(seen)


def test_a_pose_that_stands_still_is_one_point_whatever_its_driver_does():
    signs = np.random.default_rng(1).choice([-1, 1], 50)
    seen = follow([pose(0, s * 0.6, 0, s * 0.8) for s in signs])
    assert (np.abs(seen - seen[0]) < 1e-12).all()
    assert (follow([pose(0, -0.6, 0, -0.8)])[0] == seen[0]).all(), 'whatever the first sign was'


def test_a_pose_that_turns_twice_round_never_jumps():
    angles = np.linspace(0, 4 * np.pi, 200)
    raw = [pose(np.sin(a / 2), 0, 0, np.cos(a / 2)) for a in angles]
    canonical = [p if p[6] >= 0 else np.concatenate([p[:3], -p[3:]]) for p in raw]  # as many drivers give it
    seen = follow(canonical)
    assert np.abs(np.diff(seen, axis=0)).max() < 0.05


def test_noise_does_not_decide_how_an_upright_hand_begins():
    generator = np.random.default_rng(2)
    half = np.sqrt(0.5)
    for quaternion in ((1, 0, 0, 0), (0, 1, 0, 0), (half, half, 0, 0), (half, -half, 0, 0), (0, half, 0, half)):
        first = []
        for _ in range(20):
            noisy = np.array(quaternion) + generator.normal(0, 0.01, 4)
            first.append(follow([pose(*(noisy / np.linalg.norm(noisy) * generator.choice([-1, 1])))])[0])
        assert np.std(first, axis=0).max() < 0.05


def test_an_episode_begins_with_the_sign_of_its_first_observation_whatever_came_before():
    signs = EpisodeSigns(load_named_contract('metaworld_sawyer')[0])

    def seen(angle, goal='turn'):
        states = {'end_effector': pose(0, np.sin(angle / 2), 0, np.cos(angle / 2)), 'other': np.array([-1.0])}
        return signs.of(states, goal)

    home = seen(0.4)['end_effector']
    assert home[3:] @ seen(0.4 + 2 * np.pi)['end_effector'][3:] < -0.99, 'within an episode it turns on'
    assert seen(0.4 + 2 * np.pi, 'turn back')['end_effector'] == pytest.approx(home), 'another goal'
    assert seen(0.4, 'turn back')['end_effector'][3:] == pytest.approx(-home[3:])
    signs.begin()
    there = seen(0.4, 'turn back')
    assert there['end_effector'] == pytest.approx(home)
    assert there['other'] == [-1.0]
