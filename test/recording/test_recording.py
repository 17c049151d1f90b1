"""Episodes on disk: complete or recovered, never half; and what a bag says about itself."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore
from support.contracts import DELTA_TEXT, delta_contract

from mode_ros.errors import UserError
from mode_ros.recording.bag import Bag
from mode_ros.recording.episode import Episode
from mode_ros.recording.folder import RecordingFolder
from mode_ros.recording.salvage import Unsalvageable, salvaged_messages, salvaged_topics
from mode_ros.recording.topics import recorded_topics
from mode_ros.recording.writer import Channel, EpisodeWriter

SECOND = 1_000_000_000
EPISODE = Episode(DELTA_TEXT, goal='open the drawer', success=True, drops={'/a': 2}, topics={'goal': '/left/goal'})
TYPES = get_typestore(Stores.ROS2_HUMBLE)
STRING = TYPES.types['std_msgs/msg/String']
CHANNELS = (Channel('/a', 'std_msgs/msg/String'), Channel('/goal', 'std_msgs/msg/String', latched=True))


def text(words):
    return bytes(TYPES.serialize_cdr(STRING(words), 'std_msgs/msg/String'))


def writer(partial, **options):
    options = {'queue_bytes': 10_000_000, 'min_free_bytes': 0, **options}
    return EpisodeWriter(partial, CHANNELS, lambda: EPISODE, **options)


def contents(bag):
    with AnyReader([bag]) as reader:
        return [(c.topic, stamp, TYPES.deserialize_cdr(raw, c.msgtype).data) for c, stamp, raw in reader.messages()]


def description(bag):
    with AnyReader([bag]) as reader:
        return Episode.from_custom_data(reader.readers[0].storage.metadata.custom, str(bag))


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != '.lock')


def test_what_a_bag_says_about_itself_survives_the_bag(tmp_path):
    folder = RecordingFolder(tmp_path)
    episode = writer(folder.new_episode())
    for index in range(100):
        assert episode.put('/a', index * SECOND, text(f'{index}'))
    assert episode.put('/goal', 100 * SECOND, text('open the drawer'))
    final = episode.finish(10.0)
    assert final == tmp_path / 'episode_000000'
    assert names(tmp_path) == ['episode_000000'], 'nothing temporary is left'
    assert contents(final) == [('/a', i * SECOND, f'{i}') for i in range(100)] + [
        ('/goal', 100 * SECOND, 'open the drawer')
    ]
    assert description(final) == EPISODE
    assert description(final).contract('bag') == delta_contract()
    assert EPISODE.topic('goal') == '/left/goal'
    assert EPISODE.topic('arm/twist') == '/arm/twist'


def test_rosbag2_of_both_distributions_can_read_the_metadata(tmp_path):
    import yaml

    final = write_one(RecordingFolder(tmp_path))
    told = yaml.safe_load((final / 'metadata.yaml').read_text())['rosbag2_bagfile_information']
    assert told['version'] == 8
    assert told['storage_identifier'] == 'mcap'
    assert told['relative_file_paths'] == ['episode_000000.mcap']
    assert (final / 'episode_000000.mcap').exists()
    qos = {topic['topic_metadata']['name']: topic['topic_metadata'] for topic in told['topics_with_message_count']}
    # As rosbag2 up to version 8 writes it: YAML within a text, and numbers for the policies.
    assert yaml.safe_load(qos['/goal']['offered_qos_profiles'])[0]['durability'] == 1
    assert yaml.safe_load(qos['/a']['offered_qos_profiles'])[0]['durability'] == 2


def test_a_bag_of_ros2_bag_record_has_no_episode(tmp_path):
    assert Episode.from_custom_data(None, 'x') is None
    assert Episode.from_custom_data({'somebody': 'else'}, 'x') is None


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'mode_ros.format': '2'}, "recording format '2'"),
        ({'mode_ros.format': 'x'}, "recording format 'x'"),
        ({'mode_ros.success': 'maybe'}, 'damaged'),
        ({'mode_ros.drops': '{'}, 'damaged'),
        ({'mode_ros.drops': '[1]'}, 'damaged'),
    ],
)
def test_a_damaged_or_newer_description_is_named(change, words):
    with pytest.raises(UserError, match=words) as caught:
        Episode.from_custom_data({**EPISODE.to_custom_data(), **change}, 'bags/episode_000003')
    assert 'bags/episode_000003' in str(caught.value)


def test_streams_that_share_a_topic_are_recorded_once_and_commands_goal_and_intervention_with_them():
    topics = {topic.name: topic for topic in recorded_topics(delta_contract())}
    assert set(topics) == {'static/image', 'joint_states', 'arm/twist', 'gripper/command'} | {
        'goal',
        'intervention',
        'success',
        'action_chunk',
        'robot_description',
    }
    assert topics['joint_states'].streams == ('joints',)
    assert topics['joint_states'].max_age == 0.2
    assert topics['arm/twist'].type == 'geometry_msgs/msg/TwistStamped'
    assert topics['arm/twist'].max_age is None
    assert [name for name, topic in topics.items() if topic.latched] == [
        'goal',
        'intervention',
        'success',
        'robot_description',
    ]


def write_one(folder, words='whole'):
    episode = writer(folder.new_episode())
    episode.put('/a', SECOND, text(words))
    return episode.finish(10.0)


def test_a_discarded_episode_leaves_nothing_and_its_neighbours_alone(tmp_path):
    folder = RecordingFolder(tmp_path)
    first = write_one(folder)
    episode = writer(folder.new_episode())
    episode.put('/a', SECOND, text('x'))
    episode.discard(10.0)
    assert names(tmp_path) == [first.name]
    assert not episode.put('/a', SECOND, text('late'))


def test_two_recorders_never_share_a_folder(tmp_path):
    folder = RecordingFolder(tmp_path)
    with pytest.raises(UserError, match='Another recorder is writing'):
        RecordingFolder(tmp_path)
    folder.close()
    RecordingFolder(tmp_path).close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match='file/deeper cannot hold recordings: Not a directory'):
        RecordingFolder(tmp_path / 'file' / 'deeper')


def test_numbers_go_on_after_finished_broken_and_partial_episodes(tmp_path):
    for name in ('episode_000003', '.episode_000004.partial', 'broken/episode_000007'):
        (tmp_path / name).mkdir(parents=True)
    assert RecordingFolder(tmp_path).new_episode().name == 'episode_000008'


KILLED = """
import sys, time
sys.path[:0] = [{test!r}]
from recording.test_recording import *
folder = RecordingFolder(__import__('pathlib').Path({root!r}))
write_one(folder, 'finished before')
episode = writer(folder.new_episode())
for index in range(1000000):
    episode.put('/a', SECOND + index * SECOND // 100, text(f'{{index}}'))
    if index == 10:
        print('writing', flush=True)
    time.sleep(0.005)
"""


def test_kill_9_loses_about_a_second_and_nothing_that_was_finished(tmp_path):
    code = KILLED.format(test=os.path.dirname(os.path.dirname(__file__)), root=str(tmp_path))
    process = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, env=os.environ)
    try:
        assert process.stdout.readline() == b'writing\n'
        time.sleep(2.5)
        sent = 2.0 / 0.0051  # what was surely put by then, the first flush being a second old at most
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / 'episode_000000').iterdir()}
    assert names(tmp_path) == ['.episode_000001.partial', 'episode_000000']

    (said,) = RecordingFolder(tmp_path).recover()

    assert said.startswith('episode_000001 was not closed; recovered ')
    assert names(tmp_path) == ['episode_000000', 'episode_000001']
    saved = contents(tmp_path / 'episode_000001')
    assert [message[2] for message in saved] == [f'{index}' for index in range(len(saved))]
    assert len(saved) > sent / 4
    assert 'without closing' in description(tmp_path / 'episode_000001').recovered
    assert description(tmp_path / 'episode_000001').goal == EPISODE.goal
    assert {path: path.stat().st_mtime_ns for path in before} == before


def torn(tmp_path, cut):
    """An unclosed episode whose file is cut to its first `cut(size)` bytes."""
    folder = RecordingFolder(tmp_path)
    partial = folder.new_episode()
    bag = Bag(partial.bag)
    for channel in CHANNELS:
        bag.add(channel.topic, channel.type, channel.latched)
    partial.describe(EPISODE)
    for index in range(200):
        bag.write('/a', index * SECOND, text('x' * 1000))
        if index % 50 == 49:
            bag.flush()
    bag.abort()
    (file,) = partial.bag.glob('*.mcap')
    os.truncate(file, cut(file.stat().st_size))
    return folder, file


@pytest.mark.parametrize('part', [0.99, 0.6, 0.3, 0.1])
def test_a_torn_file_gives_every_whole_message(tmp_path, part):
    folder, _ = torn(tmp_path, lambda size: int(size * part))
    (said,) = folder.recover()
    saved = contents(tmp_path / 'episode_000000')
    assert len(saved) == pytest.approx(200 * part, abs=6), 'also those of a torn chunk'
    assert [stamp for _, stamp, _ in saved] == [index * SECOND for index in range(len(saved))]
    assert f'recovered {len(saved)} messages' in said


@pytest.mark.parametrize(
    ('cut', 'why'),
    [(0, 'does not begin like MCAP'), (8, 'nothing of its bag had reached the disk'), (60, 'had reached the disk')],
)
def test_what_cannot_be_recovered_is_set_aside_with_a_sentence(tmp_path, cut, why):
    folder, _ = torn(tmp_path, lambda size: cut)
    (said,) = folder.recover()
    assert why in said
    assert 'set aside in broken/episode_000000' in said
    assert why in (tmp_path / 'broken' / 'episode_000000' / 'why.txt').read_text()
    assert not list(folder.recover()), 'it is told once'


def test_without_its_description_a_torn_episode_is_set_aside(tmp_path):
    folder, file = torn(tmp_path, lambda size: size)
    (file.parent.parent / 'episode.json').write_text(json.dumps({'mode_ros.format': '99'}))
    (said,) = folder.recover()
    assert 'robot contract, is missing or damaged' in said


def test_an_episode_that_was_only_not_renamed_yet_gets_its_name(tmp_path):
    folder = RecordingFolder(tmp_path)
    final = write_one(folder)
    partial = tmp_path / '.episode_000000.partial'
    partial.mkdir()
    final.rename(partial / 'episode_000000')
    assert list(folder.recover()) == ['episode_000000 was complete and has got its name.']
    assert contents(final) == [('/a', SECOND, 'whole')]


def test_an_episode_never_takes_the_place_of_another(tmp_path):
    """rename() replaces an empty folder in silence."""
    folder = RecordingFolder(tmp_path)
    episode = writer(folder.new_episode())
    episode.put('/a', SECOND, text('x'))
    (tmp_path / 'episode_000000').mkdir()
    assert episode.finish(5.0) is None
    assert 'there is an episode of that name already' in episode.failure
    assert not any((tmp_path / 'episode_000000').iterdir())


def test_a_foreign_file_is_not_taken_for_a_recording(tmp_path):
    (tmp_path / 'x.mcap').write_bytes(b'SQLite format 3\x00')
    with pytest.raises(Unsalvageable, match='does not begin like MCAP'):
        list(salvaged_messages(tmp_path / 'x.mcap'))
    (tmp_path / 'y.mcap').write_bytes(b'\x89MCAP0\r\n' + b'\x06' + b'\xff' * 30)
    with pytest.raises(Unsalvageable):
        salvaged_topics(tmp_path / 'y.mcap')


class FullDisk(Bag):
    """A disk that takes some messages."""

    left = 20

    def write(self, topic, time, data):
        if self.left == 0:
            raise OSError(errno.ENOSPC, 'No space left on device')
        self.left -= 1
        super().write(topic, time, data)


def test_a_full_disk_stops_says_so_and_keeps_what_is_finished(tmp_path):
    folder = RecordingFolder(tmp_path)
    first = write_one(folder)
    episode = writer(folder.new_episode(), open_bag=FullDisk)
    for index in range(40):
        episode.put('/a', index * SECOND, text(f'{index}'))
    deadline = time.monotonic() + 5.0
    while not episode.failure and time.monotonic() < deadline:
        time.sleep(0.01)
    assert 'the disk is full' in episode.failure
    assert 'Finished episodes are untouched' in episode.failure
    assert not episode.put('/a', SECOND, text('late'))
    assert episode.finish(5.0) is None
    assert contents(first) == [('/a', SECOND, 'whole')]
    assert names(tmp_path) == ['.episode_000001.partial', 'episode_000000']


def test_before_the_disk_is_full_the_episode_is_closed_in_order(tmp_path):
    left = [1_000_000_000]
    episode = writer(RecordingFolder(tmp_path).new_episode(), min_free_bytes=500_000_000, free_bytes=lambda _: left[0])
    assert episode.put('/a', SECOND, text('before'))
    left[0] = 400_000_000
    deadline = time.monotonic() + 5.0
    while not episode.failure and time.monotonic() < deadline:
        episode.put('/a', SECOND, text('more'))
        time.sleep(0.02)
    assert 'has only 400 MB left (limit 500 MB)' in episode.failure
    assert contents(episode.finish(5.0))[0] == ('/a', SECOND, 'before')


class SlowDisk(Bag):
    def write(self, topic, time_ns, data):
        time.sleep(0.05)
        super().write(topic, time_ns, data)


def test_a_slow_disk_costs_messages_that_are_counted_and_never_waits(tmp_path):
    episode = writer(RecordingFolder(tmp_path).new_episode(), open_bag=SlowDisk, queue_bytes=5_000)
    taken = [episode.put('/a', index * SECOND, text('x' * 1000)) for index in range(50)]
    assert 4 <= sum(taken) < 40, 'had it waited for the disk, all would have been taken'
    assert episode.refused['/a'] == 50 - sum(taken)
    assert len(contents(episode.finish(10.0))) == sum(taken), 'what was taken is written'


@pytest.mark.skipif(not hasattr(os, 'geteuid') or os.geteuid() != 0, reason='mounting needs root')
def test_a_really_full_disk(tmp_path):
    disk = tmp_path / 'disk'
    disk.mkdir()
    mount = ['mount', '-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip('this machine mounts no tmpfs')
    try:
        folder = RecordingFolder(disk)
        first = write_one(folder)
        episode = writer(folder.new_episode())
        for index in range(40):
            episode.put('/a', index * SECOND, text('x' * 100_000))
        assert episode.finish(5.0) is None
        assert 'the disk is full' in episode.failure
        assert contents(first) == [('/a', SECOND, 'whole')]
        (said,) = folder.recover()
        assert 'is not recovered yet (No space left on device)' in said
        subprocess.run(['mount', '-o', 'remount,size=20m', str(disk)], check=True)
        (said,) = folder.recover()
        assert 'recovered ' in said
        assert len(contents(disk / 'episode_000001')) >= 20
        folder.close()
    finally:
        subprocess.run(['umount', '-l', str(disk)], check=False)
