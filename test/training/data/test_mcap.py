"""The reader of MCAP files: it gives what rosbags gives, in little memory, and more of a torn file."""

import tracemalloc

import pytest
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from support.bags import SECOND, START, TYPES, demonstration, episode, text, write_bag

from mode_ros.training.data.bags import BagProblem, open_bag

TEXT = 'std_msgs/msg/String'


def texts(path, times, every, topics=2):
    """A bag with a text at each of these times, on one topic after the other; a chunk ends after `every` messages."""
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = [writer.add_connection(f'/topic_{k}', TEXT, typestore=TYPES) for k in range(topics)]
        for number, time in enumerate(times):
            data = TYPES.serialize_cdr(text(f'message {number}'), TEXT)
            writer.write(connections[number % topics], START + time, data)
            if number % every == every - 1:
                writer.storage.close_chunk()
    return path


def ours(path, topics=None):
    with open_bag(path) as bag:
        wanted = [found for found in bag.connections if topics is None or found.topic in topics]
        return [(found.topic, time, bytes(data)) for found, time, data in bag.messages(wanted)]


def theirs(path, topics=None):
    with Reader(path) as reader:
        wanted = [found for found in reader.connections if topics is None or found.topic in topics]
        return [(found.topic, time, bytes(data)) for found, time, data in reader.messages(wanted)]


@pytest.mark.parametrize('compression', [None, 'storage', 'message'])
def test_the_messages_are_those_of_rosbags(tmp_path, compression):
    path = write_bag(tmp_path / 'bag', demonstration(30.0), custom=episode(), compression=compression)
    assert ours(path) == theirs(path)
    assert ours(path, ['/arm/twist']) == theirs(path, ['/arm/twist'])


@pytest.mark.parametrize('every', [1, 3, 10])
def test_chunks_that_overlap_are_read_in_the_order_of_time(tmp_path, every):
    # As after a merge: a second run through the same time, in steps that fall between the first one's.
    times = [*range(0, 2000, 20), *range(10, 2000, 20), *range(5, 2000, 20)]
    path = texts(tmp_path / 'bag', times, every)
    found = ours(path)
    assert [time - START for _, time, _ in found] == sorted(times)
    assert found == theirs(path)
    assert ours(path, ['/topic_1']) == theirs(path, ['/topic_1'])


def test_messages_of_the_same_time_stay_in_the_order_of_the_file(tmp_path):
    found = ours(texts(tmp_path / 'bag', [0] * 40, every=3))
    assert [data for _, _, data in found] == [TYPES.serialize_cdr(text(f'message {k}'), TEXT) for k in range(40)]


def test_memory_does_not_grow_with_the_number_of_chunks(tmp_path):
    def peak(path):
        tracemalloc.start()
        try:
            with open_bag(path) as bag:
                for _ in bag.messages(bag.connections):
                    pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    short = texts(tmp_path / 'short', range(500), every=1)
    long = texts(tmp_path / 'long', range(10_500), every=1)
    peak(short)  # what is imported and cached once
    assert (peak(long) - peak(short)) / 10_000 < 100  # bytes per chunk; rosbags keeps about 1000


@pytest.mark.parametrize('length', range(0, 100, 7))
def test_a_file_torn_anywhere_gives_its_first_messages(tmp_path, length):
    path = texts(tmp_path / 'bag', range(0, 50 * SECOND, SECOND), every=5)
    whole, file = ours(path), path / 'bag.mcap'
    content = file.read_bytes()
    file.write_bytes(content[: len(content) * length // 100])
    if length == 0:
        with pytest.raises(BagProblem, match='truncated'), open_bag(path):
            pass
        return
    with open_bag(path) as bag:
        assert bag.torn
        assert bag.message_count == 50  # what metadata.yaml says
    found = ours(path)
    assert found == whole[: len(found)]
    # The index of so small a file is about half of it.
    assert len(found) >= min(50, 50 * length // 60) - 10


def test_zeros_at_the_end_of_a_file_are_no_messages(tmp_path):
    path = texts(tmp_path / 'bag', range(50), every=5)
    file = path / 'bag.mcap'
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 3] + bytes(5_000_000))
    assert 0 < len(ours(path)) < 50


def test_a_damaged_chunk_ends_what_is_read_of_a_torn_file(tmp_path):
    path = write_bag(tmp_path / 'bag', demonstration(60.0), compression='storage')
    whole, file = ours(path), path / 'bag.mcap'
    content = bytearray(file.read_bytes()[:-5])
    place = content.index(b'zstd', len(content) // 2)
    content[place + 30 : place + 4000] = bytes(3970)
    file.write_bytes(content)
    found = ours(path)
    assert found == whole[: len(found)]
    assert 0.3 < len(found) / len(whole) < 0.9


def test_a_whole_file_of_another_kind_is_not_called_torn(tmp_path):
    path = texts(tmp_path / 'bag', range(50), every=5) / 'bag.mcap'
    path.write_bytes(path.read_bytes().replace(b'ros2', b'ros1', 1))
    with pytest.raises(BagProblem, match='Profile is not ros2'), open_bag(path):
        pass


@pytest.mark.parametrize('torn', [False, True])
def test_messages_outside_of_chunks(tmp_path, torn):
    """As rosbag2 writes with the storage profile fastwrite: no chunks and no index."""
    path = texts(tmp_path / 'bag', range(0, 50 * SECOND, SECOND), every=5)
    whole, file = ours(path), path / 'bag.mcap'
    flat = tmp_path / 'flat.mcap'
    flat.write_bytes(without_chunks(file.read_bytes()))
    assert ours(flat) == whole
    if torn:
        flat.write_bytes(flat.read_bytes()[:-37][:-20])  # the footer, and a piece of the last message
        assert ours(flat) == whole[:-1]


def without_chunks(content):
    """The records of the chunks of an MCAP file, one after the other, without an index."""
    made, offset = bytearray(content[:8]), 8
    while True:
        opcode, length = content[offset], int.from_bytes(content[offset + 1 : offset + 9], 'little')
        record, inside = content[offset : offset + 9 + length], content[offset + 9 : offset + 9 + length]
        if opcode == 0x0F:  # end of data
            break
        if opcode == 0x06:  # no compression: 28 bytes, an empty text of 4, a length of 8
            made += inside[40:]
        elif opcode == 0x01:
            made += record
        offset += 9 + length
    return bytes(made) + b'\x02' + (20).to_bytes(8, 'little') + bytes(20) + content[:8]
