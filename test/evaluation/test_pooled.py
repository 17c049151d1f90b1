"""Scores of several policies together: every episode counts once, and pairs stay pairs."""

import shutil

import numpy as np
import pytest
from evaluation.test_run import OneWay

from mode_ros.errors import UserError
from mode_ros.evaluation.pooled import check_options, evaluate_groups
from mode_ros.evaluation.run import evaluate
from mode_ros.evaluation.seeds import difference, holm, rate_interval
from mode_ros.evaluation.statistics import paired_difference_interval, wilson_interval

OPTIONS = {'suite': 'metaworld-demo', 'rollouts': 2, 'latency': 0.05, 'videos': 0}


def outcome(settings, successes):
    rate = sum(successes) / len(successes)
    return {
        'suite': settings.suite,
        'mean': {'rate': rate},
        'episodes': [{'success': success} for success in successes],
    }


def test_groups_are_pooled_and_compared_in_pairs(tmp_path):
    solved = {
        'a/0': [True, True, True, False],
        'a/1': [True, True, False, False],
        'b/0': [True, True, True, True],
        'b/1': [False, False, False, False],
    }
    seen = []

    def run(settings):
        seen.append(settings)
        return outcome(settings, solved[str(settings.checkpoint.relative_to(tmp_path))])

    groups = {name: [tmp_path / name / seed for seed in '01'] for name in 'ab'}
    found = evaluate_groups(groups, OPTIONS, run)

    assert [(settings.rollouts, settings.latency) for settings in seen] == [(2, 0.05)] * 4
    assert seen[0].output == tmp_path / 'a' / 'evaluation_metaworld-demo'
    first, second = found['a'], found['b']
    assert (first['successes'], first['rollouts'], first['rate'], first['rates']) == (5, 8, 5 / 8, [0.75, 0.5])
    tables = [[solved[f'{name}/{seed}'] for seed in '01'] for name in 'ab']
    assert (first['low'], first['high']) == rate_interval(tables[0])
    assert first['difference'] is None
    assert (second['successes'], second['rates']) == (4, [1.0, 0.0])
    expected = difference(*tables)
    assert second['difference'] == {**expected._asdict(), 'p_corrected': expected.p}
    assert expected.rate == pytest.approx(-1 / 8)


def test_single_policies_have_the_interval_of_their_episodes(tmp_path):
    solved = {'a': [True, True, True, False], 'b': [True, False, False, False]}
    found = evaluate_groups(
        {name: [tmp_path / name / 'policy'] for name in 'ab'},
        OPTIONS,
        lambda settings: outcome(settings, solved[settings.checkpoint.parent.name]),
    )
    assert (found['a']['low'], found['a']['high']) == wilson_interval(3, 4)
    low, high = paired_difference_interval(solved['a'], solved['b'])
    assert found['b']['difference'] == {'rate': -0.5, 'low': low, 'high': high}


def test_chosen_tasks_are_told_instead_of_the_suite(tmp_path):
    seen = []

    def run(settings):
        seen.append(settings.tasks)
        return outcome(settings, [True, False])

    found = evaluate_groups({'a': [tmp_path / 'policy']}, {**OPTIONS, 'tasks': ('push', 'peg-insert-side')}, run)
    assert found['a']['suite'] == 'push, peg-insert-side'
    assert seen == [('push', 'peg-insert-side')]


def test_p_values_are_corrected_for_all_that_is_compared(tmp_path):
    generator = np.random.default_rng(0)
    solved = {name: (generator.random((3, 40)) < rate).tolist() for name, rate in (('a', 0.4), ('b', 0.6), ('c', 0.5))}
    groups = {name: [tmp_path / name / seed / 'policy' for seed in '012'] for name in solved}

    def run(settings):
        name, seed = settings.checkpoint.parts[-3:-1]
        return outcome(settings, solved[name][int(seed)])

    found = evaluate_groups(groups, OPTIONS, run)
    plain = {name: found[name]['difference']['p'] for name in 'bc'}
    assert {name: found[name]['difference']['p_corrected'] for name in 'bc'} == holm(plain)
    assert found['b']['difference']['p_corrected'] == 2 * plain['b']


def test_what_is_finished_is_not_run_again(point, checkpoint, tmp_path):
    policies = []
    for seed in '01':
        shutil.copytree(checkpoint, tmp_path / seed / 'policy')
        policies.append(tmp_path / seed / 'policy')
    loaded = []

    def run(settings):
        return evaluate(settings, lambda settings: loaded.append(settings) or OneWay())

    first = evaluate_groups({'one': policies}, OPTIONS, run)
    assert len(loaded) == 2
    assert (first['one']['successes'], first['one']['rollouts']) == (20, 40), 'seed 0 of ten tasks, twice'
    assert evaluate_groups({'one': policies}, OPTIONS, run) == first
    assert len(loaded) == 2
    wider = evaluate_groups({'one': policies}, {**OPTIONS, 'rollouts': 3}, run)
    assert (wider['one']['successes'], wider['one']['rollouts']) == (20, 60)
    lines = (tmp_path / '0' / 'evaluation_metaworld-demo' / 'episodes.jsonl').read_text().splitlines()
    assert len(lines) == 30
    with pytest.raises(UserError, match=r'latency is 0.2 now and 0.05 there'):
        evaluate_groups({'one': policies}, {**OPTIONS, 'latency': 0.2}, run)


@pytest.mark.parametrize(
    ('change', 'words'),
    [({'suite': 'metaworld-dem'}, 'metaworld-demo'), ({'rollouts': 0}, 'rollouts'), ({'latency': -1.0}, 'latency')],
)
def test_options_that_no_policy_could_have_are_refused(change, words):
    check_options(OPTIONS)
    with pytest.raises(UserError, match=words):
        check_options({**OPTIONS, **change})
