"""Which episodes are asked for, and the sentences for what cannot be."""

from pathlib import Path

import pytest

from mode_ros.errors import UserError
from mode_ros.evaluation.protocol import goal_of, make_protocol
from mode_ros.evaluation.settings import make_settings, parse_seeds
from mode_ros.sim.instructions import CONTRARY, held_out_instructions, metaworld_instruction
from mode_ros.sim.suites import suite_tasks


def settings(**given):
    return make_settings(checkpoint=Path('c'), output=Path('o'), **given)


def protocol(**given):
    return make_protocol(settings(**given))


def test_metaworld_has_fifty_unseen_seeds_per_task():
    found = protocol()
    assert (found.simulator, found.tasks) == suite_tasks('metaworld-demo')
    assert found.seeds == tuple(range(50))
    assert len(found.episodes) == 500


def test_tasks_rollouts_and_seeds_are_chosen():
    assert protocol(tasks=('door-open', 'reach-v3', 'door-open')).tasks == ('door-open', 'reach')
    assert protocol(tasks=('assembly',)).tasks == ('assembly',), 'not of the suite, but of its simulator'
    assert protocol(rollouts=3).seeds == (0, 1, 2)
    assert protocol(seeds=(7, 3)).seeds == (7, 3)
    assert protocol(tasks=('reach',), seeds=(7,)).episodes == (('reach', 7),)


def test_seeds_are_read_from_words():
    assert parse_seeds(['0-2', '7', '9,11-12']) == (0, 1, 2, 7, 9, 11, 12)
    for word in ('x', '3-', '5-2', '-1', '1.5'):
        with pytest.raises(UserError, match='names no seeds'):
            parse_seeds([word])


def test_libero_takes_the_first_of_its_initial_states():
    pytest.importorskip('libero')
    found = protocol(suite='libero-spatial')
    assert len(found.tasks) == 10
    assert found.seeds == tuple(range(20))
    first = found.tasks[0]
    assert protocol(suite='libero-spatial', tasks=('0',)).tasks == (first,)
    assert protocol(suite='libero-spatial', tasks=(first.partition('/')[2],)).tasks == (first,)
    assert protocol(suite='libero-spatial', tasks=('libero-spatial/0', 'libero_spatial/0', first)).tasks == (first,)
    with pytest.raises(UserError, match=r'50 initial states.*60 is beyond'):
        protocol(suite='libero-spatial', seeds=(60,))


@pytest.mark.parametrize('perturbation', ['language', 'object', 'position', 'task'])
@pytest.mark.parametrize('suite', ['libero-spatial', 'libero-object', 'libero-goal', 'libero-10'])
def test_every_perturbed_task_comes_with_its_files(suite, perturbation):
    pytest.importorskip('libero')
    from mode_ros.sim.libero_sim import _find_task, _task_files

    found = protocol(suite=suite, perturb=perturbation)
    assert len(found.tasks) == 10
    for task, plain in zip(found.tasks, protocol(suite=suite).tasks, strict=True):
        assert task.partition('/')[2] == plain.partition('/')[2]
        assert task.partition('/')[0] != plain.partition('/')[0]
        _task_files(*_find_task(task))


@pytest.mark.parametrize(
    ('given', 'words'),
    [
        ({'suite': 'metaworld-dmo'}, r'no suite .metaworld-dmo.; the nearest are metaworld-demo'),
        ({'suite': 'libero-spacial'}, 'libero-spatial'),
        ({'tasks': ('drawer-opn',)}, 'drawer-open'),
        ({'tasks': ('libero_goal/0',)}, 'is of the suite libero-goal, not of metaworld-demo: give --suite libero-goal'),
        ({'perturb': 'object'}, r'metaworld-demo.*cannot be perturbed; LIBERO-PRO has libero-spatial'),
        ({'suite': 'calvin', 'goals': 'held-out'}, 'held-out goals'),
        ({'suite': 'calvin', 'goals': 'contrary'}, 'no two tasks of which one undoes the other'),
        ({'tasks': ('drawer-open', 'reach'), 'goals': 'contrary'}, "No task is the contrary of 'reach'"),
    ],
)
def test_what_is_not_there_is_said(given, words):
    with pytest.raises(UserError, match=words):
        protocol(**given)


@pytest.mark.parametrize(
    ('given', 'words'),
    [
        ({'rollouts': 0}, r'rollouts: .*greater than or equal to 1, not 0'),
        ({'rollouts': 2, 'seeds': (1,)}, 'give one of them'),
        ({'seeds': (1, 1)}, 'twice'),
        ({'drop_frames': 1.0}, r'drop_frames: .*less than 1'),
        ({'image_noise': -1.0}, 'image_noise'),
        ({'latency': 11.0}, r'latency: .*10'),
        ({'latency': float('nan')}, 'latency'),
        ({'perturb': 'objects'}, 'perturb'),
        ({'through_ros': True, 'latency': 0.1}, 'latency is for episodes in one process'),
        ({'through_ros': True, 'jobs': 2}, 'jobs is for episodes'),
    ],
)
def test_settings_out_of_range_are_refused_by_name(given, words):
    with pytest.raises(UserError, match=words):
        settings(**given)


class Told:
    task, instruction = 'drawer-open', metaworld_instruction('drawer-open')


def test_the_contrary_is_told_where_the_suite_has_it():
    class Told:
        task = 'drawer-open'

    assert goal_of(Told, 'contrary', 3) == metaworld_instruction('drawer-close') == 'close the drawer'
    Told.task = 'drawer-close-halfway'
    assert goal_of(Told, 'contrary', 3) == metaworld_instruction('drawer-open')
    pairs = ('drawer-close', 'drawer-open', 'faucet-close', 'faucet-open', 'window-close', 'window-open')
    assert protocol(goals='contrary').tasks == pairs, 'no door-close is in the suite'
    halfway = protocol(goals='contrary', suite='metaworld-halfway').tasks
    assert halfway == protocol(suite='metaworld-halfway').tasks, 'three pairs'
    assert protocol(goals='contrary', tasks=('door-lock',)).tasks == ('door-lock',)
    assert all(CONTRARY[CONTRARY[task]] == task for task in CONTRARY)


def test_goals_are_the_instruction_or_unseen_paraphrases():
    unseen = held_out_instructions('drawer-open')
    assert {goal_of(Told, 'trained', seed) for seed in range(4)} == {Told.instruction}
    assert [goal_of(Told, 'held-out', seed) for seed in range(4)] == [unseen[k % len(unseen)] for k in range(4)]
    assert Told.instruction not in unseen
