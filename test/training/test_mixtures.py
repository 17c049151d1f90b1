"""Several data sets in one training: one scale per robot, whatever the order of the list."""

import shutil

import numpy as np
import pytest
import torch
from support.contracts import ABSOLUTE_TEXT
from support.training_sets import TextNumbers, joints_set, train_settings, write_data_set

from mode_ros.errors import UserError
from mode_ros.policy.normalization import StreamStatistics
from mode_ros.training.data.mixture import load_mixture_config
from mode_ros.training.data.pooling import pool
from mode_ros.training.plan import make_plan
from mode_ros.training.settings import LossSettings

SMALL, LARGE = 0.1, 1.0


def motions(root, size, task, length=30, episodes=4, contract=ABSOLUTE_TEXT, **more):
    """Commands between 0 and 2 `size`, states with noise, so that no two episodes are one."""
    generator = np.random.default_rng(length)
    made = []
    for _ in range(episodes):
        angle = np.linspace(0, 2 * np.pi, length)
        action = np.stack([size + size * np.sin(angle), size + size * np.cos(angle)], axis=1)
        made.append({'state': generator.normal(0, 0.2, (length, 2)), 'action': action, 'task': task})
    streams = {'joints': 2} if contract else None
    return write_data_set(root, made, contract, **({'fps': 10, 'streams': streams} | more))


def planned(folder, lines, **changes):
    (folder / 'mixture.yaml').write_text('datasets:\n' + '\n'.join(f'- {{{line}}}' for line in lines) + '\n')
    changes = {'data.mixture': str(folder / 'mixture.yaml'), **changes}
    return make_plan(train_settings('', **changes), TextNumbers())


def test_a_chunk_comes_back_in_the_scale_that_it_was_shown_in(tmp_path):
    motions(tmp_path / 'a', SMALL, 'move a little')
    motions(tmp_path / 'b', LARGE, 'move far')
    plan = planned(tmp_path, ['path: a', 'path: b'])
    from mode_ros.policy.normalization import build_normalizer

    runs = build_normalizer(plan.info(1).statistics.action, plan.config.action_normalization)
    for number, size in enumerate((SMALL, LARGE)):
        batch = plan.source.moments([(number, 3)], LossSettings())
        shown = plan.source.datasets[number].batch([3]).actions[0]
        assert runs.unnormalize(batch.actions[0].numpy()) == pytest.approx(shown, abs=1e-6)
        assert np.abs(shown).max() > size
    assert plan.info(1).statistics.action.max == pytest.approx((2.0, 2.0), abs=1e-2)


@pytest.mark.parametrize('weights', [(1.0, 1.0), (3.0, 0.7)])
def test_the_order_of_the_list_does_not_matter(tmp_path, weights):
    motions(tmp_path / 'a', SMALL, 'move a little')
    motions(tmp_path / 'b', LARGE, 'move far', length=23)
    lines = [f'path: {name}, weight: {weight}' for name, weight in zip('ab', weights, strict=True)]
    one, other = planned(tmp_path, lines), planned(tmp_path, lines[::-1])
    assert one.info(1) == other.info(1)
    for step in range(3):
        first, second = (plan.source.batch(step, 16, slice(0, 16), LossSettings()) for plan in (one, other))
        assert torch.equal(first.actions, second.actions)
        assert torch.equal(first.state, second.state)
        assert torch.equal(first.goal, second.goal)
    assert [frame for _, frame in one.source.validation(8)] == [frame for _, frame in other.source.validation(8)]


def test_another_robots_data_keep_their_own_scale_and_the_policy_says_whose_it_has(tmp_path):
    motions(tmp_path / 'ours', SMALL, 'move a little')
    other = ABSOLUTE_TEXT.replace('robot: jointed', 'robot: giant').replace('upper: 2.0', 'upper: 20.0')
    motions(tmp_path / 'theirs', 10 * LARGE, 'move far', contract=other)
    plan = planned(tmp_path, ['path: theirs, embodiment: giant', 'path: ours'])
    assert plan.contract.robot == 'jointed'
    info = plan.info(1)
    assert 'robot: jointed' in info.contract_text
    assert max(info.statistics.action.max) == pytest.approx(2 * SMALL, rel=1e-3)
    batch = plan.source.moments([(0, frame) for frame in range(30)], LossSettings())
    assert float(batch.actions.abs().max()) == pytest.approx(1.0, abs=1e-3)  # theirs fill the range, too
    moments, chunks = [(0, 3), (1, 3)], plan.source.moments([(0, 3), (1, 3)], LossSettings()).actions
    units = plan.source.action_units(moments, chunks)
    for number, unit in enumerate(units):
        assert unit == pytest.approx(plan.source.datasets[number].batch([3]).actions[0], rel=1e-5, abs=1e-5)


def test_another_robot_without_a_contract_needs_one(tmp_path):
    motions(tmp_path / 'ours', SMALL, 'a')
    motions(tmp_path / 'theirs', LARGE, 'b', contract=None)
    with pytest.raises(UserError, match=r"theirs of the embodiment 'giant' carries no contract: name it with `contr"):
        planned(tmp_path, ['path: ours', 'path: theirs, embodiment: giant'])
    (tmp_path / 'giant.yaml').write_text(ABSOLUTE_TEXT.replace('robot: jointed', 'robot: giant'))
    plan = planned(tmp_path, ['path: ours', 'path: theirs, embodiment: giant, contract: giant.yaml'])
    assert max(plan.info(1).statistics.action.max) == pytest.approx(2 * SMALL, rel=1e-3)


SWAPPED = ABSOLUTE_TEXT.replace('name: a,', 'name: c,').replace('name: b,', 'name: a,').replace('name: c,', 'name: b,')


@pytest.mark.parametrize(
    ('other', 'words'),
    [(ABSOLUTE_TEXT.replace('unit: rad', 'unit: deg'), "unit: 'rad', not 'deg'"), (SWAPPED, 'the order')],
)
def test_data_of_one_other_robot_are_of_one_contract(tmp_path, other, words):
    giant = 'robot: giant'
    motions(tmp_path / 'ours', SMALL, 'a')
    motions(tmp_path / 'one', SMALL, 'b', length=23, contract=ABSOLUTE_TEXT.replace('robot: jointed', giant))
    motions(tmp_path / 'two', LARGE, 'c', length=21, contract=other.replace('robot: jointed', giant))
    lines = ['path: one, embodiment: giant', 'path: ours', 'path: two, embodiment: giant']
    with pytest.raises(UserError, match=r"one and .*two are both of the embodiment 'giant'") as refused:
        planned(tmp_path, lines)
    assert words in str(refused.value)
    planned(tmp_path, [*lines[:2], 'path: two, embodiment: ogre'])


def test_data_of_the_robot_that_runs_under_another_name_are_named(tmp_path):
    motions(tmp_path / 'a', SMALL, 'move a little')
    motions(tmp_path / 'b', LARGE, 'move far', length=23)
    findings = planned(tmp_path, ['path: a', 'path: b, embodiment: jointed']).findings
    assert [f for f in findings if f.check == 'embodiment' and 'b has the contract of the robot that' in f.text]
    assert not [f for f in planned(tmp_path, ['path: a', 'path: b']).findings if f.check == 'embodiment']


@pytest.mark.parametrize(('one', 'other'), [('panda', 'Panda'), ('""', '" "'), ('big arm', '"big  arm "')])
def test_a_robot_that_is_spelt_in_two_ways_is_refused(tmp_path, one, other):
    lines = ['path: a', f'path: b, embodiment: {one}', f'path: c, embodiment: {other}']
    with pytest.raises(UserError, match='would be two robots'):
        planned(tmp_path, lines)


def test_pooled_statistics_are_those_of_all_samples_where_weights_go_by_length():
    generator = np.random.default_rng(0)
    parts = [generator.normal(m, s, (n, 3)) for m, s, n in ((0, 1, 500), (5, 0.1, 40), (-3, 2, 1000))]
    found = pool(parts, [len(part) for part in parts])
    expected = StreamStatistics.of(np.concatenate(parts))
    for name in ('min', 'max', 'mean', 'std', 'q01', 'q99'):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-9), name


def test_pooled_statistics_follow_the_weights_not_the_lengths():
    parts = [np.zeros((1000, 1)), np.ones((10, 1))]
    found = pool(parts, [1.0, 3.0])
    assert found.mean == pytest.approx((0.75,))
    assert found.std == pytest.approx((np.sqrt(0.75 * 0.25),))
    assert pool(parts[::-1], [3.0, 1.0]) == found


@pytest.mark.parametrize('second', ['a', './a', 'b/../a', 'link', 'ABSOLUTE'])
def test_a_data_set_that_is_listed_twice_is_refused(tmp_path, second):
    motions(tmp_path / 'a', SMALL, 'move a little')
    (tmp_path / 'b').mkdir()
    (tmp_path / 'link').symlink_to('a')
    second = str(tmp_path / 'a') if second == 'ABSOLUTE' else second
    with pytest.raises(UserError, match=r'lists the data set .*/a twice \(as .*list it once, with the weight 3\.5'):
        planned(tmp_path, ['path: a, weight: 2.0', f'path: {second}, weight: 1.5'])


def test_a_copy_of_a_data_set_is_named(tmp_path):
    motions(tmp_path / 'a', SMALL, 'move a little')
    motions(tmp_path / 'b', LARGE, 'move far')
    shutil.copytree(tmp_path / 'a', tmp_path / 'copy')
    findings = [str(each) for each in planned(tmp_path, ['path: a', 'path: b', 'path: copy']).findings]
    (only,) = [line for line in findings if line.startswith('copies: ')]
    assert f'4 of 4 episodes of {tmp_path}/copy are in {tmp_path}/a, too, and count twice' in only


@pytest.mark.parametrize('weight', ['-1', '0', '.nan', '.inf', 'much'])
def test_a_weight_that_is_none_is_complained_of_once(tmp_path, weight):
    (tmp_path / 'mixture.yaml').write_text(f'datasets:\n- {{path: a, weight: {weight}}}\n')
    with pytest.raises(UserError, match=r'does not fit: datasets\.0\.weight: Input should be') as caught:
        load_mixture_config(tmp_path / 'mixture.yaml')
    assert '; ' not in str(caught.value)


def test_a_mixture_of_nothing_is_refused(tmp_path):
    (tmp_path / 'mixture.yaml').write_text('datasets: []\n')
    with pytest.raises(UserError, match='at least 1 item'):
        load_mixture_config(tmp_path / 'mixture.yaml')


def test_names_of_their_columns(tmp_path):
    motions(tmp_path / 'ours', SMALL, 'a')
    theirs = joints_set(tmp_path / 'theirs', contract=None)
    rename(theirs, {'action': 'actions', 'observation.state': 'state'})
    (tmp_path / 'robot.yaml').write_text(ABSOLUTE_TEXT)
    named = {'data.contract': str(tmp_path / 'robot.yaml')}
    with pytest.raises(UserError, match=r"has no actions \(no column 'action', did you mean 'actions'\?\).*keys:"):
        planned(tmp_path, ['path: ours', 'path: theirs'], **named)
    with pytest.raises(UserError, match=r"has no column 'action' \(keys\), did you mean 'actions'\?"):
        planned(tmp_path, ['path: ours', 'path: theirs, keys: {action: action}'], **named)
    keys = 'keys: {action: actions, observation.state: state}'
    plan = planned(tmp_path, ['path: ours', f'path: theirs, {keys}'], **named)
    plain = joints_set(tmp_path / 'plain', contract=None)
    same = planned(tmp_path, ['path: ours', f'path: {plain.name}'], **named)
    assert (plan.source.datasets[1].actions == same.source.datasets[1].actions).all()
    assert (plan.source.datasets[1].state == same.source.datasets[1].state).all()


def rename(root, names):
    """The data set with other names of its columns."""
    import json

    import pyarrow.parquet as pq

    info = json.loads((root / 'meta/info.json').read_text())
    info['features'] = {names.get(key, key): value for key, value in info['features'].items()}
    (root / 'meta/info.json').write_text(json.dumps(info))
    for path in (root / 'data').rglob('*.parquet'):
        table = pq.read_table(path)
        pq.write_table(table.rename_columns([names.get(name, name) for name in table.column_names]), path)
