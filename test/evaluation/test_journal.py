"""What an evaluation's folder is bound to: the episodes in it, and nothing before the first."""

import json

import pytest

from mode_ros.errors import UserError
from mode_ros.evaluation.episodes import Episode, Journal
from mode_ros.evaluation.settings import OF_AN_EPISODE, EvaluationSettings

EPISODE = Episode('reach', 0, 'reach', True, 1.0, 20, 2, 0, 0, 0, 1)


def identity(suite):
    return {'checkpoint': {'folder': 'policy', 'digest': 'abc'}, 'settings': {'suite': suite}}


def test_one_that_was_refused_before_its_first_episode_does_not_bind_the_folder(tmp_path):
    Journal(tmp_path, identity('libero-spatial'), lambda: {'latency_periods': 9})

    journal = Journal(tmp_path, identity('metaworld-10'), lambda: {'latency_periods': 2})

    assert journal.about == {**identity('metaworld-10'), 'latency_periods': 2}
    journal.add(EPISODE)
    again = Journal(tmp_path, identity('metaworld-10'), lambda: pytest.fail('is measured once'))
    assert again.about == {**journal.about, 'versions': {}}, 'nobody has told any'
    assert list(again.episodes) == [('reach', 0)]
    with pytest.raises(UserError, match='suite is libero-spatial now and metaworld-10 there'):
        Journal(tmp_path, identity('libero-spatial'), dict)


def test_what_was_measured_before_the_first_episode_is_kept(tmp_path):
    Journal(tmp_path, identity('metaworld-10'), lambda: {'latency_periods': 2})
    assert Journal(tmp_path, identity('metaworld-10'), dict).about['latency_periods'] == 2


def test_a_checkpoint_that_has_changed_is_not_called_another_one(tmp_path):
    Journal(tmp_path, identity('reach'), dict).add(EPISODE)
    for folder, told in (
        ('policy', 'the checkpoint policy has changed since'),
        ('other', 'the checkpoint is other now'),
    ):
        with pytest.raises(UserError, match=told):
            Journal(tmp_path, {**identity('reach'), 'checkpoint': {'folder': folder, 'digest': 'b'}}, dict)


def test_versions_of_the_first_episodes_stay_and_later_ones_are_told(tmp_path):
    journal = Journal(tmp_path, identity('reach'), dict)
    assert journal.begun_with({'mujoco': '3.3'}) == []
    journal.add(EPISODE)

    again = Journal(tmp_path, identity('reach'), dict)

    assert again.begun_with({'mujoco': '3.3'}) == []
    assert 'versions_later' not in again.about
    for _ in range(2):
        assert again.begun_with({'mujoco': '4.0', 'torch': '3'}) == [
            'mujoco 3.3, 4.0 now',
            'torch unknown, 3 now',
        ]
    about = Journal(tmp_path, identity('reach'), dict).about
    assert about['versions'] == {'mujoco': '3.3'}
    assert about['versions_later'] == [{'mujoco': '4.0', 'torch': '3'}]


def test_versions_that_were_not_kept_are_those_of_the_results_or_unknown(tmp_path):
    Journal(tmp_path, identity('reach'), dict).add(EPISODE)
    assert Journal(tmp_path, identity('reach'), dict).begun_with({'mujoco': '4.0'}) == ['mujoco unknown, 4.0 now']
    (tmp_path / 'settings.json').write_text(json.dumps(identity('reach')))
    (tmp_path / 'results.json').write_text('{"versions": {"mujoco": "3.3"}}')
    assert Journal(tmp_path, identity('reach'), dict).about['versions'] == {'mujoco': '3.3'}


def test_every_setting_either_binds_an_evaluation_or_is_known_not_to():
    """A new one has to be decided on: whether episodes with different values may be counted together."""
    free = {'checkpoint', 'output', 'tasks', 'rollouts', 'seeds', 'jobs', 'threads', 'videos'}
    assert set(OF_AN_EPISODE) == set(EvaluationSettings.model_fields) - free
