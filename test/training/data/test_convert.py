"""The verb: every kind of bag in, a data set out; interrupted, added to, and never half-written."""

import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml
from support.bags import (
    DELTA_TEXT,
    START,
    Item,
    changed,
    compressed,
    demonstration,
    episode,
    flag,
    picture,
    text,
    write_bag,
)

from mode_ros.training.data.assembly import swap
from mode_ros.training.data.dataset import open_dataset


def values(data_set):
    return open_dataset(data_set, 4)


def test_a_data_set_holds_what_was_recorded(convert, tmp_path):
    write_bag(tmp_path / 'bag', demonstration(2.0), custom=episode(success=True))
    status, printed = convert(tmp_path / 'bag', tmp_path / 'data', '--codec', 'png')
    assert status == 0, printed
    data = values(tmp_path / 'data')
    assert len(data) == 39
    assert data.goals == ['push the block']
    for k in (0, 17, 38):
        sample = data[k]
        assert (sample.images['static'] == picture(k)).all()
        assert sample.actions[0] == pytest.approx([0.001 * (k % 20), 0, -0.01, 1.0 if k % 40 < 20 else -1.0])
        newest = (k * 50) // 20  # joints come every 20 ms
        assert sample.state == pytest.approx([-newest / 100, newest / 100])  # a, b


@pytest.mark.parametrize(
    'options',
    [
        {'storage': 'sqlite3'},
        {'storage': 'sqlite3', 'version': 8},
        {'compression': 'storage'},
        {'compression': 'message'},
        {'storage': 'sqlite3', 'compression': 'message'},
        {'compression': 'file'},
        {'storage': 'sqlite3', 'compression': 'file'},
    ],
    ids=str,
)
def test_every_kind_of_bag_gives_the_same(convert, tmp_path, options):
    write_bag(tmp_path / 'plain', demonstration(1.0), custom=episode())
    write_bag(tmp_path / 'other', demonstration(1.0), custom=episode(), **options)
    for name in ('plain', 'other'):
        assert convert(tmp_path / name, tmp_path / f'{name}_data', '--codec', 'png')[0] == 0
    ours, theirs = (values(tmp_path / f'{name}_data') for name in ('plain', 'other'))
    assert (ours.actions == theirs.actions).all()
    assert (ours.state == theirs.state).all()
    assert (ours.frames['static'] == theirs.frames['static']).all()


def split(tmp_path, items, storage):
    """One bag in two files, as `ros2 bag record --max-bag-size` leaves it."""
    half = len(items) // 2
    first = write_bag(tmp_path / 'split', items[:half], custom=episode(), storage=storage)
    second = write_bag(tmp_path / 'second', items[half:], storage=storage)
    suffix = {'mcap': 'mcap', 'sqlite3': 'db3'}[storage]
    (second / f'second.{suffix}').rename(first / f'split_1.{suffix}')
    documents = [yaml.safe_load((folder / 'metadata.yaml').read_text()) for folder in (first, second)]
    ours, theirs = (document['rosbag2_bagfile_information'] for document in documents)
    ours['relative_file_paths'].append(f'split_1.{suffix}')
    ours['message_count'] += theirs['message_count']
    ours['duration']['nanoseconds'] = items[-1].received - items[0].received
    counts = {topic['topic_metadata']['name']: topic['message_count'] for topic in theirs['topics_with_message_count']}
    for topic in ours['topics_with_message_count']:
        topic['message_count'] += counts.get(topic['topic_metadata']['name'], 0)
    (first / 'metadata.yaml').write_text(yaml.safe_dump(documents[0]))
    shutil.rmtree(second)
    return first


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_bag_in_several_files(convert, tmp_path, storage):
    status, printed = convert(split(tmp_path, demonstration(2.0), storage), tmp_path / 'data')
    assert status == 0, printed
    assert len(values(tmp_path / 'data')) == 39


def test_a_bag_in_several_files_of_which_the_last_is_torn(convert, tmp_path):
    items = demonstration(20.0)
    last = split(tmp_path, items, 'mcap') / 'split_1.mcap'
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    status, printed = convert(tmp_path / 'split', tmp_path / 'data')
    assert status == 3, printed
    assert f' of {len(items)} messages could be read, ' in printed
    assert 'left out: split: the end of split_1.mcap is missing; ' in printed
    assert 250 < len(values(tmp_path / 'data')) < 350  # three quarters of 400


@pytest.mark.parametrize('suffix', ['mcap', 'db3'])
def test_a_single_file_without_metadata(convert, tmp_path, suffix):
    storage = {'mcap': 'mcap', 'db3': 'sqlite3'}[suffix]
    write_bag(tmp_path / 'bag', demonstration(1.0), storage=storage)
    (tmp_path / 'contract.yaml').write_text(DELTA_TEXT)
    options = ['--contract', tmp_path / 'contract.yaml']
    assert convert(tmp_path / 'bag' / f'bag.{suffix}', tmp_path / 'data', *options)[0] == 0
    assert len(values(tmp_path / 'data')) == 19


def test_a_bag_of_ros2_bag_record_in_a_namespace(convert, tmp_path):
    items = demonstration(1.0, goal='open the drawer')
    for item in items:
        item.topic = '/left' + item.topic
    write_bag(tmp_path / 'bag', items, storage='sqlite3', version=8)
    (tmp_path / 'contract.yaml').write_text(DELTA_TEXT)
    assert convert(tmp_path / 'bag', tmp_path / 'data', '--contract', tmp_path / 'contract.yaml')[0] == 0
    assert values(tmp_path / 'data').goals == ['open the drawer']


def test_a_given_goal_takes_the_recorded_ones_place(convert, tmp_path):
    write_bag(tmp_path / 'bag', demonstration(1.0), custom=episode())
    assert convert(tmp_path / 'bag', tmp_path / 'data', '--goal', 'another')[0] == 0
    assert values(tmp_path / 'data').goals == ['another']


def test_a_new_goal_begins_a_new_episode(convert, tmp_path, report):
    items = demonstration(3.0, goal='first')
    items.append(Item('/goal', text('second'), START + 1_510_000_000))
    write_bag(tmp_path / 'bag', sorted(items, key=lambda item: item.received))
    (tmp_path / 'contract.yaml').write_text(DELTA_TEXT)
    assert convert(tmp_path / 'bag', tmp_path / 'data', '--contract', tmp_path / 'contract.yaml')[0] == 0
    parts = report(tmp_path / 'data')['episodes']
    assert [(part['goal'], part['length']) for part in parts] == [('first', 31), ('second', 28)]


def test_compressed_images(convert, tmp_path):
    jpeg_text = DELTA_TEXT.replace('topic: static/image,', 'topic: static/image, transport: compressed,')
    custom = type(episode())(contract_text=jpeg_text, goal='push')

    def encode(k, item):
        item.message = compressed(START + k * 50_000_000, picture(k), extension='.png')
        return item

    write_bag(tmp_path / 'bag', changed(demonstration(1.0), '/static/image', encode), custom=custom)
    assert convert(tmp_path / 'bag', tmp_path / 'data', '--codec', 'png')[0] == 0
    assert (values(tmp_path / 'data').frames['static'][7] == picture(7)).all()


@pytest.mark.parametrize('codec', ['h264', 'av1'])
def test_video_is_close_to_what_was_recorded(convert, tmp_path, codec):
    text = DELTA_TEXT.replace('width: 32, height: 32', 'width: 64, height: 64')
    custom = type(episode())(contract_text=text, goal='push')
    write_bag(tmp_path / 'bag', demonstration(2.0, size=(64, 64)), custom=custom)
    assert convert(tmp_path / 'bag', tmp_path / 'data', '--codec', codec)[0] == 0
    frames = values(tmp_path / 'data').frames['static']
    right = np.array([np.abs(frames[k].astype(int) - picture(k, (64, 64))).mean() for k in range(39)])
    wrong = np.array([np.abs(frames[k].astype(int) - picture(k + 1, (64, 64))).mean() for k in range(39)])
    assert right.max() < 6
    assert (right < wrong).all()  # no picture is one off


def test_odd_sizes(convert, tmp_path):
    text = DELTA_TEXT.replace('width: 32, height: 32', 'width: 33, height: 31')
    write_bag(tmp_path / 'bag', demonstration(1.0), custom=type(episode())(contract_text=text, goal='push'))
    assert convert(tmp_path / 'bag', tmp_path / 'data')[0] == 0
    assert values(tmp_path / 'data').frames['static'].shape == (19, 31, 33, 3)


def test_key_frames_are_frequent(convert, tmp_path):
    import av

    write_bag(tmp_path / 'bag', demonstration(4.0), custom=episode())
    assert convert(tmp_path / 'bag', tmp_path / 'data')[0] == 0
    (path,) = (tmp_path / 'data').rglob('*.mp4')
    with av.open(str(path)) as container:
        keys = [number for number, frame in enumerate(container.decode(video=0)) if frame.key_frame]
    assert np.diff([*keys, 79]).max() <= 8


def test_interventions_are_marked(convert, tmp_path):
    import pyarrow.parquet as pq

    items = demonstration(2.0)
    items += [Item('/intervention', flag(k == 1), START + k * 500_000_000 + 10) for k in range(3)]
    write_bag(tmp_path / 'bag', sorted(items, key=lambda item: item.received), custom=episode())
    assert convert(tmp_path / 'bag', tmp_path / 'data')[0] == 0
    marked = pq.read_table(tmp_path / 'data/data/chunk-000/file-000.parquet')['intervention'].to_numpy()
    assert np.flatnonzero(marked).tolist() == list(range(11, 21))


def test_success_and_drops_reach_the_report(convert, tmp_path, report):
    write_bag(tmp_path / 'a', demonstration(1.0), custom=episode(success=True, drops={'/static/image': 3}))
    write_bag(tmp_path / 'b', demonstration(1.0, start=START + 10**12), custom=episode(success=False))
    assert convert(tmp_path / 'a', tmp_path / 'b', tmp_path / 'data', '--keep-failures')[0] == 0
    found = report(tmp_path / 'data')
    assert [part['success'] for part in found['episodes']] == [True, False]
    page = (tmp_path / 'data' / 'report.html').read_text()
    assert 'dropped while recording: 3 of /static/image' in page


def bags(tmp_path, count, seconds=1.0):
    for k in range(count):
        start = START + k * 10**12
        write_bag(tmp_path / 'bags' / f'{k}', demonstration(seconds, f'task {k}', start), custom=episode(f'task {k}'))
    return tmp_path / 'bags'


def test_adding_bags_adds_episodes_and_encodes_nothing_twice(convert, tmp_path, report):
    folder = bags(tmp_path, 3)
    assert convert(folder / '0', folder / '1', tmp_path / 'data')[0] == 0
    values(tmp_path / 'data')  # fills the cache, which stays
    before = {path.name: path.stat().st_ino for path in (tmp_path / 'data').rglob('*.mp4')}
    (tmp_path / 'data' / 'notes.txt').write_text('mine')
    status, printed = convert(folder, tmp_path / 'data')
    assert status == 0
    assert '1 new episodes, 3 in all, 2 recordings were there already' in printed
    after = {path.name: path.stat().st_ino for path in (tmp_path / 'data').rglob('*.mp4')}
    assert {name: after[name] for name in before} == before
    data = values(tmp_path / 'data')
    assert data.goals == ['task 0', 'task 1', 'task 2']
    assert len(data) == 3 * 19
    assert (tmp_path / 'data' / 'notes.txt').read_text() == 'mine'
    assert len(report(tmp_path / 'data')['episodes']) == 3
    assert not (tmp_path / 'data.part').exists()
    moved = shutil.move(folder, tmp_path / 'elsewhere')
    assert '0 new episodes, 3 in all' in convert(moved, tmp_path / 'data')[1]


def test_several_processes_give_the_same_in_the_same_order(convert, tmp_path):
    folder = bags(tmp_path, 4)
    assert convert(folder, tmp_path / 'one', jobs=1)[0] == 0
    assert convert(folder, tmp_path / 'two', jobs=2)[0] == 0
    one, two = values(tmp_path / 'one'), values(tmp_path / 'two')
    assert one.goals == two.goals == [f'task {k}' for k in range(4)]
    assert (one.frames['static'] == two.frames['static']).all()


def test_an_interrupted_conversion_goes_on_and_leaves_nothing_under_the_final_name(convert, tmp_path):
    folder = bags(tmp_path, 6, seconds=4.0)
    command = [sys.executable, '-m', 'mode_ros', 'convert', str(folder), str(tmp_path / 'data'), '--jobs', '1']
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    stage = tmp_path / 'data.part' / 'recordings'
    deadline = time.monotonic() + 60
    while not any(path.parent.suffix != '.unfinished' for path in stage.glob('*/recording.json')):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    printed = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert 'type the same command again to go on' in printed
    assert not (tmp_path / 'data').exists()
    done = {path.parent.name: path.stat().st_mtime_ns for path in stage.glob('*/recording.json')}
    assert 0 < len(done) < 6
    assert not list(stage.glob('*.unfinished'))
    status, _ = convert(folder, tmp_path / 'data')
    assert status == 0
    assert len(values(tmp_path / 'data')) == 6 * 79


def test_finished_recordings_are_not_read_again(convert, tmp_path, monkeypatch):
    from mode_ros.training.data import convert as module

    folder = bags(tmp_path, 3)
    real, seen = module.stage_recording, []

    def once(recording, *rest):
        seen.append(recording.name)
        if recording.name == '2' and seen.count('2') == 1:
            raise KeyboardInterrupt
        return real(recording, *rest)

    monkeypatch.setattr(module, 'stage_recording', once)
    assert convert(folder, tmp_path / 'data')[0] == 130
    assert convert(folder, tmp_path / 'data')[0] == 0
    assert seen == ['0', '1', '2', '2']


def test_what_a_killed_conversion_left_is_cleared(convert, tmp_path):
    folder = bags(tmp_path, 1)
    litter = tmp_path / 'data.part' / 'recordings' / 'abc-def.unfinished' / '000000'
    litter.mkdir(parents=True)
    (litter / 'static.mp4').write_bytes(b'half')
    assert convert(folder, tmp_path / 'data')[0] == 0
    assert not (tmp_path / 'data.part').exists()


def test_power_that_fails_while_the_new_data_set_takes_its_place(convert, tmp_path):
    folder = bags(tmp_path, 2)
    assert convert(folder / '0', tmp_path / 'data')[0] == 0
    work = tmp_path / 'data.part'
    work.mkdir()
    (tmp_path / 'data').rename(work / 'previous')
    assert '1 new episodes, 2 in all' in convert(folder, tmp_path / 'data')[1]


def test_swap_keeps_what_others_put_there(tmp_path):
    for name, content in (('data', 'old'), ('work/tree', 'new')):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / 'info').write_text(content)
    (tmp_path / 'data' / 'mine').write_text('mine')
    swap(tmp_path / 'work' / 'tree', tmp_path / 'data')
    assert (tmp_path / 'data' / 'info').read_text() == 'new'
    assert (tmp_path / 'data' / 'mine').read_text() == 'mine'
    assert not list((tmp_path / 'work').iterdir())


def test_a_second_conversion_into_the_same_data_set_is_kept_out(convert, tmp_path):
    import fcntl

    folder = bags(tmp_path, 1)
    (tmp_path / 'data.part').mkdir()
    with open(tmp_path / 'data.part' / '.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        status, printed = convert(folder, tmp_path / 'data')
    assert status == 1
    assert 'is being converted or edited; wait for that to end' in printed


def test_a_folder_that_is_no_data_set_is_left_alone(convert, tmp_path):
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'thesis.tex').write_text('x')
    status, printed = convert(bags(tmp_path, 1), tmp_path / 'data')
    assert status == 1
    assert 'is no data set of mode_ros' in printed
    assert (tmp_path / 'data' / 'thesis.tex').read_text() == 'x'


@pytest.mark.parametrize('change', ['contract', 'codec'])
def test_a_data_set_of_other_settings_is_not_added_to(convert, tmp_path, change):
    folder = bags(tmp_path, 1)
    assert convert(folder, tmp_path / 'data')[0] == 0
    options = ['--codec', 'png']
    if change == 'contract':
        text = DELTA_TEXT.replace('rate: 20.0', 'rate: 10.0')
        other = type(episode())(contract_text=text, goal='push')
        folder = write_bag(tmp_path / 'other', demonstration(1.0), custom=other)
        options = []
    status, printed = convert(folder, tmp_path / 'data', *options)
    assert status == 1
    assert ('rate: 10.0, not 20.0' if change == 'contract' else 'give the same --codec') in printed


def test_the_same_bag_named_twice_counts_once(convert, tmp_path):
    folder = bags(tmp_path, 1)
    assert '1 new episodes, 1 in all' in convert(folder, folder / '0', tmp_path / 'data')[1]


def test_a_full_disk_is_said_and_keeps_what_is_finished(convert, tmp_path, monkeypatch):
    import errno

    from mode_ros.training.data import convert as module

    real = module.stage_recording

    def full(recording, *rest):
        if recording.name == '1':
            raise OSError(errno.ENOSPC, 'No space left on device')
        return real(recording, *rest)

    folder = bags(tmp_path, 2)
    monkeypatch.setattr(module, 'stage_recording', full)
    status, printed = convert(folder, tmp_path / 'data')
    assert status == 1
    assert 'The disk is full. What is finished is kept' in printed
    assert len(list((tmp_path / 'data.part' / 'recordings').glob('*/recording.json'))) == 1


def test_the_page_needs_nothing_from_elsewhere(convert, tmp_path):
    folder = bags(tmp_path, 1)
    write_bag(folder / 'evil', demonstration(1.0), custom=episode(goal='<script>alert(1)</script>'))
    assert convert(folder, tmp_path / 'data')[0] == 0
    page = (tmp_path / 'data' / 'report.html').read_text()
    for forbidden in ('<script', 'http:', 'https:', '<link', 'src="/', '@import'):
        assert forbidden not in page
    assert page.count('<section>') == 2
    assert page.count('<svg') == 2 * 3  # one state stream, two groups
    assert page.count('data:image/jpeg') >= 2 * 6


def test_statistics_are_those_of_the_data(convert, tmp_path):
    folder = bags(tmp_path, 2)
    assert convert(folder, tmp_path / 'data', '--codec', 'png')[0] == 0
    data = values(tmp_path / 'data')
    found = json.loads((tmp_path / 'data' / 'meta' / 'stats.json').read_text())
    actions = data.actions.astype(np.float64)
    assert found['action']['mean'] == pytest.approx(actions.mean(0))
    assert found['action']['std'] == pytest.approx(actions.std(0))
    assert found['action']['min'] == pytest.approx(actions.min(0))
    assert found['action']['q99'] == pytest.approx(np.quantile(actions, 0.99, axis=0))
    assert found['observation.state']['q01'] == pytest.approx(np.quantile(data.state.astype(float), 0.01, axis=0))
    pixels = np.array(found['observation.images.static']['mean']).ravel()
    sampled = np.concatenate([data.frames['static'][k * 19 : (k + 1) * 19 : 10, ::4, ::4] for k in range(2)])
    assert pixels == pytest.approx(sampled.reshape(-1, 3).mean(0) / 255)
    ours = data.statistics
    assert ours.action.mean == pytest.approx(found['action']['mean'])
    assert ours.state['joints'].q99 == pytest.approx(found['observation.state']['q99'])


def test_nothing_new_leaves_the_data_set_as_it_is(convert, tmp_path):
    folder = bags(tmp_path, 1)
    assert convert(folder, tmp_path / 'data')[0] == 0
    before = (tmp_path / 'data' / 'meta' / 'info.json').stat().st_mtime_ns
    assert '0 new episodes, 1 in all' in convert(folder, tmp_path / 'data')[1]
    assert (tmp_path / 'data' / 'meta' / 'info.json').stat().st_mtime_ns == before


def test_memory_goes_back_in_the_middle_of_a_bag_that_is_read_completely(convert, tmp_path, monkeypatch):
    from mode_ros.training.data import bags as module

    write_bag(tmp_path / 'bag', demonstration(4.0), custom=episode())
    monkeypatch.setattr(module, '_GIVE_BACK_EVERY', 300_000_000)
    assert convert(tmp_path / 'bag', tmp_path / 'data', '--codec', 'png')[0] == 0
    data = values(tmp_path / 'data')
    assert len(data) == 79
    assert all((data.frames['static'][k] == picture(k)).all() for k in range(79))


def test_one_message_received_decades_before_the_others(convert, tmp_path):
    items = [Item('/goal', text('early'), 1), *demonstration(1.0)]
    write_bag(tmp_path / 'bag', items, custom=episode())
    assert convert(tmp_path / 'bag', tmp_path / 'data')[0] == 0
    assert len(values(tmp_path / 'data')) == 19


def test_the_sample_that_this_project_recorded(convert, tmp_path):
    from pathlib import Path

    sample = Path(__file__).resolve().parents[2] / 'data' / 'sample_bag'
    # The second of its episodes ended without a success.
    status, printed = convert(sample, tmp_path / 'data', '--keep-failures')
    assert status == 0, printed
    data = values(tmp_path / 'data')
    assert len(data.files.episodes) == 2
    assert data.cameras == ['static', 'wrist']
    assert data.frames['static'].std() > 10  # no black frames
