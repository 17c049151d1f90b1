"""What a conversion says in the end: failures, frames that were not used, corrections, and what it passed over."""

import contextlib
import io
import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest
import yaml
from support.bags import (
    DELTA_TEXT,
    SECOND,
    START,
    Item,
    changed,
    delta,
    demonstration,
    episode,
    flag,
    floats,
    text,
    without,
    write_bag,
)
from support.data_sets import make_data_set
from support.descriptions import TWO_LINKS

from mode_ros.cli.main import build_parser
from mode_ros.doctor.examine import examine
from mode_ros.errors import UserError
from mode_ros.recording.bag import Bag
from mode_ros.training.data import layout
from mode_ros.training.data.data_files import DataFiles
from mode_ros.training.data.dataset import Dataset, open_dataset
from mode_ros.training.data_findings import vector_findings


def three(tmp_path, **marks):
    """Bags 0, 1 and 2, marked as told."""
    for k in range(3):
        start = START + k * 100 * SECOND
        custom = episode(success=marks.get(f'bag{k}'))
        write_bag(tmp_path / 'bags' / f'{k}', demonstration(1.0, start=start), custom=custom)
    return tmp_path / 'bags'


def test_failures_are_left_out_and_named(convert, tmp_path, report):
    folder = three(tmp_path, bag0=True, bag1=False)
    status, printed = convert(folder, tmp_path / 'data')
    assert status == 0
    assert '2 new episodes, 2 in all' in printed
    assert 'note: 1 recordings are marked as failures and left out (1); --keep-failures' in printed
    assert {part['recording'] for part in report(tmp_path / 'data')['episodes']} == {'0', '2'}
    assert 'marked as failures and are not in it: 1' in (tmp_path / 'data' / 'report.html').read_text()
    assert '1 new episodes, 3 in all' in convert(folder, tmp_path / 'data', '--keep-failures')[1]


@pytest.mark.parametrize('goal', ['', '  '])
def test_a_goal_without_words_is_not_taken_for_none(convert, tmp_path, goal):
    folder = three(tmp_path)
    status, printed = convert(folder, tmp_path / 'data', '--goal', goal)
    assert status == 1
    assert f"--goal '{goal}' has no words" in printed
    assert not (tmp_path / 'data').exists()


def test_failures_that_a_topic_tells(convert, tmp_path):
    for k, value in enumerate((True, False)):
        start = START + k * 100 * SECOND
        items = [*demonstration(1.5, start=start), Item('/success', flag(value), start + round(1.4 * SECOND))]
        write_bag(tmp_path / 'bags' / f'{k}', sorted(items, key=lambda item: item.received))
    (tmp_path / 'contract.yaml').write_text(DELTA_TEXT)
    printed = convert(tmp_path / 'bags', tmp_path / 'data', '--contract', tmp_path / 'contract.yaml')[1]
    assert '1 new episodes, 1 in all' in printed
    assert not (tmp_path / 'data.part').exists()


def test_nothing_but_failures(convert, tmp_path):
    status, printed = convert(three(tmp_path, bag0=False, bag1=False, bag2=False), tmp_path / 'data')
    assert status == 1
    assert '3 recordings are marked as failures and left out (0, 1, 2); --keep-failures' in printed


def test_every_frame_that_is_not_used_is_counted_with_its_reason(convert, tmp_path, report):
    write_bag(tmp_path / 'bag', without(demonstration(3.0), '/gripper/command', 0.0, 2.0), custom=episode())
    status, printed = convert(tmp_path / 'bag', tmp_path / 'data')
    assert status == 0
    assert '19 of 59 frames are used. Not used: 40: gripper: before its first command\n' in printed
    unused = report(tmp_path / 'data')['unused']
    assert (unused[0]['reason'], unused[0]['frames']) == ('gripper: before its first command', 40)
    assert 'gripper: before its first command' in (tmp_path / 'data' / 'report.html').read_text()


def test_a_corrected_goal_is_applied(convert, tmp_path):
    folder = three(tmp_path)
    assert convert(folder, tmp_path / 'data')[0] == 0
    assert open_dataset(tmp_path / 'data', 4).goals == ['push the block']
    before = {path.name: path.read_bytes() for path in (tmp_path / 'data').rglob('*.mp4')}
    status, printed = convert(folder / '1', tmp_path / 'data', '--goal', 'pull it')
    assert status == 0
    assert '0 new episodes, 3 in all, 1 recordings made anew' in printed
    assert '2 recordings of the data set are not among those given, and stay: 0, 2' in printed
    data = open_dataset(tmp_path / 'data', 4)
    assert [part.tasks for part in data.files.episodes] == [('push the block',), ('pull it',), ('push the block',)]
    assert len(data) == 57
    assert data[20].goal == 'pull it'
    assert {path.name: path.read_bytes() for path in (tmp_path / 'data').rglob('*.mp4')}.keys() == before.keys()
    assert '0 new episodes, 3 in all, 1 recordings were' in convert(folder / '1', tmp_path / 'data')[1], 'it stays so'


def test_a_mark_that_was_corrected_in_the_bag_is_applied(convert, tmp_path, report):
    folder = three(tmp_path, bag1=True)
    assert convert(folder, tmp_path / 'data')[0] == 0
    metadata = folder / '1' / 'metadata.yaml'
    metadata.write_text(metadata.read_text().replace("mode_ros.success: 'true'", "mode_ros.success: 'false'"))
    status, printed = convert(folder, tmp_path / 'data')
    assert status == 0
    assert '2 in all' in printed
    assert [part['recording'] for part in report(tmp_path / 'data')['episodes']] == ['0', '2']
    assert [part['episode'] for part in report(tmp_path / 'data')['episodes']] == [0, 1]
    assert len(open_dataset(tmp_path / 'data', 4)) == 38


def test_a_mark_that_was_corrected_before_anything_was_converted_is_applied(convert, tmp_path):
    folder = three(tmp_path, bag0=False, bag1=False, bag2=False)
    assert 'marked as failures' in convert(folder, tmp_path / 'data')[1]
    metadata = folder / '1' / 'metadata.yaml'
    metadata.write_text(metadata.read_text().replace("mode_ros.success: 'false'", "mode_ros.success: 'true'"))
    assert '1 new episodes, 1 in all' in convert(folder, tmp_path / 'data')[1]


@pytest.mark.parametrize('spoilt', ['', 'null', '{"key": 1}', '\0\0\0'])
def test_what_a_power_cut_left_of_an_interrupted_conversion_is_made_anew(convert, tmp_path, spoilt):
    folder = three(tmp_path, bag0=False, bag1=False, bag2=False)
    assert 'marked as failures' in convert(folder, tmp_path / 'data')[1]
    staged = list((tmp_path / 'data.part').rglob('recording.json'))
    assert len(staged) == 3
    for path in staged:
        path.write_text(spoilt)
    assert 'marked as failures' in convert(folder, tmp_path / 'data')[1]


def test_the_same_recording_under_another_name_counts_once(convert, tmp_path):
    folder = three(tmp_path)
    shutil.copytree(folder / '0', folder / 'copy')
    (folder / 'copy' / '0.mcap').rename(folder / 'copy' / 'copy.mcap')
    metadata = folder / 'copy' / 'metadata.yaml'
    metadata.write_text(metadata.read_text().replace('0.mcap', 'copy.mcap'))
    printed = convert(folder, tmp_path / 'data')[1]
    assert '3 new episodes' in printed
    assert 'copy is the same recording as' in printed
    shutil.rmtree(folder / '0')
    assert '0 new episodes, 3 in all' in convert(folder, tmp_path / 'data')[1]


def test_recordings_that_differ_in_the_middle_alone_are_two(convert, tmp_path):
    def nudge(k, item):
        if k == 200:
            item.message.position[0] += 1e-3
        return item

    write_bag(tmp_path / 'bags' / 'a', demonstration(8.0), custom=episode())
    write_bag(tmp_path / 'bags' / 'b', changed(demonstration(8.0), '/joint_states', nudge), custom=episode())
    assert '2 new episodes' in convert(tmp_path / 'bags', tmp_path / 'data')[1]


@pytest.mark.parametrize('stray', [1, 2])
def test_folders_are_searched_to_the_end(convert, tmp_path, report, stray):
    folder = three(tmp_path)
    for k in range(stray):
        bag = write_bag(tmp_path / 'other', demonstration(1.0, start=START + (9 + k) * 100 * SECOND), custom=episode())
        (bag / 'other.mcap').rename(folder / f'stray{k}.mcap')
        shutil.rmtree(bag)
    assert f'{3 + stray} new episodes' in convert(folder, tmp_path / 'data')[1]
    names = {part['recording'] for part in report(tmp_path / 'data')['episodes']}
    assert names == {'0', '1', '2', *(f'stray{k}.mcap' for k in range(stray))}


def test_a_folder_of_loose_files_is_one_recording_per_file(convert, tmp_path):
    (tmp_path / 'loose').mkdir()
    for k in range(3):
        bag = write_bag(tmp_path / 'one', demonstration(1.0, start=START + k * 100 * SECOND), custom=episode())
        (bag / 'one.mcap').rename(tmp_path / 'loose' / f'run_{k}.mcap')
        shutil.rmtree(bag)
    (tmp_path / 'contract.yaml').write_text(DELTA_TEXT)
    printed = convert(tmp_path / 'loose', tmp_path / 'data', '--contract', tmp_path / 'contract.yaml')[1]
    assert '3 new episodes' in printed


def test_what_is_passed_over_is_said(convert, tmp_path):
    folder = three(tmp_path)
    (folder / '.episode_000004.partial').mkdir()
    (folder / 'old.bag').write_bytes(b'#ROSBAG V2.0')
    shutil.copy(folder / '0' / '0.mcap', folder / '.episode_000004.partial' / 'x.mcap')
    shutil.copy(folder / '0' / '0.mcap', folder / '0' / 'second.mcap')
    shutil.copy(folder / '0' / '0.mcap', folder / 'third.MCAP')
    shutil.copytree(folder / '0', folder / '.kept')
    printed = convert(folder, tmp_path / 'data')[1]
    for words in (
        '.episode_000004.partial is not finished',
        'old.bag is a bag of ROS 1',
        'second.mcap is not among',
        'third.MCAP holds what a bag holds',
        '.kept/0.mcap is hidden',
    ):
        assert words in printed
    assert printed.count('note: ') == 6


STRAYS = {
    'run.mcap.active': (b'x', 'is called like a part of a bag'),
    'run.mcap.part': (b'x', 'is called like a part of a bag'),
    'run.db3.gz': (b'x', 'is called like a part of a bag'),
    'run.MCAP.crdownload': (b'x', 'is called like a part of a bag'),
    'other.db3-wal': (b'x', 'belongs to other.db3, which is not there'),
    'old.bag.active': (b'#ROSBAG V2.0\n', 'is a bag of ROS 1'),
    'no_ending': (b'#ROSBAG V2.0\n', 'is a bag of ROS 1'),
    'take3': (b'\x89MCAP0\r\n', 'holds what a bag holds'),
    'monday.tar.gz': (b'x', 'is an archive, and not looked into'),
    'monday.zip': (b'PK', 'is an archive, and not looked into'),
    'deep/er/.hidden/run.db3': (b'x', 'is hidden'),
}


def test_nothing_like_a_recording_is_passed_over_without_a_line(convert, tmp_path):
    folder = three(tmp_path)
    for name, (content, _) in STRAYS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / 'gone').symlink_to(tmp_path / 'nowhere')
    (folder / 'pipes').mkdir()
    os.mkfifo(folder / 'pipes' / 'run.mcap')
    (folder / 'called.mcap').mkdir()
    (folder / 'calvin').mkdir()
    (folder / 'calvin' / 'episode_0000001.npz').write_bytes(b'x')
    (folder / 'set' / 'meta').mkdir(parents=True)
    (folder / 'set' / 'meta' / 'info.json').write_text('{}')
    for harmless in ('notes.txt', '0/0.mcap.sha256', 'run.mcap.json', 'bag.yaml', 'python.bagger'):
        (folder / harmless).write_text('x')
    status, printed = convert(folder, tmp_path / 'data')
    assert status == 0, 'strays are no fault of a recording'
    expected = {name: words for name, (_, words) in STRAYS.items()} | {
        'gone': 'is a link to something that is not there',
        'pipes/run.mcap': 'is called like a bag, and is no file',
        'called.mcap': 'is a folder that is called like a bag, and holds none',
        'calvin': "holds CALVIN's episode files without their index",
        'set': 'is a data set, not a recording',
    }
    for name, words in expected.items():
        assert f'note: {folder}/{name} {words}' in printed
    assert printed.count('note: ') == len(expected)
    assert command('episodes', folder).count('note: ') == len(expected)
    assert sum(finding.check == 'passed over' for finding in examine(str(folder)).findings) == len(expected)


def test_strays_below_a_link_are_said_and_many_of_one_kind_are_counted(convert, tmp_path):
    folder = three(tmp_path)
    (tmp_path / 'disk').mkdir()
    for k in range(25):
        (tmp_path / 'disk' / f'{k:02d}.bag').write_bytes(b'#ROSBAG V2.0')
    (folder / 'more').symlink_to(tmp_path / 'disk')
    printed = convert(folder, tmp_path / 'data')[1]
    assert printed.count('is a bag of ROS 1') == 21
    assert f'note: 5 more below {folder}/more: each is a bag of ROS 1' in printed


def test_where_nothing_can_be_taken_it_is_said_what_is_there(convert, tmp_path):
    (tmp_path / 'bags').mkdir()
    (tmp_path / 'bags' / 'old.bag').write_bytes(b'#ROSBAG V2.0')
    status, printed = convert(tmp_path / 'bags', tmp_path / 'data')
    assert status == 1
    assert 'There is no recording in' in printed
    assert 'old.bag is a bag of ROS 1' in printed
    data = make_data_set(tmp_path / 'made')
    status, printed = convert(data, tmp_path / 'data')
    assert status == 1
    assert f'{data} is a data set, not a recording; train on it' in printed


@pytest.mark.parametrize('linked', [False, True])
def test_links_above_the_folder_that_was_given_end(convert, tmp_path, linked):
    folder = three(tmp_path)
    (tmp_path / 'given').symlink_to(folder)
    (folder / 'in').mkdir()
    (folder / 'in' / 'a').symlink_to(folder)
    (folder / 'in' / 'b').symlink_to(tmp_path)
    status, printed = convert(tmp_path / 'given' if linked else folder, tmp_path / 'data')
    assert status == 0
    assert '3 new episodes, 3 in all' in printed
    assert printed.count('is the same recording as') <= 3


@pytest.mark.parametrize('ending', ['.zstd', '.zst'])
@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_file_that_was_packed_as_a_whole_is_read_without_its_folder(convert, tmp_path, storage, ending):
    bag = write_bag(tmp_path / 'bag', demonstration(1.0), storage, 'file')
    (packed,) = bag.glob('*.zstd')
    (tmp_path / 'loose').mkdir()
    packed.rename((tmp_path / 'loose' / packed.name).with_suffix(ending))
    (tmp_path / 'contract.yaml').write_text(DELTA_TEXT)
    status, printed = convert(tmp_path / 'loose', tmp_path / 'data', '--contract', tmp_path / 'contract.yaml')
    assert status == 0, printed
    assert '1 new episodes' in printed
    assert not list(Path(tempfile.gettempdir()).glob('mode_ros_bag_*'))


def test_of_a_packed_file_whose_end_is_missing_the_beginning_is_taken(convert, tmp_path):
    bag = write_bag(tmp_path / 'bag', demonstration(4.0), compression='file')
    (packed,) = bag.glob('*.zstd')
    (tmp_path / 'torn.mcap.zst').write_bytes(packed.read_bytes()[: packed.stat().st_size * 2 // 3])
    (tmp_path / 'contract.yaml').write_text(DELTA_TEXT)
    arguments = (tmp_path / 'data', '--contract', tmp_path / 'contract.yaml')
    status, printed = convert(tmp_path / 'torn.mcap.zst', *arguments)
    assert status == 3, printed
    assert 'the end of torn.mcap is missing' in printed
    (tmp_path / 'none.mcap.zst').write_bytes(b'no zstd')
    status, printed = convert(tmp_path / 'none.mcap.zst', tmp_path / 'other', '--contract', tmp_path / 'contract.yaml')
    assert status == 1
    assert 'none.mcap.zst' in printed


def split(folder):
    """A bag of two files, and each of them as a bag of its own."""
    from support.bags import TYPES

    bag = Bag(folder / 'one')
    items = demonstration(4.0)
    for topic, kind in {item.topic: item.kind for item in items}.items():
        bag.add(topic, kind)
    for item in items:
        bag.write(item.topic, item.received, bytes(TYPES.serialize_cdr(item.message, item.kind)))
    bag.close(episode().to_custom_data())
    write_bag(folder / 'two', demonstration(4.0, start=START + 4 * SECOND))
    shutil.copy(folder / 'two' / 'two.mcap', folder / 'one' / 'one_1.mcap')
    metadata = yaml.safe_load((folder / 'one' / 'metadata.yaml').read_text())
    about = metadata['rosbag2_bagfile_information']
    second = yaml.safe_load((folder / 'two' / 'metadata.yaml').read_text())['rosbag2_bagfile_information']
    about['relative_file_paths'].append('one_1.mcap')
    about['files'].append(about['files'][0] | {'path': 'one_1.mcap'})
    about['message_count'] += second['message_count']
    about['duration']['nanoseconds'] = 8 * SECOND
    (folder / 'one' / 'metadata.yaml').write_text(yaml.safe_dump(metadata))
    shutil.rmtree(folder / 'two')
    return folder / 'one'


def test_a_part_of_a_recording_that_is_given_too_counts_once(convert, tmp_path):
    bag = split(tmp_path)
    frames = len(open_dataset(convert_into(convert, tmp_path / 'whole', bag), 4))
    status, printed = convert(bag / 'one_1.mcap', bag, bag / 'one_1.mcap', tmp_path / 'data')
    assert status == 0
    assert f'note: {bag}/one_1.mcap is a part of {bag}, and counts once' in printed
    assert len(open_dataset(tmp_path / 'data', 4)) == frames
    # Nor later, nor from a copy elsewhere.
    shutil.copy(bag / 'one_1.mcap', tmp_path / 'copy.mcap')
    (tmp_path / 'contract.yaml').write_text(DELTA_TEXT)
    printed = convert(tmp_path / 'copy.mcap', tmp_path / 'data', '--contract', tmp_path / 'contract.yaml')[1]
    assert 'copy.mcap is a part of one, and counts once' in printed
    assert len(open_dataset(tmp_path / 'data', 4)) == frames


def test_a_recording_of_which_a_part_is_in_the_data_set_is_left_out(convert, tmp_path):
    bag = split(tmp_path)
    (tmp_path / 'contract.yaml').write_text(DELTA_TEXT)
    more = ('--goal', 'push the block', '--contract', tmp_path / 'contract.yaml')
    assert convert(bag / 'one_1.mcap', tmp_path / 'data', *more)[0] == 0
    frames = len(open_dataset(tmp_path / 'data', 4))
    status, printed = convert(bag, tmp_path / 'data', *more)
    assert status == 3
    assert 'left out: one: the data set holds a part of it as a recording of its own (one_1.mcap)' in printed
    assert len(open_dataset(tmp_path / 'data', 4)) == frames
    status, printed = convert(bag, tmp_path / 'data', '--strict', *more)
    assert status == 1
    assert 'Without --strict' in printed


def convert_into(convert, target, *arguments):
    assert convert(*arguments, target)[0] == 0
    return target


def test_a_data_set_within_its_recording_is_refused(convert, tmp_path):
    bag = three(tmp_path) / '0'
    before = sorted(bag.rglob('*'))
    for target in (bag / 'inside', bag / 'deep' / 'er', bag):
        status, printed = convert(bag, target)
        assert status == 1
        assert f'would lie in the recording {bag}' in printed
    assert sorted(bag.rglob('*')) == before


def test_an_sqlite_bag_that_was_not_closed_says_so(convert, tmp_path):
    bag = write_bag(tmp_path / 'bag', demonstration(1.0), 'sqlite3', custom=episode())
    (bag / 'bag.db3-wal').write_bytes(b'x' * 100)
    status, printed = convert(bag, tmp_path / 'data')
    assert status == 3
    assert 'left out: bag: it was not closed: what is in bag.db3-wal is not read' in printed
    assert '1 new episodes' in printed


def test_a_pointer_of_git_lfs_is_named(convert, tmp_path):
    folder = three(tmp_path)
    (folder / '1' / '1.mcap').write_text(
        'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n'
    )
    status, printed = convert(folder, tmp_path / 'data')
    assert status == 3
    assert 'left out: 1: 1.mcap is a Git LFS pointer, not the file itself' in printed


def test_metadata_without_files_are_two_recordings_that_are_named(convert, tmp_path):
    folder = three(tmp_path)
    for name in ('8', '9'):
        (folder / name).mkdir()
        text = (folder / '0' / 'metadata.yaml').read_text().replace('0.mcap', f'{name}.mcap')
        (folder / name / 'metadata.yaml').write_text(text)
    status, printed = convert(folder, tmp_path / 'data')
    assert status == 3
    assert 'left out: 8: ' in printed
    assert 'left out: 9: ' in printed
    assert '3 new episodes' in printed


def test_a_stray_beside_a_bag_makes_no_other_recording_of_it(convert, tmp_path):
    folder = three(tmp_path)
    shutil.copy(folder / '1' / '1.mcap', folder / '0' / 'second.mcap')
    assert '3 new episodes' in convert(folder, tmp_path / 'data')[1]
    (folder / '0' / 'second.mcap').unlink()
    assert '0 new episodes, 3 in all, 3 recordings were there' in convert(folder, tmp_path / 'data')[1]


def command(*words):
    out = io.StringIO()
    arguments = build_parser().parse_args([*map(str, words)])
    with contextlib.redirect_stdout(out):
        arguments.run(arguments)
    return out.getvalue()


def test_links_in_a_circle_and_what_is_no_file_end_no_search(convert, tmp_path):
    folder = three(tmp_path)
    (folder / 'all').symlink_to(folder)
    (folder / '0' / 'nowhere').symlink_to(tmp_path / 'gone')
    os.mkfifo(folder / 'pipe')
    status, printed = convert(folder, tmp_path / 'data')
    assert status == 0
    assert '3 new episodes, 3 in all' in printed


def test_goals_that_the_encoder_cannot_tell_apart_are_noted(convert, tmp_path):
    for k, goal in enumerate(('hebe 🔴 auf', 'hebe 🔵 auf')):
        items = demonstration(1.0, goal=goal, start=START + k * 100 * SECOND)
        write_bag(tmp_path / 'bags' / f'{k}', items, custom=episode(goal=goal))
    status, printed = convert(tmp_path / 'bags', tmp_path / 'data')
    assert status == 0
    assert "note: goals: 'hebe 🔴 auf' and 'hebe 🔵 auf' are one sentence to the text encoder" in printed
    assert "does not see '🔴'" in printed
    assert 'goals:' not in convert(tmp_path / 'bags', tmp_path / 'data')[1]  # said once


def test_what_happens_again_and_again_is_said_once(convert, tmp_path):
    """Two drivers, each with half of the joints: another reason in every period."""
    items = []
    for item in demonstration(2.0):
        if item.topic == '/joint_states':
            k = len(items) % 2
            item.message.name, item.message.position = item.message.name[k : k + 1], item.message.position[k : k + 1]
        items.append(item)
    write_bag(tmp_path / 'bag', items, custom=episode())
    status, printed = convert(tmp_path / 'bag', tmp_path / 'data')
    assert status == 1
    assert 'times more until' in printed
    assert printed.count('are missing') <= 4


def test_left_out_recordings_of_one_name_are_told_apart(convert, tmp_path):
    for k, day in enumerate(('monday', 'tuesday')):
        items = demonstration(1.0, goal='', start=START + k * 100 * SECOND)
        write_bag(tmp_path / day / 'take', items, custom=episode(goal=''))
    write_bag(tmp_path / 'good', demonstration(1.0, start=START + 10**13), custom=episode())
    printed = convert(tmp_path / 'monday', tmp_path / 'tuesday', tmp_path / 'good', tmp_path / 'data')[1]
    assert 'left out: monday/take: it has no goal' in printed
    assert 'left out: tuesday/take: it has no goal' in printed


def test_a_flipped_bit_is_noticed(convert, tmp_path):
    folder = three(tmp_path)
    items = demonstration(1.0, start=START + 10**13)
    bag = Bag(folder / 'flipped')
    for topic, kind in {item.topic: item.kind for item in items}.items():
        bag.add(topic, kind)
    from support.bags import TYPES

    for item in items:
        bag.write(item.topic, item.received, bytes(TYPES.serialize_cdr(item.message, item.kind)))
    bag.close(episode().to_custom_data())
    file = folder / 'flipped' / 'flipped.mcap'
    assert '4 new episodes' in convert(folder, tmp_path / 'whole')[1], 'the checksums are right'
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 0x10
    file.write_bytes(content)
    status, printed = convert(folder, tmp_path / 'data')
    assert status == 3
    assert 'left out: flipped: the bag is damaged' in printed
    assert '3 new episodes' in printed


def test_notes_of_many_recordings_are_one(convert, tmp_path):
    for k in range(3):
        items = [i for i in demonstration(1.0, start=START + k * 100 * SECOND) if i.topic != '/gripper/command']
        write_bag(tmp_path / 'bags' / f'{k}', items)
    contract = DELTA_TEXT.replace('kind: absolute\n', 'kind: absolute\n    initial: [1]\n')
    (tmp_path / 'contract.yaml').write_text(contract)
    status, printed = convert(tmp_path / 'bags', tmp_path / 'data', '--contract', tmp_path / 'contract.yaml')
    assert status == 0, printed
    assert printed.count('gripper was never commanded') == 1
    assert 'and 2 more recordings' in printed


def test_a_contract_that_reads_the_messages_otherwise_may_be_given_afterwards(convert, tmp_path):
    items = changed(
        demonstration(1.0), '/gripper/command', lambda k, item: setattr(item, 'message', floats([50])) or item
    )
    write_bag(tmp_path / 'bag', items, custom=episode())
    contract = DELTA_TEXT.replace("unit: '1', lower", "unit: '1', scale: 0.02, offset: -1.0, lower")
    (tmp_path / 'contract.yaml').write_text(contract)
    status, printed = convert(tmp_path / 'bag', tmp_path / 'data', '--contract', tmp_path / 'contract.yaml')
    assert status == 0, printed
    assert (open_dataset(tmp_path / 'data', 4).actions[:, 3] == 0.0).all()


@pytest.mark.parametrize('topic', ['/gripper/command', '/joint_states'])
def test_numbers_beyond_the_contracts_bounds_are_named(convert, tmp_path, topic):
    contract = DELTA_TEXT.replace('unit: rad, max_age', 'unit: rad, lower: -3.0, upper: 3.0, max_age')
    items = demonstration(2.0)
    for item in items:
        if item.topic == topic == '/gripper/command':
            item.message = floats([50.0])
        elif item.topic == topic:
            item.message.position = item.message.position * 57.3
    write_bag(tmp_path / 'bag', items)
    (tmp_path / 'contract.yaml').write_text(contract)
    status, printed = convert(tmp_path / 'bag', tmp_path / 'data', '--contract', tmp_path / 'contract.yaml')
    assert status == 0
    name, farthest = ('action grip: 100%', '50') if topic == '/gripper/command' else ('state joints a: ', '-5')
    assert f'note: bag: bounds: {name}' in printed
    assert f'the farthest is {farthest}' in printed
    assert 'bounds:' in (tmp_path / 'data' / 'report.html').read_text()


@pytest.mark.parametrize('topic', ['/robot_description', '/left/robot_description'])
def test_joints_beyond_the_robots_description_are_named_by_the_conversion_and_all_that_follow(convert, tmp_path, topic):
    items = demonstration(2.0)  # joints to 1
    for item in items:
        if topic.startswith('/left') and item.topic != '/goal':
            item.topic = f'/left{item.topic}'
    urdf = TWO_LINKS.replace('lower="-3.1" upper="3.1"', 'lower="-0.5" upper="0.5"')
    write_bag(tmp_path / 'bag', [Item(topic, text(urdf), START), *items])
    (tmp_path / 'contract.yaml').write_text(DELTA_TEXT)
    status, printed = convert(tmp_path / 'bag', tmp_path / 'data', '--contract', tmp_path / 'contract.yaml')
    assert status == 0
    words = "% of the frames in the recording are beyond the robot description's -0.5 to 0.5 rad"
    assert 'note: bag: bounds: state joints a: ' in printed
    assert words in printed
    found = [str(each) for each in vector_findings(Dataset(DataFiles(tmp_path / 'data'), 1, {}, delta()))]
    assert sum("beyond the robot description's -0.5 to 0.5" in each for each in found) == 2
    page = examine(str(tmp_path / 'bag'), str(tmp_path / 'contract.yaml'))
    assert sum("beyond the robot description's" in str(each) for each in page.findings) == 2
    page = examine(str(tmp_path / 'data'))
    assert sum("beyond the robot description's" in str(each) for each in page.findings) == 2, 'once each'


def test_a_description_that_is_none_is_noted_and_costs_nothing(convert, tmp_path):
    items = [Item('/robot_description', text('<robot'), START), *demonstration(2.0)]
    write_bag(tmp_path / 'bag', items, custom=episode())
    status, printed = convert(tmp_path / 'bag', tmp_path / 'data')
    assert status == 0
    assert 'note: bag: description: The robot description is no XML' in printed


def test_joints_in_degrees_are_named_where_the_contract_bounds_nothing(convert, tmp_path):
    items = demonstration(2.0)
    for item in items:
        if item.topic == '/joint_states':
            item.message.position = item.message.position * 57.3
    write_bag(tmp_path / 'bag', items, custom=episode())
    status, printed = convert(tmp_path / 'bag', tmp_path / 'data')
    assert status == 0
    assert 'note: bag: units: state joints a, b: ' in printed
    assert '(degrees for radians?)' in printed
    report = (tmp_path / 'data' / 'report.html').read_text()
    assert 'units: state joints a, b' in report


def test_av1_refuses_odd_sizes_before_it_begins(convert, tmp_path):
    contract = DELTA_TEXT.replace('width: 32, height: 32', 'width: 65, height: 49')
    (tmp_path / 'contract.yaml').write_text(contract)
    write_bag(tmp_path / 'bag', demonstration(1.0))
    status, printed = convert(
        tmp_path / 'bag', tmp_path / 'data', '--contract', tmp_path / 'contract.yaml', '--codec', 'av1'
    )
    assert status == 1
    assert "--codec av1 takes even sizes, and the camera 'static' has 65x49" in printed


def test_a_data_set_goes_on_in_the_quality_that_it_was_begun_in(tmp_path):
    data = make_data_set(tmp_path, codec='h264')
    told = json.loads((data / layout.EXTRAS).read_text())
    assert told['encoding'] == {'codec': 'h264', 'quality': 23}
    (data / layout.EXTRAS).write_text(json.dumps(told | {'encoding': {'codec': 'h264', 'quality': 18}}))
    write_bag(tmp_path / 'bags' / '7', demonstration(2.0, 'wave', START + 9 * 10**12), custom=episode('wave'))
    words = ['convert', str(tmp_path / 'bags'), str(data), '--jobs', '1']
    arguments = build_parser().parse_args(words)
    assert arguments.run(arguments) == 0
    assert json.loads((data / layout.EXTRAS).read_text())['encoding']['quality'] == 18
    arguments = build_parser().parse_args([*words, '--quality', '30'])
    with pytest.raises(UserError, match='give the same --codec and --quality'):
        arguments.run(arguments)
