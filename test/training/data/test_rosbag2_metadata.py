"""Bags as `ros2 bag record` of Humble and of Jazzy leaves them: their own metadata.yaml, and no word of this project.

rosbag2 is not needed here: metadata and sqlite3 tables are written as it writes them (version 5 of the metadata with
numbers in a text for the quality of service, version 9 with words in a list, a hash per type and the distribution).
"""

import sqlite3
from collections import Counter

import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from support.bags import DELTA_TEXT, QOS, TYPES, demonstration, episode, write_bag

from mode_ros.training.data.dataset import open_dataset

HASH = 'RIHS01_' + '0123456789abcdef' * 4
HUMBLE_QOS = '\\n'.join(
    ('- history: 3', '  depth: 0', '  reliability: 1', '  durability: 2')
    + tuple(f'  {name}:\\n    sec: 9223372036\\n    nsec: 854775807' for name in ('deadline', 'lifespan'))
    + ('  liveliness: 1', '  liveliness_lease_duration:\\n    sec: 9223372036\\n    nsec: 854775807')
    + ('  avoid_ros_namespace_conventions: false',)
)
HUMBLE_TOPIC = """
    - topic_metadata:
        name: {name}
        type: {type}
        serialization_format: cdr
        offered_qos_profiles: "{qos}"
      message_count: {count}"""
JAZZY_TOPIC = """
    - topic_metadata:
        name: {name}
        type: {type}
        serialization_format: cdr
        offered_qos_profiles:
          - history: unknown
            depth: 0
            reliability: reliable
            durability: volatile
            deadline:
              sec: 9223372036
              nsec: 854775807
            lifespan:
              sec: 9223372036
              nsec: 854775807
            liveliness: automatic
            liveliness_lease_duration:
              sec: 9223372036
              nsec: 854775807
            avoid_ros_namespace_conventions: false
        type_description_hash: {hash}
      message_count: {count}"""
METADATA = """rosbag2_bagfile_information:
  version: {version}
  storage_identifier: {storage}
  duration:
    nanoseconds: {duration}
  starting_time:
    nanoseconds_since_epoch: {start}
  message_count: {count}
  topics_with_message_count:{topics}
  compression_format: ""
  compression_mode: ""
  relative_file_paths:
    - {file}
  files:
    - path: {file}
      starting_time:
        nanoseconds_since_epoch: {start}
      duration:
        nanoseconds: {duration}
      message_count: {count}
"""
HUMBLE_TABLES = """
CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL,
    serialization_format TEXT NOT NULL, offered_qos_profiles TEXT NOT NULL);
CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, timestamp INTEGER NOT NULL,
    data BLOB NOT NULL);
CREATE INDEX timestamp_idx ON messages (timestamp ASC);
"""
JAZZY_TABLES = """
CREATE TABLE schema(schema_version INTEGER PRIMARY KEY, ros_distro TEXT NOT NULL);
CREATE TABLE metadata(id INTEGER PRIMARY KEY, metadata_version INTEGER NOT NULL, metadata TEXT NOT NULL);
CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL,
    serialization_format TEXT NOT NULL, offered_qos_profiles TEXT NOT NULL, type_description_hash TEXT NOT NULL);
CREATE TABLE message_definitions(id INTEGER PRIMARY KEY, topic_type TEXT NOT NULL, encoding TEXT NOT NULL,
    encoded_message_definition TEXT NOT NULL, type_description_hash TEXT NOT NULL);
CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, timestamp INTEGER NOT NULL,
    data BLOB NOT NULL);
CREATE INDEX timestamp_idx ON messages (timestamp ASC);
INSERT INTO schema(schema_version, ros_distro) VALUES (4, 'jazzy');
"""


def qos_text(version):
    """As in the storage's own tables."""
    text = HUMBLE_QOS.replace('\\n', '\n')
    if version == 9:
        for number, word in (('history: 3', 'unknown'), ('reliability: 1', 'reliable'), ('durability: 2', 'volatile')):
            text = text.replace(number, f'{number.split(":")[0]}: {word}')
        text = text.replace('liveliness: 1', 'liveliness: automatic')
    return text


def write_sqlite3(file, items, kinds, version):
    with sqlite3.connect(file) as base:
        base.executescript(HUMBLE_TABLES if version == 5 else JAZZY_TABLES)
        for number, (topic, kind) in enumerate(kinds.items(), 1):
            row = [number, topic, kind, 'cdr', qos_text(version), *([HASH] if version == 9 else [])]
            base.execute(f'INSERT INTO topics VALUES ({", ".join("?" * len(row))})', row)
        numbers = {topic: number for number, topic in enumerate(kinds, 1)}
        for item in items:
            data = bytes(TYPES.serialize_cdr(item.message, item.kind))
            row = (numbers[item.topic], item.received, data)
            base.execute('INSERT INTO messages(topic_id, timestamp, data) VALUES (?, ?, ?)', row)
    base.close()


def write_mcap(folder, items, kinds, version):
    with Writer(folder, version=9 if version == 9 else 8, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {
            topic: writer.add_connection(topic, kind, typestore=TYPES, offered_qos_profiles=[QOS])
            for topic, kind in kinds.items()
        }
        for item in items:
            writer.write(connections[item.topic], item.received, TYPES.serialize_cdr(item.message, item.kind))


def recorded(folder, items, storage, version):
    """A bag of `ros2 bag record`; its file is called NAME_0 as there."""
    kinds = {item.topic: item.kind for item in items}
    file = folder / f'{folder.name}_0.{"mcap" if storage == "mcap" else "db3"}'
    if storage == 'mcap':
        write_mcap(folder, items, kinds, version)
        (folder / f'{folder.name}.mcap').rename(file)
    else:
        folder.mkdir()
        write_sqlite3(file, items, kinds, version)
    counts = Counter(item.topic for item in items)
    template = HUMBLE_TOPIC if version == 5 else JAZZY_TOPIC
    topics = ''.join(
        template.format(name=topic, type=kind, qos=HUMBLE_QOS, hash=HASH, count=counts[topic])
        for topic, kind in kinds.items()
    )
    times = [item.received for item in items]
    metadata = METADATA.format(
        version=version, storage=storage, duration=max(times) - min(times), start=min(times), count=len(items),
        topics=topics, file=file.name,
    )  # fmt: skip
    if version == 9:
        metadata += '  custom_data: ~\n  ros_distro: jazzy\n'
    (folder / 'metadata.yaml').write_text(metadata)
    return folder


@pytest.mark.parametrize('version', [5, 9])
@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
def test_a_bag_of_ros2_bag_record_is_converted(convert, tmp_path, storage, version):
    items = demonstration(2.0)
    write_bag(tmp_path / 'ours', items, custom=episode())
    assert convert(tmp_path / 'ours', tmp_path / 'our_data', '--codec', 'png')[0] == 0
    bag = recorded(tmp_path / 'theirs', items, storage, version)
    (tmp_path / 'contract.yaml').write_text(DELTA_TEXT)
    status, printed = convert(bag, tmp_path / 'data', '--codec', 'png', '--contract', tmp_path / 'contract.yaml')
    assert status == 0, printed
    ours, theirs = open_dataset(tmp_path / 'our_data', 4), open_dataset(tmp_path / 'data', 4)
    assert theirs.goals == ['push the block']
    assert (ours.state == theirs.state).all()
    assert (ours.actions == theirs.actions).all()
    assert (ours.frames['static'] == theirs.frames['static']).all()


def test_without_a_contract_one_is_asked_for(convert, tmp_path):
    bag = recorded(tmp_path / 'theirs', demonstration(1.0), 'mcap', 9)
    status, printed = convert(bag, tmp_path / 'data')
    assert status == 1
    assert 'give it with --contract' in printed


def test_metadata_of_a_newer_rosbag2_is_said(convert, tmp_path):
    bag = recorded(tmp_path / 'theirs', demonstration(1.0), 'mcap', 9)
    text = (bag / 'metadata.yaml').read_text()
    (bag / 'metadata.yaml').write_text(text.replace('version: 9', 'version: 10'))
    (tmp_path / 'contract.yaml').write_text(DELTA_TEXT)
    status, printed = convert(bag, tmp_path / 'data', '--contract', tmp_path / 'contract.yaml')
    assert status == 1
    assert 'version 10 not supported' in printed
