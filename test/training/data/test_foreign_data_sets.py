"""Data sets of other people: what is read all the same, and what is answered with a sentence."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.bags import START, demonstration, episode, write_bag
from support.contracts import ABSOLUTE_TEXT, DELTA_TEXT
from support.data_sets import make_data_set
from support.training_sets import camera_set, joints_set

from mode_ros.doctor.examine import examine
from mode_ros.errors import UserError
from mode_ros.training.data import layout
from mode_ros.training.data.convert import Conversion
from mode_ros.training.data.data_files import DataFiles
from mode_ros.training.data.dataset import open_dataset
from mode_ros.training.data.editing import edit
from mode_ros.training.data.episode_writer import Encoding
from mode_ros.training.data.inputs import find_recordings
from mode_ros.training.data.picture_shape import picture_size
from mode_ros.training.data.staging import Settings

POINTER = 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n'


def info(root, **changes):
    path = root / layout.INFO
    values = json.loads(path.read_text())
    values.update(changes)
    path.write_text(json.dumps(values))


def feature(root, key, **changes):
    features = json.loads((root / layout.INFO).read_text())['features']
    features[key].update(changes)
    info(root, features=features)


@pytest.fixture
def videos(tmp_path):
    return make_data_set(tmp_path / 'ours', ('push the block', 'open the drawer'), codec='h264')


@pytest.mark.parametrize(
    ('shape', 'names', 'size'),
    [
        ([48, 64, 3], ['height', 'width', 'channels'], (64, 48)),
        ([48, 64, 3], ['h', 'w', 'c'], (64, 48)),
        ([48, 64, 3], None, (64, 48)),
        ([3, 48, 64], None, (64, 48)),
        ([3, 48, 64], ['channels', 'height', 'width'], (64, 48)),
        ([3, 96, 96], ['c', 'h', 'w'], (96, 96)),
        ([3, 48, 64], ['height', 'width', 'channels'], (64, 48)),  # names that the shape contradicts
        ([1, 48, 64], None, (64, 48)),
        ([48, 64, 1], None, (64, 48)),
        ([48, 64], None, (64, 48)),
        ([48, 64, 3], {'axes': ['height', 'width', 'channel']}, (64, 48)),
        ([3, 64, 3], ['channel', 'height', 'width'], (3, 64)),
        ([1, 3, 48, 64], None, (64, 48)),  # a stack of one
        ([1, 48, 64, 3], ['time', 'height', 'width', 'channel'], (64, 48)),
        ([1, 3, 64, 3], ['t', 'c', 'h', 'w'], (3, 64)),
    ],
)
def test_the_size_of_a_picture(shape, names, size):
    assert picture_size({'shape': shape, 'names': names}) == size


@pytest.mark.parametrize('shape', [[7, 48, 64], [3], [1, 2, 3, 5], [2, 3, 48, 64], [4, 48, 64, 3], [1, 1, 3, 48, 64]])
def test_what_is_no_picture(tmp_path, shape):
    data = camera_set(tmp_path / 'data')
    feature(data, 'observation.images.static', shape=shape)
    with pytest.raises(UserError, match=r"camera 'static' of .*data cannot be used: a picture has the shape"):
        DataFiles(data)


@pytest.mark.parametrize('names', [None, ['channels', 'height', 'width']])
def test_channel_first_pictures_are_not_squashed(tmp_path, names):
    data = camera_set(tmp_path / 'data')
    plain = open_dataset(data, 4, cache=tmp_path / 'one').frames['static']
    feature(data, 'observation.images.static', shape=[3, 32, 32], names=names)
    frames = open_dataset(data, 4, cache=tmp_path / 'two').frames['static']
    assert frames.shape == plain.shape
    assert (frames == plain).all()


@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        ({'fps': 0}, 'says that it has 0 frames per second'),
        ({'fps': -5}, 'says that it has -5 frames'),
        ({'fps': None}, 'info.json cannot be read'),
        ({'video_path': None}, r"camera 'static' of .* is a video, but .* \(video_path is empty\)"),
    ],
)
def test_a_number_or_a_path_that_is_missing(videos, changes, expected):
    info(videos, **changes)
    with pytest.raises(UserError, match=expected):
        DataFiles(videos)


@pytest.mark.parametrize(
    ('gone', 'expected'),
    [
        ('meta/info.json', r'is no LeRobot data set: info\.json cannot be read \(.*meta/info\.json is missing\)'),
        ('meta/tasks.parquet', r'tasks of the data set .* cannot be read: .*meta/tasks\.parquet is missing\.'),
        ('data/chunk-000/file-000.parquet', r'file-000\.parquet cannot be read: .*file-000\.parquet is missing\.'),
    ],
)
def test_what_is_missing_is_said_in_words(videos, gone, expected):
    (videos / gone).unlink()
    with pytest.raises(UserError, match=expected) as caught:
        open_dataset(videos, 4)
    assert 'Errno' not in str(caught.value)
    assert 'errno' not in str(caught.value)


@pytest.mark.parametrize('which', ['meta/info.json', 'meta/episodes/chunk-000/file-000.parquet', 'data', 'videos'])
def test_a_pointer_of_git_lfs_is_named_as_what_it_is(videos, which):
    path = videos / which
    if path.is_dir():
        path = sorted(each for each in path.rglob('*') if each.is_file())[1]
    path.write_text(POINTER)
    with pytest.raises(UserError, match=r'is a Git LFS pointer, not the file itself \(1 such files .*git lfs pull'):
        DataFiles(videos)


def test_a_data_set_that_cannot_be_written_needs_a_cache_elsewhere(tmp_path):
    data = camera_set(tmp_path / 'data')
    (data / 'cache').write_text('in the way')  # as a read-only disk, also for root
    with pytest.raises(UserError, match=r'cannot be kept in .*data/cache .*data\.cache'):
        open_dataset(data, 4)
    assert open_dataset(data, 4, cache=tmp_path / 'elsewhere').frames['static'].shape[1:] == (32, 32, 3)


def test_an_episode_table_without_columns_of_videos(videos, tmp_path):
    plain = open_dataset(videos, 4, cache=tmp_path / 'one')
    path = videos / layout.EPISODES
    table = pq.read_table(path)
    pq.write_table(table.select([name for name in table.column_names if not name.startswith('videos/')]), path)
    assert (open_dataset(videos, 4, cache=tmp_path / 'two').frames['static'] == plain.frames['static']).all()
    for clip in sorted((videos / 'videos').rglob('*.mp4'))[1:]:
        clip.unlink()
    with pytest.raises(UserError, match=r'does not say where the pictures of observation\.images\.static in episode 1'):
        DataFiles(videos)


def test_an_unknown_camera_is_answered_with_the_near_one(tmp_path):
    data = camera_set(tmp_path / 'data')
    with pytest.raises(UserError, match=r"no camera 'statc', did you mean 'static'\?"):
        open_dataset(data, 4, cameras={'front': 'statc'})


def test_tasks_begin_anywhere_and_have_gaps(tmp_path):
    data = camera_set(tmp_path / 'data', tasks=('reach', 'push'))
    move_tasks(data, {0: 5, 1: 9})
    found = open_dataset(data, 4)
    assert [found.goal(frame) for frame in (0, 12)] == ['reach', 'push']


def test_a_stack_of_one_is_a_picture_and_one_of_more_is_named(tmp_path):
    data = camera_set(tmp_path / 'data')
    plain = open_dataset(data, 4, cache=tmp_path / 'one').frames['static']
    feature(data, 'observation.images.static', shape=[1, 3, 32, 32])
    assert (open_dataset(data, 4, cache=tmp_path / 'two').frames['static'] == plain).all()
    feature(data, 'observation.images.static', shape=[5, 3, 32, 32])
    with pytest.raises(UserError, match=r'the shape \[5, 3, 32, 32\], a stack of 5; a policy sees one at a time'):
        open_dataset(data, 4)


def test_tasks_in_no_order_and_counted_anew_by_an_edit(tmp_path):
    data = camera_set(tmp_path / 'data', tasks=('reach', 'push'))
    move_tasks(data, {0: 3, 1: 1})  # not even in their order
    found = open_dataset(data, 4)
    assert [found.goal(frame) for frame in (0, 12)] == ['reach', 'push']
    edit(data, drop=[0])
    left = open_dataset(data, 4)
    assert left.goal(0) == 'push'
    assert sorted(left.files.tasks) == list(range(len(left.files.tasks)))  # counted from 0 again


def test_recordings_are_not_added_where_somebody_else_counted_the_tasks(videos, tmp_path):
    move_tasks(videos, {0: 1, 1: 2})
    write_bag(tmp_path / 'more' / '0', demonstration(1.0, 'push the block', START + 10**15), custom=episode())
    settings = Settings(DELTA_TEXT, encoding=Encoding('h264'))
    with (
        pytest.raises(UserError, match=r'counts 1, 2, as no data set of mode_ros does: .* train on both'),
        Conversion(videos, settings, 'tester') as conversion,
    ):
        conversion.run(find_recordings([tmp_path / 'more'], 'auto'), 1, strict=True)
    assert open_dataset(videos, 4).goals == ['push the block', 'open the drawer']


def move_tasks(root, numbers):
    for path in [*(root / 'data').rglob('*.parquet'), root / layout.TASKS]:
        table = pq.read_table(path)
        moved = pa.array([numbers[number] for number in np.asarray(table['task_index']).tolist()])
        pq.write_table(table.set_column(table.column_names.index('task_index'), 'task_index', moved), path)


def in_one_file(root, order):
    """What lerobot's merging and deleting leave: several episodes in one file, gaps in the numbers of files, tasks that
    no frame is of, and no contract."""
    tables = {k: pq.read_table(path) for k, path in enumerate(sorted((root / 'data').rglob('*.parquet')))}
    for path in (root / 'data').rglob('*.parquet'):
        path.unlink()
    target = root / layout.DATA_PATH.format(chunk_index=0, file_index=3)
    pq.write_table(pa.concat_tables([tables[k] for k in order]), target)
    table = pq.read_table(root / layout.EPISODES)
    at = table.column_names.index('data/file_index')
    table = table.set_column(at, 'data/file_index', pa.array([3] * len(table)))
    pq.write_table(table, root / layout.EPISODES)
    tasks = pq.read_table(root / layout.TASKS)
    more = pa.table(
        {'task_index': [*tasks['task_index'].to_pylist(), 7], 'task': [*tasks['task'].to_pylist(), 'unused']}
    )
    pq.write_table(more, root / layout.TASKS)
    (root / layout.CONTRACT).unlink()


@pytest.mark.parametrize('order', [(0, 1, 2, 3), (2, 0, 3, 1)])
def test_many_episodes_in_one_file(tmp_path, order):
    data = camera_set(tmp_path / 'data')
    plain = open_dataset(data, 4, cache=tmp_path / 'one')
    in_one_file(data, order)
    found = open_dataset(data, 4, cache=tmp_path / 'two')
    assert (found.actions == plain.actions).all()
    assert (found.state == plain.state).all()
    assert (found.frames['static'] == plain.frames['static']).all()
    assert found.goals == plain.goals
    assert found.contract is None


def test_a_file_of_many_episodes_is_read_once(tmp_path, monkeypatch):
    data = camera_set(tmp_path / 'data', episodes=6)
    in_one_file(data, range(6))
    open_dataset(data, 4, cache=tmp_path / 'cache')  # the pictures
    read = []
    plain = pq.read_table

    def counted(path, *args, **more):
        read.append(str(path))
        return plain(path, *args, **more)

    monkeypatch.setattr('mode_ros.training.data.data_files.pq.read_table', counted)
    open_dataset(data, 4, cache=tmp_path / 'cache')
    assert sum('data/chunk' in path for path in read) == 1


def column(values):
    """Every episode's actions in other ones' place."""

    def bend(root):
        for path in (root / 'data').rglob('*.parquet'):
            table = pq.read_table(path)
            at = table.column_names.index('action')
            pq.write_table(table.set_column(at, 'action', pa.array([values] * len(table))), path)

    return bend


def tasks(**columns):
    return lambda root: pq.write_table(pa.table(columns), root / layout.TASKS)


def episodes(change):
    def bend(root):
        rows = pq.read_table(root / layout.EPISODES)
        pq.write_table(pa.Table.from_pylist(change(rows.to_pylist()), schema=rows.schema), root / layout.EPISODES)

    return bend


def written(name, text):
    return lambda root: (root / name).write_bytes(text)


def gone(key, name):
    def bend(root):
        features = json.loads((root / layout.INFO).read_text())['features']
        del (features[key] if name else features)[name or key]
        info(root, features=features)

    return bend


@pytest.mark.parametrize(
    ('bend', 'expected'),
    [
        (lambda r: info(r, features=None), r'described wrongly in meta/info\.json: its features are None'),
        (lambda r: info(r, features=['action']), r"its features are \['action'\], not columns by name"),
        (lambda r: info(r, data_path=None), 'lacks a part or has a damaged one'),
        (lambda r: info(r, fps='ten'), 'is no LeRobot data set: info'),
        (gone('observation.state', 'dtype'), r"the feature 'observation\.state' is .* and has no dtype"),
        (gone('observation.state', 'shape'), r"'observation\.state' has the shape None, and a list of numbers has one"),
        (lambda r: feature(r, 'observation.state', shape=[]), r'has the shape \[\]'),
        (lambda r: feature(r, 'observation.state', shape=[3]), r'state of episode 0 .* has 2 numbers .* says 3'),
        (lambda r: feature(r, 'action', shape=[5]), r'action of episode 0 .* has 2 numbers in a frame, .* says 5'),
        (lambda r: feature(r, 'action', shape=[2, 2]), r"'action' has the shape \[2, 2\]"),
        (gone('task_index', ''), "no column 'task_index', so that nobody knows"),
        (column([[1.0, 2.0]]), 'are not as many numbers in every frame'),
        (column(['a', 'b']), 'are not as many numbers in every frame'),
        (column(1.0), r'action of episode 0 .* has 1 numbers in a frame, .* says 2'),
        (column([1e300, 0.0]), 'has numbers that are not finite, as number 0 of frame '),
        (column([1.0, None]), 'has numbers that are not finite, as number 1 of frame '),
        (tasks(task_index=[0, 0, 1], task=['reach', 'grasp', 'push']), "two tasks .* 0, 'reach' and 'grasp'"),
        (tasks(task_index=[0, 1], task=['reach', None]), 'Task 1 of the data set .* is None: name it in words'),
        (tasks(task_index=[0, 1], task=[5, 6]), 'Task 0 of the data set .* is 5: name it in words'),
        (tasks(task_index=[0, 1]), 'has no column with the tasks'),
        (episodes(lambda rows: [*rows, rows[0]]), 'lists episode 0 twice in its episode table'),
        (episodes(lambda rows: []), 'has no episode'),
        (episodes(lambda rows: [rows[0] | {'length': -3}, *rows[1:]]), 'has 12 rows of episode 0, and should have -3'),
        (written(layout.EXTRAS, b'[]'), r'mode_ros\.json is damaged: it holds \[\]'),
        (written(layout.EXTRAS, b'{"state_streams": {"joints": 7}}'), r"the streams \{'joints': 7\}, and .* 2 numbers"),
        (written(layout.EXTRAS, b'{"state_streams": "joints"}'), "the streams 'joints'"),
        (written(layout.CONTRACT, b'\xff\xfe'), 'cannot be read: it is not UTF-8 text'),
        (written(layout.INFO, b'[]'), 'is no LeRobot data set'),
    ],
)  # fmt: skip
def test_a_data_set_that_contradicts_itself_is_told_in_a_sentence(tmp_path, bend, expected):
    data = joints_set(tmp_path / 'data', contract=None, episodes=3)
    (tmp_path / 'robot.yaml').write_text(ABSOLUTE_TEXT)
    bend(data)
    for use in (lambda: open_dataset(data, 4), lambda: examine(str(data), str(tmp_path / 'robot.yaml'))):
        with pytest.raises(UserError, match=expected) as caught:
            use()
        assert '\n' not in str(caught.value)


def test_what_does_not_fit_its_contract_is_found(tmp_path):
    data = joints_set(tmp_path / 'data', contract=None, episodes=3, fps=30)
    info(data, total_episodes=7)
    tasks(task_index=[0, 1], task=['reach', ' '])(data)
    (tmp_path / 'robot.yaml').write_text(ABSOLUTE_TEXT)
    lines = ' '.join(map(str, examine(str(data), str(tmp_path / 'robot.yaml')).findings))
    assert 'has 30 frames per second, and its contract 10 Hz' in lines
    assert 'says that it has 7 episodes, and its episode table lists 3' in lines
    assert 'task 1 has no words' in lines
    (tmp_path / 'other.yaml').write_text(DELTA_TEXT)
    lines = ' '.join(map(str, examine(str(data), str(tmp_path / 'other.yaml')).findings))
    assert 'its actions have 2 numbers, and its contract 4' in lines
