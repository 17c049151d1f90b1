"""What a trainer is given: samples, chunks, padding, statistics, and pictures from the cache."""

import json
import os
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from support.bags import picture
from support.data_sets import make_data_set

from mode_ros.control.images import fit
from mode_ros.errors import UserError
from mode_ros.policy.normalization import build_state_normalizer
from mode_ros.training.data.dataset import open_dataset
from mode_ros.training.data.frame_cache import FrameCache
from mode_ros.training.data.mixture import embodiment_statistics, load_mixture_config, open_mixture

GOALS = ('push the block', 'pull the block')


@pytest.fixture(scope='module')
def data_set(tmp_path_factory):
    return make_data_set(tmp_path_factory.mktemp('made'), GOALS)


@pytest.fixture
def copy(data_set, tmp_path):
    """A data set that may be damaged."""
    return shutil.copytree(data_set, tmp_path / 'copy', ignore=shutil.ignore_patterns('cache'))


def test_a_chunk_begins_at_its_observation_and_ends_with_its_episode(data_set):
    data = open_dataset(data_set, 5)
    assert len(data) == 39 + 59
    assert not data[34].padding.any()
    assert data[35].padding.tolist() == [False, False, False, False, True]
    assert data[38].padding.tolist() == [False, True, True, True, True]
    assert not data[39].padding.any()
    assert (data[10].actions == data.actions[10:15]).all()
    assert (data[36].actions[:3] == data.actions[36:39]).all()


def test_padding_stands_still(data_set):
    sample = open_dataset(data_set, 4)[38]
    assert (sample.actions[1:, :3] == 0).all()  # displacements
    assert (sample.actions[:, 3] == sample.actions[0, 3]).all()  # the gripper's target stays


def test_goals_and_pictures_are_those_of_the_frame(data_set):
    data = open_dataset(data_set, 2)
    assert [data.goal(index) for index in (0, 38, 39, 97)] == [GOALS[0], GOALS[0], GOALS[1], GOALS[1]]
    assert (data[39 + 12].images['static'] == picture(12)).all()


def test_a_batch_is_its_samples(data_set):
    data = open_dataset(data_set, 6)
    indices = [97, 3, 37, 3]
    batch = data.batch(indices)
    for row, index in enumerate(indices):
        sample = data[index]
        assert (batch.images['static'][row] == sample.images['static']).all()
        assert (batch.state[row] == sample.state).all()
        assert (batch.actions[row] == sample.actions).all()
        assert (batch.padding[row] == sample.padding).all()
        assert batch.goal[row] == sample.goal
    with pytest.raises(IndexError):
        data[98]


def test_pictures_are_resized_as_everywhere(data_set, tmp_path):
    data = open_dataset(data_set, 2, size=(16, 12), cache=tmp_path / 'cache')
    assert (data.frames['static'][5] == fit(picture(5), 16, 12)).all()


def test_cameras_may_be_renamed_and_left_out(data_set):
    assert open_dataset(data_set, 2, cameras={'front': 'static'}).cameras == ['front']
    assert open_dataset(data_set, 2, cameras={}).cameras == []
    with pytest.raises(UserError, match="no camera 'wrist'; it has \\['static'\\]"):
        open_dataset(data_set, 2, cameras={'wrist': 'wrist'})


def test_the_contract_travels_with_the_data(data_set):
    data = open_dataset(data_set, 2)
    assert data.contract is not None
    assert data.contract.robot == 'tester'
    assert data.streams == {'joints': 2}


def test_the_cache_is_filled_once(copy, monkeypatch):
    open_dataset(copy, 2)
    monkeypatch.setattr(FrameCache, '_decode', None)
    assert (open_dataset(copy, 2).frames['static'][3] == picture(3)).all()


def test_an_interrupted_cache_goes_on(copy, monkeypatch):
    real, seen = FrameCache._decode, []

    def once(self, number, frames):
        seen.append(number)
        if number == 1 and seen.count(1) == 1:
            raise KeyboardInterrupt
        return real(self, number, frames)

    monkeypatch.setattr(FrameCache, '_decode', once)
    with pytest.raises(KeyboardInterrupt):
        open_dataset(copy, 2, jobs=1)
    data = open_dataset(copy, 2, jobs=1)
    assert seen == [0, 1, 1]
    assert (data.frames['static'][39 + 5] == picture(5)).all()


def test_pictures_are_on_the_disk_before_the_index_says_so(copy, monkeypatch):
    """Else a power cut between the two leaves black pictures that count as decoded."""
    happened, flush, write_index, decode = [], np.memmap.flush, FrameCache._write_index, FrameCache._decode

    def flushed(frames):
        happened.append('flush')
        flush(frames)

    def indexed(self, done):
        happened.append(f'index of {len(done)}')
        write_index(self, done)

    def decoded(self, number, frames):
        happened.append('decode')
        return decode(self, number, frames)

    monkeypatch.setattr(np.memmap, 'flush', flushed)
    monkeypatch.setattr(FrameCache, '_write_index', indexed)
    monkeypatch.setattr(FrameCache, '_decode', decoded)
    monkeypatch.setattr('mode_ros.training.data.frame_cache._INDEX_SECONDS', -1.0)
    open_dataset(copy, 2, jobs=1)
    indices = [number for number, each in enumerate(happened) if each.startswith('index')]
    assert [happened[number] for number in indices] == ['index of 1', 'index of 2', 'index of 2']
    assert all(happened[number - 1] == 'flush' for number in indices)


def test_a_replaced_video_is_decoded_again(copy):
    open_dataset(copy, 2)
    path = copy / 'data/chunk-000/file-000.parquet'
    os.utime(path, ns=(1, 1))
    index = json.loads((copy / 'cache' / 'static-32x32.json').read_text())
    open_dataset(copy, 2)
    assert json.loads((copy / 'cache' / 'static-32x32.json').read_text()) != index


def drop_rows(path):
    table = pq.read_table(path)
    pq.write_table(table.slice(0, 20), path)


@pytest.mark.parametrize(
    ('damage', 'expected'),
    [
        (lambda root: (root / 'meta/info.json').unlink(), 'is no LeRobot data set'),
        (lambda root: (root / 'meta/info.json').write_text('{'), 'is no LeRobot data set'),
        (lambda root: shutil.rmtree(root / 'meta/episodes'), 'has no episode'),
        (lambda root: (root / 'meta/tasks.parquet').unlink(), 'The tasks of the data set'),
        (lambda root: (root / 'meta/mode_ros.json').write_text('{'), 'mode_ros.json is damaged'),
        (lambda root: (root / 'data/chunk-000/file-001.parquet').unlink(), 'file-001.parquet'),
        (lambda root: drop_rows(root / 'data/chunk-000/file-000.parquet'), 'has 20 rows of episode 0'),
        (lambda root: (root / 'data/chunk-000/file-000.parquet').write_bytes(b'PAR1'), 'cannot be read'),
    ],
)
def test_a_damaged_data_set_is_named(copy, damage, expected):
    damage(copy)
    with pytest.raises(UserError, match=expected):
        open_dataset(copy, 2).batch([0])


def test_an_unknown_version_is_refused(copy):
    info = json.loads((copy / 'meta/info.json').read_text())
    (copy / 'meta/info.json').write_text(json.dumps({**info, 'codebase_version': 'v1.6'}))
    with pytest.raises(UserError, match=r'has the LeRobot version v1\.6; versions 2\.1 and 3\.0 are read'):
        open_dataset(copy, 2)


def test_a_short_video_is_named(tmp_path):
    data_set = make_data_set(tmp_path, codec='h264')
    episodes = data_set / 'meta/episodes/chunk-000/file-000.parquet'
    (video,) = data_set.rglob('*.mp4')
    short = make_data_set(tmp_path / 'short', seconds=1.0, codec='h264')
    shutil.copy(next(short.rglob('*.mp4')), video)
    assert pq.read_table(episodes)['length'].to_pylist() == [39]
    with pytest.raises(UserError, match='ends after 19 of 39 pictures'):
        open_dataset(data_set, 2)
    video.write_bytes(b'')
    with pytest.raises(UserError, match='cannot be decoded'):
        open_dataset(data_set, 2)


def old_layout(new, root):
    """The same data set as LeRobot's version 2.1 has it: a file per episode, and lines of JSON."""
    (root / 'meta').mkdir(parents=True)
    info = json.loads((new / 'meta/info.json').read_text())
    info |= {
        'codebase_version': 'v2.1',
        'data_path': 'data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet',
        'video_path': 'videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4',
    }
    (root / 'meta/info.json').write_text(json.dumps(info))
    rows = pq.read_table(new / 'meta/episodes/chunk-000/file-000.parquet').to_pylist()
    lines = [{name: row[name] for name in ('episode_index', 'tasks', 'length')} for row in rows]
    (root / 'meta/episodes.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    tasks = [{'task_index': k, 'task': goal} for k, goal in enumerate(GOALS)]
    (root / 'meta/tasks.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in tasks))
    for row in rows:
        index = row['episode_index']
        for source, target in (
            (f'data/chunk-000/file-{index:03d}.parquet', f'data/chunk-000/episode_{index:06d}.parquet'),
            (
                f'videos/observation.images.static/chunk-000/file-{index:03d}.mp4',
                f'videos/chunk-000/observation.images.static/episode_{index:06d}.mp4',
            ),
        ):
            (root / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(new / source, root / target)
    return root


def test_version_2_1_is_read_as_version_3(tmp_path):
    new = make_data_set(tmp_path, GOALS, codec='h264')
    ours, theirs = open_dataset(new, 4), open_dataset(old_layout(new, tmp_path / 'old'), 4)
    assert (ours.frames['static'] == theirs.frames['static']).all()
    assert (ours.actions == theirs.actions).all()
    assert (ours.state == theirs.state).all()
    assert [ours.goal(k) for k in (0, 50)] == [theirs.goal(k) for k in (0, 50)]
    assert theirs.contract is None
    assert theirs.streams == {'state': 2}


def mixture(tmp_path, data_set, text):
    path = tmp_path / 'mixture.yaml'
    path.write_text(text.format(path=data_set))
    return path


TWO = """
datasets:
  - {{path: {path}, weight: 3.0}}
  - {{path: other/data, weight: 1.0}}
"""


@pytest.fixture
def two(data_set, tmp_path):
    """A mixture of two data sets, the second with other values: its joints move faster."""
    make_data_set(tmp_path / 'other', seconds=6.0)
    return open_mixture(mixture(tmp_path, data_set, TWO), 4, cache=tmp_path / 'cache')


def shown(mixed):
    """Each data set's states in the network's numbers."""
    found = embodiment_statistics(mixed.datasets, mixed.weights.tolist(), mixed.embodiments)
    return [
        build_state_normalizer(found[name].state, tuple(data.streams), 'mean_std').normalize(data.state)
        for data, name in zip(mixed.datasets, mixed.embodiments, strict=True)
    ]


def test_data_sets_of_one_robot_are_normalised_as_one(two):
    first, second = shown(two)
    mean = 0.75 * first.mean(0) + 0.25 * second.mean(0)
    square = 0.75 * (first**2).mean(0) + 0.25 * (second**2).mean(0)
    assert mean == pytest.approx([0, 0], abs=1e-5)
    assert square == pytest.approx([1, 1], abs=1e-5)
    assert first.std() < 0.8 * second.std()  # the second one's joints move faster, and still do


def test_another_embodiment_is_normalised_by_its_own_statistics(data_set, tmp_path):
    make_data_set(tmp_path / 'other', seconds=6.0)
    text = TWO.replace('weight: 1.0', 'weight: 1.0, embodiment: other')
    both = open_mixture(mixture(tmp_path, data_set, text), 4, cache=tmp_path / 'cache')
    for every in shown(both):
        assert every.mean(0) == pytest.approx([0, 0], abs=1e-5)
        assert every.std(0) == pytest.approx([1, 1], abs=1e-5)


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('datasets: []', 'datasets'),
        ('datasets: [{path: a, weight: -1}]', 'weight'),
        ('datasets: [{path: a, wieght: 1}]', 'datasets.0.wieght: unknown key, did you mean weight'),
        ('datasets: [{path: a, embodiment: x}]', 'every data set is of another embodiment'),
        ('datasets: [{path: a, contract: b.yaml}]', 'contract is for data of another embodiment'),
        ('datasets: [{path: a}]\ndatasets: [{path: b}]', 'written twice'),
        ('datasets: [', 'not valid YAML'),
        ('[]', 'must be a YAML mapping'),
    ],
)
def test_a_wrong_mixture_is_named(tmp_path, text, expected):
    path = tmp_path / 'mixture.yaml'
    path.write_text(text)
    with pytest.raises(UserError, match=expected) as caught:
        load_mixture_config(path)
    assert 'mixture.yaml' in str(caught.value)


def test_data_sets_that_differ_cannot_be_mixed(data_set, tmp_path):
    text = 'datasets: [{{path: {path}}}, {{path: {path}, cameras: {{front: static}}}}]'
    with pytest.raises(UserError, match='cannot be mixed: the cameras are'):
        open_mixture(mixture(tmp_path, data_set, text), 4)
