"""What can be wrong with a bag: it is named with its reason, the rest is converted, the exit status tells."""

import math
import re
import shutil

import numpy as np
import pytest
from support.bags import (
    DELTA_TEXT,
    SECOND,
    START,
    changed,
    compressed,
    demonstration,
    episode,
    floats,
    joints,
    picture,
    text,
    without,
    write_bag,
)

JPEG_TEXT = DELTA_TEXT.replace('topic: static/image,', 'topic: static/image, transport: compressed,')


def good_and(tmp_path, items, **options):
    """A folder with a good bag and one of these items."""
    options.setdefault('custom', episode())
    write_bag(tmp_path / 'bags' / 'good', demonstration(2.0), custom=episode())
    return write_bag(tmp_path / 'bags' / 'wrong', items, **options)


def check(convert, tmp_path, *expected, episodes=1):
    """Converts the folder: 3, the reason on the terminal and in the report, and so many episodes all the same."""
    status, printed = convert(tmp_path / 'bags', tmp_path / 'data')
    assert status == 3, printed
    for words in expected:
        assert words in printed
    assert f'{episodes} new episodes' in printed
    page = (tmp_path / 'data' / 'report.html').read_text()
    assert 'wrong' in page
    status, printed = convert(tmp_path / 'bags', tmp_path / 'strict', '--strict')
    assert status == 1
    assert 'mode_ros: wrong: ' in printed
    assert not (tmp_path / 'strict').exists()


def cut(file, where):
    content = file.read_bytes()
    file.write_bytes({'end': content[:-5], 'index': content[:-3000], 'middle': content[: len(content) // 2]}[where])


@pytest.mark.parametrize('compression', [None, 'storage'])
@pytest.mark.parametrize('where', ['end', 'index'])
def test_an_mcap_without_its_index_is_read_to_its_end(convert, tmp_path, report, where, compression):
    items = demonstration(2.0)
    cut(good_and(tmp_path, items, compression=compression) / 'wrong.mcap', where)
    told = f'the end of wrong.mcap is missing; {len(items)} of {len(items)} messages could be read, 2.0 of 2.0 s'
    check(convert, tmp_path, f'left out: wrong: {told}', episodes=2)
    assert [part['length'] for part in report(tmp_path / 'data')['episodes']] == [39, 39]


def test_of_a_truncated_mcap_the_readable_part_is_taken(convert, tmp_path, report):
    items = demonstration(20.0)
    cut(good_and(tmp_path, items) / 'wrong.mcap', 'middle')
    check(convert, tmp_path, 'left out: wrong: the end of wrong.mcap is missing; ', episodes=2)
    told = report(tmp_path / 'data')
    (left,) = told['left_out']
    count, total, seconds = re.search(
        r'; (\d+) of (\d+) messages could be read, ([\d.]+) of 20\.0 s', left['reason']
    ).groups()
    assert int(total) == len(items)
    assert 0.45 * len(items) < int(count) < 0.55 * len(items)
    wrong = next(part for part in told['episodes'] if part['recording'] == 'wrong')
    assert abs(wrong['length'] - 20 * float(seconds)) <= 2


def test_of_a_truncated_and_compressed_mcap_the_whole_chunks_are_taken(convert, tmp_path, report):
    cut(good_and(tmp_path, demonstration(60.0), compression='storage') / 'wrong.mcap', 'middle')
    check(convert, tmp_path, 'left out: wrong: the end of wrong.mcap is missing; ', episodes=2)
    wrong = next(part for part in report(tmp_path / 'data')['episodes'] if part['recording'] == 'wrong')
    assert 100 < wrong['length'] < 700


def test_what_ros2_bag_record_leaves_when_it_is_killed(convert, tmp_path, report):
    """No metadata.yaml, and a file without an end: how long it was, nothing says."""
    bag = good_and(tmp_path, demonstration(4.0), custom=None)
    cut(bag / 'wrong.mcap', 'middle')
    (bag / 'metadata.yaml').unlink()
    status, printed = convert(tmp_path / 'bags', tmp_path / 'data')
    assert status == 3, printed
    assert re.search(
        r'left out: wrong: the end of wrong\.mcap is missing; \d+ messages of 2\.\d s could be read', printed
    )
    assert {part['recording'] for part in report(tmp_path / 'data')['episodes']} == {'good', 'wrong'}


def test_an_mcap_that_ends_before_a_topic_begins(convert, tmp_path):
    items = demonstration(4.0)
    late = [item for item in items if item.topic != '/gripper/command' or item.received > START + 3 * SECOND]
    bag = good_and(tmp_path, late)
    cut(bag / 'wrong.mcap', 'middle')
    check(convert, tmp_path, 'left out: wrong: the end of wrong.mcap is missing')
    (bag / 'metadata.yaml').unlink()  # and with it what would have come
    status, printed = convert(tmp_path / 'bags', tmp_path / 'again')
    assert status == 3
    expected = "left out: wrong: the topic '/gripper/command' holds no message; the end of wrong.mcap is missing"
    assert expected in printed


def test_an_mcap_of_which_nothing_is_left(convert, tmp_path):
    file = good_and(tmp_path, demonstration(2.0)) / 'wrong.mcap'
    file.write_bytes(file.read_bytes()[:200])
    check(convert, tmp_path, 'left out: wrong: the bag cannot be opened, it is truncated or none at all')


def test_a_truncated_sqlite3(convert, tmp_path):
    bag = good_and(tmp_path, demonstration(2.0), storage='sqlite3')
    file = bag / 'wrong.db3'
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    check(convert, tmp_path, 'left out: wrong: the bag ')


def test_damage_in_the_middle_costs_what_comes_after(convert, tmp_path, report):
    items = demonstration(40.0)
    bag = good_and(tmp_path, items, compression='storage')
    file = bag / 'wrong.mcap'
    content = bytearray(file.read_bytes())
    place = content.index(b'zstd', len(content) // 2)
    content[place + 30 : place + 4000] = bytes(3970)
    file.write_bytes(content)
    check(convert, tmp_path, 'left out: wrong: the bag is damaged', episodes=2)
    lengths = {part['recording']: part['length'] for part in report(tmp_path / 'data')['episodes']}
    assert 100 < lengths['wrong'] < 790


def test_an_empty_bag(convert, tmp_path):
    good_and(tmp_path, [], extra_topics=[('/static/image', 'sensor_msgs/msg/Image')])
    check(convert, tmp_path, 'left out: wrong: the bag is empty')


def test_an_empty_file(convert, tmp_path):
    good_and(tmp_path, demonstration(1.0))
    (tmp_path / 'bags' / 'wrong' / 'wrong.mcap').write_bytes(b'')
    check(convert, tmp_path, 'left out: wrong: the bag cannot be opened')


def test_a_file_that_is_no_bag(convert, tmp_path):
    write_bag(tmp_path / 'good', demonstration(2.0), custom=episode())
    (tmp_path / 'holiday.mcap').write_bytes(b'\xff\xd8 not at all')
    status, printed = convert(tmp_path / 'good', tmp_path / 'holiday.mcap', tmp_path / 'data')
    assert status == 3
    assert 'left out: holiday.mcap: the bag cannot be opened' in printed


def test_a_folder_without_metadata(convert, tmp_path):
    bag = good_and(tmp_path, demonstration(2.0))
    (bag / 'metadata.yaml').unlink()
    shutil.copy(bag / 'wrong.mcap', bag / 'wrong_1.mcap')
    check(convert, tmp_path, 'left out: wrong: the bag has no metadata.yaml for its 2 files')


def test_a_missing_topic_with_the_near_one(convert, tmp_path):
    items = [item for item in demonstration(2.0) if item.topic != '/joint_states']
    good_and(tmp_path, items, extra_topics=[('/joint_state', 'sensor_msgs/msg/JointState')])
    check(convert, tmp_path, "wrong: the topic 'joint_states' is missing; did you mean '/joint_state'?")


def test_a_missing_command_topic(convert, tmp_path):
    good_and(tmp_path, [item for item in demonstration(2.0) if item.topic != '/gripper/command'])
    check(convert, tmp_path, "wrong: the topic 'gripper/command' is missing")


def test_a_topic_without_messages(convert, tmp_path):
    items = [item for item in demonstration(2.0) if item.topic != '/static/image']
    good_and(tmp_path, items, extra_topics=[('/static/image', 'sensor_msgs/msg/Image')])
    check(convert, tmp_path, "wrong: the topic '/static/image' holds no message")


def test_a_wrong_message_type(convert, tmp_path):
    def to_text(k, item):
        item.message = text('hello')
        return item

    good_and(tmp_path, changed(demonstration(2.0), '/joint_states', to_text))
    check(convert, tmp_path, "the topic '/joint_states' holds std_msgs/msg/String, expected sensor_msgs/msg/JointState")


def test_compressed_images_where_the_contract_says_raw(convert, tmp_path):
    def jpeg(k, item):
        item.message = compressed(START + k * SECOND // 20, picture(k))
        return item

    good_and(tmp_path, changed(demonstration(2.0), '/static/image', jpeg))
    check(convert, tmp_path, 'holds sensor_msgs/msg/CompressedImage, expected sensor_msgs/msg/Image')


def test_stamps_that_are_all_zero(convert, tmp_path):
    def zero(k, item):
        item.message.header.stamp.sec = item.message.header.stamp.nanosec = 0
        return item

    good_and(tmp_path, changed(demonstration(2.0), '/static/image', zero))
    check(convert, tmp_path, 'wrong: static: all its stamps are zero; its driver must fill header.stamp')


def stamp_at(item, time):
    item.message.header.stamp.sec, item.message.header.stamp.nanosec = divmod(time, SECOND)
    return item


def test_a_hole_in_a_file_without_checksums_is_no_silent_camera(convert, tmp_path):
    bag = good_and(tmp_path, demonstration(4.0))
    (file,) = bag.glob('*.mcap')
    content = bytearray(file.read_bytes())
    begin, length = len(content) // 2, len(content) // 10
    content[begin : begin + length] = bytes(length)
    file.write_bytes(content)
    check(convert, tmp_path, 'wrong: the bag is damaged: ', 'messages could be read', episodes=2)


def test_stamps_that_run_backwards(convert, tmp_path):
    items = changed(demonstration(2.0), '/static/image', lambda k, item: stamp_at(item, START + SECOND * (60 - k)))
    good_and(tmp_path, items)
    check(convert, tmp_path, 'static: its stamps run backwards by 1.00 s')


def test_a_clock_that_is_set_back_ends_the_segment_and_a_new_one_begins(convert, tmp_path, report):
    first = demonstration(2.0)
    second = demonstration(2.0, start=START - 100 * SECOND, offset=102 * SECOND)
    good_and(tmp_path, first + second)
    check(convert, tmp_path, 'its stamps run backwards by 10', episodes=3)
    parts = [part for part in report(tmp_path / 'data')['episodes'] if part['recording'] == 'wrong']
    assert [part['length'] for part in parts] == pytest.approx([39, 39], abs=2)


def test_a_gap_ends_the_segment_there(convert, tmp_path, report):
    good_and(tmp_path, without(demonstration(4.0), '/static/image', 1.5, 2.5))
    check(convert, tmp_path, 'static: silent for 1.05 s', episodes=3)
    parts = [part for part in report(tmp_path / 'data')['episodes'] if part['recording'] == 'wrong']
    assert [part['length'] for part in parts] == [30, 29]
    assert parts[1]['start'] == pytest.approx(2.5)
    (row,) = report(tmp_path / 'data')['left_out']
    assert (row['from'], row['to']) == pytest.approx((1.45, 2.5))


def test_a_segment_shorter_than_a_chunk_is_listed(convert, tmp_path):
    good_and(tmp_path, without(demonstration(2.0), '/static/image', 0.3, 0.8))
    check(convert, tmp_path, 'static: silent for', 'shorter than a chunk of 10', episodes=2)


def test_a_stream_that_dies(convert, tmp_path):
    good_and(tmp_path, without(demonstration(4.0), '/joint_states', 2.0))
    check(convert, tmp_path, 'joints: silent until the end of the recording', episodes=2)


def test_a_stream_that_comes_late(convert, tmp_path):
    good_and(tmp_path, without(demonstration(4.0), '/joint_states', 0.0, 2.0))
    check(convert, tmp_path, 'joints: nothing before', episodes=2)


def test_a_missing_joint(convert, tmp_path):
    def drop(k, item):
        item.message = joints(START + k * SECOND // 50, ['a'], [0.0])
        return item

    good_and(tmp_path, changed(demonstration(2.0), '/joint_states', drop))
    check(convert, tmp_path, "joints: the joints ['b'] are missing")


def test_a_joint_that_the_contract_lacks_and_another_order_are_no_fault(convert, tmp_path):
    from mode_ros.training.data.dataset import open_dataset

    def more(k, item):
        item.message = joints(START + k * SECOND // 50, ['extra', 'b', 'a'], [9.0, 2.0, 1.0])
        return item

    write_bag(tmp_path / 'bag', changed(demonstration(2.0), '/joint_states', more), custom=episode())
    assert convert(tmp_path / 'bag', tmp_path / 'data')[0] == 0
    data = open_dataset(tmp_path / 'data', 4)
    assert (data.state == [1.0, 2.0]).all()  # the contract's order: a, b


def test_nan_in_a_state_costs_the_frames_that_would_have_seen_it(convert, tmp_path, report):
    def spoil(k, item):
        if 50 <= k < 55:
            item.message.position[1] = math.nan
        return item

    good_and(tmp_path, changed(demonstration(4.0), '/joint_states', spoil))
    check(convert, tmp_path, 'joints: a is nan', episodes=3)
    parts = [part for part in report(tmp_path / 'data')['episodes'] if part['recording'] == 'wrong']
    assert sum(part['length'] for part in parts) == 79 - 2


def test_nan_in_a_command_costs_its_period(convert, tmp_path):
    def spoil(k, item):
        if k == 40:
            item.message = floats([math.nan])
        return item

    good_and(tmp_path, changed(demonstration(4.0), '/gripper/command', spoil))
    check(convert, tmp_path, 'gripper: a command of [nan]', episodes=3)


def test_an_image_whose_size_changes(convert, tmp_path, report):
    small = {item.received: item for item in demonstration(4.0, size=(16, 16)) if item.topic == '/static/image'}

    def shrink(k, item):
        return small[item.received] if k >= 40 else item

    good_and(tmp_path, changed(demonstration(4.0), '/static/image', shrink))
    check(convert, tmp_path, 'static: its images are 16x16, and were 32x32 at first', episodes=2)
    assert [part['length'] for part in report(tmp_path / 'data')['episodes']] == [39, 40]


def jpegs(seconds, spoil):
    def encode(k, item):
        good = compressed(START + k * SECOND // 20, picture(k, (64, 48)))
        item.message = compressed(START + k * SECOND // 20, data=spoil(k, good.data))
        return item

    return changed(demonstration(seconds), '/static/image', encode)


def test_a_broken_jpeg_costs_its_frame(convert, tmp_path, report):
    spoiled = jpegs(4.0, lambda k, data: np.frombuffer(b'no picture', np.uint8) if k == 40 else data)
    custom = episode()
    custom = type(custom)(contract_text=JPEG_TEXT, goal='push')
    write_bag(tmp_path / 'bags' / 'good', jpegs(2.0, lambda k, data: data), custom=custom)
    write_bag(tmp_path / 'bags' / 'wrong', spoiled, custom=custom)
    check(convert, tmp_path, "static: its 'jpg' image of 10 bytes cannot be decoded", episodes=3)
    assert [part['length'] for part in report(tmp_path / 'data')['episodes']] == [39, 40, 38]


def test_a_message_that_cannot_be_deserialised(convert, tmp_path):
    from support.bags import TYPES
    from rosbags.rosbag2 import Writer  # isort: skip

    path = good_and(tmp_path, demonstration(1.0))
    shutil.rmtree(path)
    with Writer(path, version=9) as writer:
        connections = {}
        for number, item in enumerate(demonstration(4.0)):
            data = bytes(TYPES.serialize_cdr(item.message, item.kind))
            if item.topic == '/joint_states' and 2.0 <= (item.received - START) / SECOND < 2.1:
                data = data[:20]
            if item.topic not in connections:
                connections[item.topic] = writer.add_connection(item.topic, item.kind, typestore=TYPES)
            writer.write(connections[item.topic], item.received, data)
            assert number >= 0
    check(convert, tmp_path, 'joints: a message is no sensor_msgs/msg/JointState', episodes=3)


def test_a_bag_of_another_contract(convert, tmp_path):
    other = type(episode())(contract_text=DELTA_TEXT.replace('rate: 20.0', 'rate: 10.0'), goal='push')
    good_and(tmp_path, demonstration(2.0), custom=other)
    check(
        convert, tmp_path, 'wrong: it was recorded under another contract. Here, and in the bag: rate: 20.0, not 10.0'
    )


def test_a_bag_with_a_damaged_description(convert, tmp_path):
    bag = good_and(tmp_path, demonstration(2.0))
    metadata = bag / 'metadata.yaml'
    metadata.write_text(metadata.read_text().replace("mode_ros.format: '1'", "mode_ros.format: '99'"))
    check(convert, tmp_path, "has the recording format '99'")


def test_no_goal(convert, tmp_path):
    good_and(tmp_path, demonstration(2.0, goal=''), custom=episode(goal=''))
    check(
        convert, tmp_path, 'wrong: it has no goal, neither in its metadata nor on the goal topic; give one with --goal'
    )


def test_a_robot_that_was_not_commanded_within_the_recording(convert, tmp_path):
    items = demonstration(2.0)
    late = [item for item in items if item.topic == '/gripper/command'][-1]
    items = [item for item in items if item.topic != '/gripper/command'] + [late]
    good_and(tmp_path, items)
    status, printed = convert(tmp_path / 'bags', tmp_path / 'data')
    assert status == 3
    assert 'left out: wrong: gripper: before its first command' in printed


def test_nothing_usable_makes_no_data_set(convert, tmp_path):
    write_bag(tmp_path / 'bag', demonstration(2.0, goal=''))
    (tmp_path / 'contract.yaml').write_text(DELTA_TEXT)
    status, printed = convert(tmp_path / 'bag', tmp_path / 'data', '--contract', tmp_path / 'contract.yaml')
    assert status == 1
    assert 'Nothing could be converted' in printed
    assert 'bag: it has no goal' in printed
    assert not (tmp_path / 'data').exists()


def test_a_recording_whose_gripper_is_told_something_only_at_its_end_says_so(convert, tmp_path):
    items = demonstration(2.0)
    told = [item for item in items if item.topic == '/gripper/command']
    write_bag(tmp_path / 'bag', [item for item in items if item.topic != '/gripper/command'] + told[-3:])
    (tmp_path / 'contract.yaml').write_text(DELTA_TEXT)
    status, printed = convert(tmp_path / 'bag', tmp_path / 'data', '--contract', tmp_path / 'contract.yaml')
    assert status == 1
    assert re.search(r'\d\d frames: gripper: before its first command', printed), printed


@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [
        (['nowhere'], 'There is nothing at'),
        (['empty'], 'There is no recording in'),
        (['bag', '--contract', 'nobody'], "The robot contract 'nobody' is neither a file nor a known robot"),
        (['bag'], 'No recording names its robot contract'),
        (['bag', '--jobs', '0'], '--jobs 0 is too small'),
        (['bag', '--quality', '99'], '--quality 99 is out of range'),
        (['bag', '--from', 'calvin'], "no recording of the kind 'calvin'"),
    ],
)
def test_what_a_user_may_get_wrong(tmp_path, capfd, monkeypatch, arguments, expected):
    from mode_ros.cli.main import main

    monkeypatch.chdir(tmp_path)
    write_bag(tmp_path / 'bag', demonstration(1.0))
    (tmp_path / 'empty').mkdir()
    first, *rest = arguments
    with pytest.raises(SystemExit) as ended:
        main(['convert', first, 'data', *rest])
    assert ended.value.code == 1
    assert expected in capfd.readouterr().err
    assert not (tmp_path / 'data').exists()
