"""Two results side by side."""

import json

import pytest

from mode_ros.errors import UserError
from mode_ros.evaluation.compare import compare
from mode_ros.evaluation.episodes import Episode
from mode_ros.evaluation.results import read_results, summarise


def results(outcomes, steps=None, seeds=None, tasks=('reach', 'push'), **settings):
    episodes = [
        Episode(task, seed, 'go', won, 2.0, 40, 4, 4, 0, 0, int(won))
        for task in tasks
        for seed, won in zip(seeds or range(len(outcomes)), outcomes, strict=True)
    ]
    about = {
        'checkpoint': {'folder': 'c', 'digest': 'd' * 64, 'trained_steps': 9},
        'settings': {'suite': 'metaworld-demo', 'steps': steps, **settings},
        'latency_periods': 1,
    }
    return summarise('metaworld-demo', about, episodes)


def test_what_differs_and_the_difference_are_told():
    ten, four = results([True] * 30 + [False] * 10, 10), results([True] * 29 + [False] * 11, 4)
    told = compare(ten, four)
    assert 'steps: 10 and 4' in told
    assert 'checkpoint' not in told
    assert next(line for line in told.splitlines() if 'all of these' in line).split()[3:8] == [
        '75.0',
        '%',
        '72.5',
        '%',
        '-2.5',
    ]
    assert 'No difference can be told from 80 pairs of episodes: zero lies within the interval' in told


def test_a_difference_beyond_chance_names_the_better():
    good, bad = results([True] * 36 + [False] * 4), results([True] * 20 + [False] * 20)
    assert 'The first is better, as 80 pairs of episodes tell: zero lies outside' in compare(good, bad)
    assert 'The second is better' in compare(bad, good)


def test_pairs_need_the_same_episodes():
    told = compare(results([True] * 8), results([True] * 8, seeds=range(20, 28)))
    assert '16 and 16 episodes, which are not the same ones' in told


def test_pairs_are_what_both_have():
    told = compare(results([True] * 8), results([True] * 3, seeds=range(3)))
    assert '6 pairs of episodes' in told
    assert 'Left out: 10 episodes from initial states that only one of the two has.' in told


def test_only_common_tasks_are_compared():
    told = compare(results([True] * 8), results([True] * 8, tasks=('push', 'door-open')))
    assert '8 pairs' in told
    assert 'Only one of the two has: door-open, reach.' in told
    with pytest.raises(UserError, match='no task in common'):
        compare(results([True]), results([True], tasks=('door-open',)))


def test_results_are_read_from_a_file_or_its_folder(tmp_path):
    (tmp_path / 'results.json').write_text(json.dumps(results([True])))
    assert read_results(tmp_path) == read_results(tmp_path / 'results.json')
    (tmp_path / 'other.json').write_text('{}')
    for path, words in ((tmp_path / 'other.json', 'is not a results.json'), (tmp_path / 'none', 'cannot be read')):
        with pytest.raises(UserError, match=words):
            read_results(path)


@pytest.mark.parametrize(('perturb', 'ending'), [('language', 'lan'), ('position', 'swap'), ('object', 'object')])
def test_a_perturbation_is_compared_with_the_plain_task_and_not_in_pairs(perturb, ending):
    plain = results([True] * 8, tasks=('libero_object/soup', 'libero_object/milk'))
    harder = results([False] * 8, tasks=(f'libero_object_{ending}/soup',), perturb=perturb)
    told = compare(plain, harder)
    assert f'perturb: not given and {perturb}' in told
    assert '8 and 8 episodes, which are not the same ones' in told
    assert 'Only one of the two has: libero_object/milk.' in told
    with pytest.raises(UserError, match='no task in common'):
        compare(plain, results([True], tasks=(f'libero_goal_{ending}/soup',), perturb=perturb))
    same = results([True] * 8, tasks=(f'libero_object_{ending}/soup',), perturb=perturb)
    assert '8 pairs of episodes' in compare(same, harder)
