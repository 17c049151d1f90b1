"""What a step is shown: which moments, how their pictures are shifted, which goals are dropped, what is held out."""

import numpy as np
import pytest
import torch
from support.contracts import DELTA_TEXT
from support.training_sets import TextNumbers, camera_set, joints_set, train_settings

from mode_ros.errors import UserError
from mode_ros.training.batches import _dealt, ahead
from mode_ros.training.pictures import shift_images
from mode_ros.training.plan import make_plan
from mode_ros.training.selection import held_out_episodes
from mode_ros.training.settings import DataSettings, LossSettings

TWO_CAMERAS = DELTA_TEXT.replace(
    '  states:',
    '    - {name: wrist, topic: wrist/image, width: 224, height: 224, max_age: 0.3}\n  states:',
).replace('static/image, width: 32, height: 32', 'static/image, width: 224, height: 224')


@pytest.fixture(scope='module')
def joints(tmp_path_factory):
    return joints_set(tmp_path_factory.mktemp('joints') / 'data', episodes=8)


def source_of(data, **changes):
    settings = train_settings(data, **changes)
    return make_plan(settings, TextNumbers()).source, settings


def test_a_goal_is_dropped_for_single_samples(joints):
    source, _ = source_of(joints)
    batch = source.batch(0, 4000, slice(0, 4000), LossSettings(goal_dropout=0.1, goal_dropped='whole'))
    dropped = (batch.goal == 0).all(-1)
    assert float(dropped.float().mean()) == pytest.approx(0.1, abs=0.02)
    assert torch.equal(dropped, ~batch.draws.goal_kept[:, 0])
    assert torch.equal(batch.goal, batch.kept_goal)
    known = set(map(tuple, TextNumbers().encode(['reach', 'push']).tolist()))
    assert set(map(tuple, batch.goal[~dropped].tolist())) == known
    none = source.batch(0, 100, slice(0, 100), LossSettings(goal_dropout=0.0))
    assert not (none.goal == 0).all(-1).any()


def test_single_numbers_of_a_goal_are_dropped_for_the_denoiser_alone(joints):
    source, _ = source_of(joints)
    batch = source.batch(0, 400, slice(0, 400), LossSettings(goal_dropout=0.1))
    known = set(map(tuple, TextNumbers().encode(['reach', 'push']).tolist()))
    assert set(map(tuple, batch.goal.tolist())) == known
    dropped = batch.kept_goal == 0
    assert float(dropped.float().mean()) == pytest.approx(0.1, abs=0.01)
    assert torch.equal(batch.kept_goal[~dropped], batch.goal[~dropped]), 'not rescaled'
    assert not dropped.all(-1).any()
    assert torch.equal(source.moments(batch.moments[:8], LossSettings()).kept_goal, batch.goal[:8])


@pytest.mark.parametrize(('draws', 'tokens'), [('token', 7), ('sample', None)])
def test_experts_are_drawn_for_each_token_or_for_a_sample(joints, draws, tokens):
    source, _ = source_of(joints)
    found = source.batch(0, 6, slice(2, 5), LossSettings(draws=draws)).draws.experts
    # A noise, a goal, a state and four action tokens.
    assert list(found.shape) == [2, 3, *([tokens] if tokens else []), 4]


def test_the_end_of_an_episode_is_held_repeated_or_left_out(tmp_path):
    data = camera_set(tmp_path / 'data', 4, 6)
    for padding in ('hold', 'mask', 'repeat', 'none'):
        source, settings = source_of(data, **{'loss.padding': padding})
        batch = source.batch(0, 200, slice(0, 200), settings.loss)
        actions, padded = source.action_units(batch.moments, batch.actions), batch.padding.numpy()
        assert padded.any() == (padding != 'none')
        moves = source.datasets[0]._delta
        for chunk, ended in zip(actions, padded, strict=True):
            last = chunk[~ended][-1]
            expected = last if padding == 'repeat' else np.where(moves, 0, last)
            assert chunk[ended] == pytest.approx(np.broadcast_to(expected, chunk[ended].shape), abs=1e-6)
    assert any(moment[1] % 6 > 2 for moment in source.validation(100)), 'held-out ends are judged all the same'


def test_actions_may_stay_as_they_are_or_be_scaled_by_the_limits(tmp_path):
    data = camera_set(tmp_path / 'data', 4, 6)
    raw, settings = source_of(data, **{'policy.action_normalization': 'none'})
    batch = raw.batch(0, 8, slice(0, 8), settings.loss)
    expected = raw.datasets[0].batch([frame for _, frame in batch.moments]).actions
    assert batch.actions.numpy() == pytest.approx(expected)
    plan = make_plan(train_settings(data, **{'policy.action_normalization': 'limits'}), TextNumbers())
    scaled = plan.source.batch(0, 8, slice(0, 8), settings.loss).actions.numpy()
    upper = np.array([dimension.upper for dimension in plan.contract.dimensions])
    lower = np.array([dimension.lower for dimension in plan.contract.dimensions])
    assert scaled == pytest.approx((expected - (lower + upper) / 2) / ((upper - lower) / 2), abs=1e-5)
    assert plan.info(1).statistics.action.max == pytest.approx(upper), 'what the policy comes back from them with'


def test_pictures_may_have_another_size_for_the_network(tmp_path):
    data = camera_set(tmp_path / 'data', 2, 6)
    source, settings = source_of(data, **{'policy.image_sizes': {'static': 48}})
    assert source.batch(0, 4, slice(0, 4), settings.loss).images[0].shape == (4, 3, 48, 48)
    with pytest.raises(UserError, match=r"image_sizes names 'wrist', but the robot .* has the cameras \['static'\]"):
        source_of(data, **{'policy.image_sizes': {'wrist': 48}})


def test_a_shift_is_a_share_or_in_pixels():
    settings = DataSettings(path='x', shift={'wrist': 4, 'static': 0.25})
    assert settings.shift_in_pixels('wrist', 112) == 4
    assert settings.shift_in_pixels('static', 112) == 28
    assert settings.shift_in_pixels('other', 224) == 10


def test_the_goal_is_that_of_the_moment(joints):
    source, _ = source_of(joints)
    batch = source.batch(3, 64, slice(0, 64), LossSettings(goal_dropout=0.0))
    data = source.datasets[0]
    expected = TextNumbers().encode([data.goal(frame) for _, frame in batch.moments])
    assert torch.equal(batch.goal, expected)


def test_a_batch_is_decided_by_seed_and_step(joints):
    source, _ = source_of(joints)
    loss = LossSettings()
    whole, again, other = (source.batch(step, 16, slice(0, 16), loss) for step in (5, 5, 6))
    assert whole.moments == again.moments
    assert torch.equal(whole.draws.noise, again.draws.noise)
    assert whole.moments != other.moments
    part = source.batch(5, 16, slice(4, 8), loss)
    assert part.moments == whole.moments[4:8]
    assert torch.equal(part.actions, whole.actions[4:8])
    assert torch.equal(part.draws.sigma, whole.draws.sigma[4:8])
    assert torch.equal(part.draws.experts, whole.draws.experts[:, 4:8])
    another, _ = source_of(joints, **{'run.seed': 1})
    assert another.batch(5, 16, slice(0, 16), loss).moments != whole.moments


def test_batches_made_ahead_are_the_same(joints):
    source, _ = source_of(joints)
    parts = [(step, slice(start, start + 4)) for step in range(3) for start in (0, 4)]
    found = list(ahead(source, iter(parts), 8, LossSettings()))
    assert [each.moments for each in found] == [source.batch(s, 8, r, LossSettings()).moments for s, r in parts]


def test_an_error_in_a_batch_made_ahead_arrives(joints, monkeypatch):
    source, _ = source_of(joints)
    monkeypatch.setattr(source, '_assemble', lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(ahead(source, iter([(0, slice(0, 4))]), 4, LossSettings()))


def test_a_shift_repeats_the_edge():
    images = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    found = shift_images(images, np.array([[1, -2], [0, 0]]))
    assert (found[1] == images[1]).all()
    for row in range(4):
        for column in range(5):
            assert (found[0, row, column] == images[0, min(row + 1, 3), max(column - 2, 0)]).all()


def test_shifts_are_four_pixels_at_the_wrist_and_ten_elsewhere_of_224(tmp_path):
    ramp = np.broadcast_to(np.arange(224, dtype=np.uint8)[None, :, None], (224, 224, 3))  # a column shows its number
    data = camera_set(
        tmp_path / 'data', 2, 6, contract=TWO_CAMERAS, cameras=('static', 'wrist'), draw=lambda number: ramp
    )
    source, _ = source_of(data)
    batch = source.batch(0, 400, slice(0, 400), LossSettings())
    for images, largest in zip(batch.images, (10, 4), strict=True):
        middle = images[:, 0, 112, 112].numpy().astype(int) - 112
        assert set(middle.tolist()) == set(range(-largest, largest + 1))
    still = source.moments(batch.moments[:8], LossSettings())
    assert (still.images[0][:, 0, 112, 112] == 112).all()
    assert not (still.goal == 0).all(-1).any()


@pytest.mark.parametrize('share', [0.05, 0.1, 0.5, 0.9])
def test_whole_episodes_of_every_task_are_held_out(share):
    tasks = [0] * 2 + [1] * 10 + [2] + [3] * 40
    held = held_out_episodes(tasks, share, seed=3)
    for task, count in ((0, 2), (1, 10), (3, 40)):
        of_task = held[np.array(tasks) == task]
        assert 1 <= of_task.sum() <= count - 1
        assert abs(of_task.sum() - share * count) <= 1
    assert not held[12]  # a single one is learnt from
    assert (held == held_out_episodes(tasks, share, seed=3)).all()
    assert not held_out_episodes(tasks, 0.0, seed=3).any()


def test_no_episode_is_learnt_from_and_held_out(joints):
    source, _ = source_of(joints, **{'data.validation_share': 0.3})
    data = source.datasets[0]

    def episodes(moments):
        return {int(np.searchsorted(data.episode_starts, frame, side='right')) - 1 for _, frame in moments}

    held = episodes(source.validation(1000))
    learnt = episodes(source.batch(0, 2000, slice(0, 2000), LossSettings()).moments)
    assert held == set(np.flatnonzero(source.held_out[0]))
    assert learnt == set(range(8)) - held
    assert {data.goal(frame) for _, frame in source.validation(1000)} == {'reach', 'push'}


def test_validation_takes_no_more_moments_than_asked(tmp_path):
    data = joints_set(tmp_path / 'data', episodes=20, tasks=[f'task {k}' for k in range(10)])
    source, _ = source_of(data)
    assert len(source.validation(4)) == 4
    assert len(source.validation(20)) == 20
    assert source.validation(20) == source.validation(20)


def test_validation_looks_into_episodes_and_takes_all_that_it_may(tmp_path):
    data = joints_set(tmp_path / 'data', episodes=20, tasks=[f'task {k}' for k in range(10)])
    source, _ = source_of(data)
    assert {frame % 12 for _, frame in source.validation(10)} == {6}
    assert {frame % 12 for _, frame in source.validation(4)} == {6}
    assert len(set(source.validation(25))) == 25
    assert len(set(source.validation(1000))) == 10 * 12


def test_a_task_with_few_moments_leaves_its_share_to_others():
    assert _dealt(20, [2, 30, 9]) == [2, 9, 9]
    assert _dealt(11, [30, 30, 30]) == [3, 4, 4]
