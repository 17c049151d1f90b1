"""Who drove decides how often a frame is learnt from: what the policy did wrong is no example, a correction is."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.bags import SECOND, START, Item, demonstration, flag, floats, twist, without, write_bag
from support.contracts import ABSOLUTE_TEXT, DELTA_TEXT
from support.parity import converted
from support.training_sets import TextNumbers, joints_set, train_settings, write_data_set

from mode_ros.control.contract import parse_contract
from mode_ros.errors import UserError
from mode_ros.policy.checkpoint import save_checkpoint
from mode_ros.training.data.data_files import DataFiles
from mode_ros.training.data.dataset import Dataset
from mode_ros.training.objective import Objective
from mode_ros.training.plan import build_network, make_plan
from mode_ros.training.settings import as_begun
from mode_ros.training.weighting import ByWeight, failed_spans, weigh_frames


def spans(text):
    """'ppEE' to who drove: p the policy, E the expert."""
    return np.array([letter == 'E' for letter in text])


@pytest.mark.parametrize(
    ('text', 'success', 'failed'),
    [
        ('ppEEpp', True, '##....'),
        ('ppEEpp', None, '##....'),
        ('ppEEpp', False, '##..##'),
        ('EEppEE', True, '..##..'),
        ('EEEE', False, '....'),
        ('pppp', True, '....'),
        ('pppp', False, '####'),
    ],
)
def test_a_span_has_failed_when_a_person_took_over_or_the_episode_failed(text, success, failed):
    assert ''.join('#' if each else '.' for each in failed_spans(spans(text), success)) == failed


def test_weights():
    driven = spans('EEEEppEEpp')
    found = weigh_frames(driven, [4, 6], [True, True], 3.0)
    assert found.weight.tolist() == [1, 1, 1, 1, 0, 0, 3, 3, 1, 1], 'a demonstration counts 1, a correction 3'
    assert found.failed.tolist() == [False] * 4 + [True] * 2 + [False] * 4
    none = weigh_frames(driven, [4, 6], [True, True], 3.0, 'none')
    assert none.weight.tolist() == [1, 1, 1, 1, 0, 0, 3, 3, 0, 0]
    assert none.failed.tolist() == found.failed.tolist(), 'a chunk may go on into what ended well'
    kept = weigh_frames(driven, [4, 6], [True, False], 3.0, 'all')
    assert kept.weight.tolist() == [1, 1, 1, 1, 1, 1, 3, 3, 1, 1]
    assert not kept.failed.any()


@pytest.mark.parametrize(
    ('text', 'still', 'weight'),
    [
        ('ppEEE', '##...', [0, 0, 1, 1, 1]),  # started before the deadman was held
        ('ppEEE', '#....', [0, 0, 1, 1, 1]),  # the first command came before the period in which the person drives
        ('ppEEE', '.#...', [0, 0, 3, 3, 3]),  # a policy moved it
        ('EEppE', '..##.', [1, 1, 0, 0, 1]),  # a pause
        ('EEEpp', '...##', [1, 1, 1, 1, 1]),
        ('EEEpp', '...#.', [3, 3, 3, 1, 1]),
        ('ppEEE', '..###', [0, 0, 3, 3, 3]),
    ],
)
def test_where_nothing_but_a_person_moved_the_robot_it_is_a_demonstration(text, still, weight):
    standing = np.array([letter == '#' for letter in still])
    assert weigh_frames(spans(text), [5], [True], 3.0, standing=standing).weight.tolist() == weight
    unknown = weigh_frames(spans(text), [5], [True], 3.0)
    assert unknown.weight[spans(text)].tolist() == [3, 3, 3], 'as long as nobody knows'


@pytest.mark.parametrize(('moves', 'weight'), [(range(10, 30), 1), (range(8, 30), 3)])
def test_in_a_recording_a_persons_first_command_comes_before_the_word_of_it(tmp_path, moves, weight):
    """The deadman is held at command 10, whose frame begins a moment before."""
    items = without(without(demonstration(2.0), '/arm/twist'), '/gripper/command')
    for k in range(40):
        stamp = START + k * SECOND // 20 + 8_000_000
        items.append(Item('/arm/twist', twist(stamp, [0.01 * (k in moves), 0, 0]), stamp + 500_000))
        items.append(Item('/gripper/command', floats([1.0]), stamp + 500_000))
        if k in (10, 30):
            items.append(Item('/intervention', flag(k == 10), stamp + 700_000))
    bag = write_bag(tmp_path / 'bag', sorted(items, key=lambda item: item.received))
    found, _ = converted(bag, parse_contract(DELTA_TEXT, 'x'))
    driven = np.array([frame.intervention for frame in found])
    standing = np.array([not frame.action[:3].any() for frame in found])
    assert np.flatnonzero(driven)[0] == 11
    assert np.flatnonzero(~standing)[0] == moves[0]
    assert set(weigh_frames(driven, [len(found)], [True], 3.0, standing=standing).weight[driven]) == {weight}


@pytest.mark.parametrize('kind', ['displacements', 'targets'])
def test_a_recording_that_was_started_before_the_deadman_is_a_demonstration(tmp_path, kind):
    """Beside an episode with a correction, in one data set."""
    driven, delta = spans('pppEEEEEEEEE'), kind == 'displacements'
    text, streams = (DELTA_TEXT, {'joints': 2}) if delta else (ABSOLUTE_TEXT, {'joints': 2})
    rest = np.array([0.0, 0.0, 0.0, 1.0]) if delta else np.array([0.4, 0.3])
    moving = np.tile(rest, (12, 1)) + 0.01 * np.arange(12)[:, None] * (np.arange(len(rest)) < 2)
    if delta:
        moving[:, :2] = 0.01
    started_before = np.where(driven[:, None], moving, rest)
    made = [
        {'state': np.zeros((12, 2)), 'action': action, 'task': 'reach', 'intervention': driven}
        for action in (started_before, moving)
    ]
    data = write_data_set(tmp_path / 'data', made, text, fps=20 if delta else 10, streams=streams)
    dataset = Dataset(DataFiles(data), 4, {}, parse_contract(text, 'x'))
    assert dataset.standing.tolist() == [*[True] * 3, *[False] * 9, *[not delta, False, False], *[False] * 9]
    assert not Dataset(DataFiles(data), 4, {}, None).standing.any(), 'nobody knows what the numbers are'
    if not delta:  # the other contract has a camera
        settings = train_settings(data, **{'data.validation_share': 0.0, 'data.intervention_weight': 4.0})
        source = make_plan(settings, TextNumbers()).source
        drawn = [frame for _, frame in source.batch(0, 900, slice(0, 900), settings.loss).moments]
        assert np.mean(np.array(drawn) >= 12) == pytest.approx(0.8, abs=0.05)


def test_between_data_sets_the_weights_of_the_mixture_decide(tmp_path):
    corrected(tmp_path / 'corrections')
    joints_set(tmp_path / 'demonstrations')
    (tmp_path / 'mixture.yaml').write_text(
        'datasets:\n  - {path: corrections, weight: 1}\n  - {path: demonstrations, weight: 3}\n'
    )
    for weight in (1.0, 50.0):
        changes = {'data.mixture': str(tmp_path / 'mixture.yaml'), 'data.intervention_weight': weight}
        source, settings = source_of('', **changes)
        moments = source.batch(0, 900, slice(0, 900), settings.loss).moments
        which = np.array([data for data, _ in moments])
        assert np.mean(which == 0) == pytest.approx(0.25, abs=0.04)
        by_policy = [frame % 18 >= 14 for data, frame in moments if data == 0]
        assert (np.mean(by_policy) < 0.1) == (weight > 1), 'it shifts within its own'


@pytest.mark.parametrize('policy_frames', ['all', 'successful', 'none'])
def test_where_nobody_ever_took_over_everything_is_a_demonstration(policy_frames):
    found = weigh_frames(np.zeros(6, bool), [3, 3], [None, False], 5.0, policy_frames)
    assert (found.weight == 1).all()
    assert not found.failed.any()


def test_frames_are_drawn_by_weight_and_never_without_one():
    weight = np.array([0.0, 1, 3, 0])
    found = ByWeight(weight).draw(np.random.default_rng(0), 4000)
    assert set(found) == {1, 2}
    assert np.mean(found == 2) == pytest.approx(0.75, abs=0.03)


def corrected(root, driven='pppEEEppppEEEEpppp', success=(True, True)):
    """Two episodes that the policy and a person drove; an action tells its frame."""
    driven = spans(driven)
    action = np.stack([np.arange(len(driven)) / 100] * 2, axis=1)
    made = [{'state': action, 'action': action, 'task': 'reach', 'intervention': driven} for _ in range(2)]
    return write_data_set(root, made, ABSOLUTE_TEXT, fps=10, streams={'joints': 2}, success=list(success))


def source_of(root, **changes):
    settings = train_settings(root, **{'data.validation_share': 0.0, **changes})
    return make_plan(settings, TextNumbers()).source, settings


def frames(source, settings, count=600):
    return np.array([frame % 18 for _, frame in source.batch(0, count, slice(0, count), settings.loss).moments])


def test_a_training_leaves_failed_spans_out_and_weighs_corrections(tmp_path):
    source, settings = source_of(corrected(tmp_path / 'data'), **{'data.intervention_weight': 4.0})

    found = frames(source, settings)

    assert set(found) == {3, 4, 5, *range(10, 18)}
    assert source.left_out == 2 * 7
    by_person = np.isin(found, [3, 4, 5, 10, 11, 12, 13])
    assert by_person.mean() == pytest.approx(4 * 7 / (4 * 7 + 4), abs=0.04)
    again, part = source.batch(0, 8, slice(0, 8), settings.loss), source.batch(0, 8, slice(3, 5), settings.loss)
    assert part.moments == again.moments[3:5], 'decided by seed and step'


def test_weights_are_summed_once_and_drawn_from_as_ever(tmp_path, monkeypatch):
    source, settings = source_of(corrected(tmp_path / 'data'), **{'data.intervention_weight': 4.0})
    sums = []
    monkeypatch.setattr('mode_ros.training.weighting.np.cumsum', lambda *_: sums.append(_))
    frames = [frame for _, frame in source.batch(0, 8, slice(0, 8), settings.loss).moments]
    assert sums == []
    assert frames == [21, 31, 30, 3, 30, 3, 28, 5]


def test_only_what_a_person_drove(tmp_path):
    source, settings = source_of(corrected(tmp_path / 'data'), **{'data.policy_frames': 'none'})
    assert set(frames(source, settings)) == {3, 4, 5, 10, 11, 12, 13}


def test_actions_of_a_failed_span_are_not_learnt_where_a_chunk_reaches_it(tmp_path):
    source, settings = source_of(corrected(tmp_path / 'data'))
    batch = source.batch(0, 200, slice(0, 200), settings.loss)
    for (_, frame), failed in zip(batch.moments, batch.failed.tolist(), strict=True):
        reached = [frame % 18 + k for k in range(4)]
        assert failed == [at < 18 and at in (0, 1, 2, 6, 7, 8, 9) for at in reached]


@pytest.mark.parametrize(
    ('driven', 'success', 'start', 'learnt'),
    [
        ('EEEEpEEEEEEEEEEEEE', True, 2, [True, True, False, False]),
        ('EEEEpEEEEEEEEEEEEE', True, 5, [True] * 4),
        ('EEEEEEEEEEEEEEEEEp', False, 15, [True, True, False, False]),  # whose end is repeated
    ],
)
def test_nor_what_comes_after_it_in_the_chunk(tmp_path, driven, success, start, learnt):
    data = corrected(tmp_path / 'data', driven=driven, success=(success, success))
    source, settings = source_of(data, **{'data.keep_failures': True, 'loss.padding': 'repeat'})
    batch = source.batch(0, 200, slice(0, 200), settings.loss)
    found = [f for (_, frame), f in zip(batch.moments, batch.failed.tolist(), strict=True) if frame % 18 == start]
    assert found
    assert all(failed == [not each for each in learnt] for failed in found)


def test_the_loss_does_not_look_at_them(tmp_path):
    plan = make_plan(train_settings(corrected(tmp_path / 'data')), TextNumbers())
    module = Objective(build_network(plan), plan.settings.loss).eval()
    batch = plan.source.batch(0, 32, slice(0, 32), plan.settings.loss)
    with torch.no_grad():
        # The network sees the whole chunk; the error of what is not learnt is left out.
        assert float(module(batch).denoising) > 0
        assert float(module(replace(batch, failed=None)).denoising) != float(module(batch).denoising)
        assert float(module(replace(batch, failed=torch.ones_like(batch.failed))).denoising) == 0


def test_a_data_set_of_which_nothing_is_left_is_refused(tmp_path):
    action = np.zeros((6, 2))
    made = [
        {'state': action, 'action': action, 'task': 'reach', 'intervention': spans(text)}
        for text in ('pppppp', 'EEEEEE')
    ]
    data = write_data_set(tmp_path / 'data', made, ABSOLUTE_TEXT, fps=10, streams={'joints': 2}, success=[True, False])
    with pytest.raises(UserError, match=r'No frame of .*data\.policy_frames'):
        source_of(data, **{'data.policy_frames': 'none'})
    assert source_of(data)[0].frames == 6


def test_nothing_is_left_of_what_is_not_held_out_or_has_no_whole_chunk(tmp_path):
    ends = corrected(tmp_path / 'ends', driven='pppppppEE')
    changes = {'data.policy_frames': 'none', 'loss.padding': 'none'}
    with pytest.raises(UserError, match=r'No frame of .*ends is left to learn from: .*loss\.padding none'):
        source_of(ends, **changes)
    assert source_of(ends, **{'data.policy_frames': 'none'})[0].frames


def test_a_training_that_was_begun_before_goes_on_with_all_frames():
    assert as_begun({'data': {'path': 'x'}})['data']['policy_frames'] == 'all'


def test_the_statistics_of_the_checkpoint_may_be_kept(tmp_path):
    first = make_plan(train_settings(corrected(tmp_path / 'first')), TextNumbers())
    save_checkpoint(tmp_path / 'policy', first.info(1), build_network(first))
    other = corrected(tmp_path / 'other', driven='E' * 30)
    start = {'start.checkpoint': str(tmp_path / 'policy')}

    kept = source_of(other, **start, **{'start.statistics': 'checkpoint'})[0]
    fresh = source_of(other, **start)[0]

    assert kept.statistics == first.source.statistics != fresh.statistics
    with pytest.raises(UserError, match=r"action_normalization is 'mean_std' here and 'min_max' in the checkpoint"):
        source_of(other, **start, **{'start.statistics': 'checkpoint', 'policy.action_normalization': 'mean_std'})
    with pytest.raises(ValueError, match='none is given'):
        source_of(other, **{'start.statistics': 'checkpoint'})


def test_kept_statistics_are_not_replaced_by_the_limits(tmp_path):
    limits = {'policy.action_normalization': 'limits'}
    data = corrected(tmp_path / 'data')
    for name, changes in (('by_data', {}), ('by_limits', limits)):
        plan = make_plan(train_settings(data, **changes), TextNumbers())
        save_checkpoint(tmp_path / name, plan.info(1), build_network(plan))

    def kept(name):
        start = {'start.checkpoint': str(tmp_path / name), 'start.statistics': 'checkpoint'}
        return source_of(data, **start, **limits)[0].statistics

    with pytest.raises(UserError, match=r'number 0 of the actions by .* -2 to 2, .*by_data.* by 0\.03 to 0\.17: set'):
        kept('by_data')
    assert kept('by_limits').action.max == pytest.approx((2.0, 2.0))
