"""Packets of video to pictures: what is shown, what is waited for, and what is named."""

import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.bags import START, Item, demonstration, picture, write_bag
from support.contracts import DELTA_TEXT
from support.packets import packets
from support.parity import assert_same, converted

from mode_ros.control.contract import parse_contract
from mode_ros.control.observation import ObservationBuffer, Unusable
from mode_ros.errors import UserError
from mode_ros.messages.images import decode_image, image_class
from mode_ros.messages.ingest import check_message, ingest
from mode_ros.messages.packets import Incoming, PacketDecoder, Picture
from mode_ros.messages.pictures import as_picture
from mode_ros.recording.bag import Bag
from mode_ros.training.data.bag_recording import BagRecording
from mode_ros.training.data.recordings import About

TEXT = DELTA_TEXT.replace('height: 32,', 'height: 32, transport: ffmpeg,')
CONTRACT = parse_contract(TEXT, 'x')
VIDEO = CONTRACT.observation.cameras[0]
STAMPS = [START + k * 50_000_000 for k in range(60)]


def shown(decoder, messages):
    """(stamp in periods, number of the picture that it shows) of everything that comes out."""
    found = []
    for message in messages:
        for each in decoder.feed(message):
            stamp = each.header.stamp
            number = (stamp.sec * 10**9 + stamp.nanosec - START) // 50_000_000
            rgb = decode_image(each, VIDEO).astype(int)
            found.append((number, int(np.argmin([np.abs(rgb - picture(k)).mean() for k in range(60)]))))
    return found


@pytest.mark.parametrize('codec', ['h264', 'hevc', 'av1'])
def test_every_packet_is_its_picture(codec):
    found = shown(PacketDecoder(), packets([picture(k) for k in range(25)], STAMPS, codec))
    assert found == [(k, k) for k in range(25)]


def test_pictures_that_wait_for_later_ones_keep_their_own_stamps():
    made = packets([picture(k) for k in range(60)], STAMPS, options={'tune': 'psnr', 'bf': '2', 'preset': 'medium'})
    assert [message.pts for message in made] != sorted(message.pts for message in made)
    found = shown(PacketDecoder(), made)
    assert all(number == shown_there for number, shown_there in found)
    numbers = [number for number, _ in found]
    # That they come in another order is not known at first: the rest of those until a key frame count as lost.
    assert set(range(40, 56)) <= set(numbers)


def test_what_begins_between_key_frames_is_waited_for_and_counted():
    decoder = PacketDecoder()
    found = shown(decoder, packets([picture(k) for k in range(25)], STAMPS)[3:])
    assert found == [(k, k) for k in range(10, 25)]
    assert (decoder.early, decoder.lost) == (7, 0)


def test_after_a_lost_packet_nothing_is_shown_until_the_next_key_frame():
    decoder, made = PacketDecoder(), packets([picture(k) for k in range(25)], STAMPS)
    found = shown(decoder, made[:14] + made[15:])
    assert found == [(k, k) for k in (*range(14), *range(20, 25))]
    assert (decoder.early, decoder.lost) == (0, 5)


def test_a_publisher_that_is_started_anew_is_followed():
    made = packets([picture(k) for k in range(15)], STAMPS)
    again = packets([picture(k + 15) for k in range(12)], STAMPS[15:])
    found = shown(PacketDecoder(), made + again)
    assert found == [(k, k) for k in range(27)]


@pytest.mark.parametrize(
    ('field', 'value', 'words'),
    [
        ('encoding', 'mjpeg;yuv420p;bgr8;bgr8', "is 'mjpeg;yuv420p;bgr8;bgr8', and h264, hevc and av1 are read"),
        ('encoding', 'h264;gray;mono8;bayer_rggb8', 'holds bayer_rggb8, which it has mixed up'),
        ('width', 1 << 20, 'larger than any camera'),
        ('pts', None, 'is no FFMPEGPacket'),
        ('data', np.arange(200, dtype=np.uint8), 'cannot be decoded'),
    ],
)
def test_what_cannot_be_shown_is_named(field, value, words):
    (message,) = packets([picture(0)], STAMPS)
    setattr(message, field, value)
    if field == 'width':
        message.height = value
    (found,) = PacketDecoder().feed(message)
    with pytest.raises(Unusable, match=words):
        decode_image(found, VIDEO)


@settings(max_examples=60, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.integers(0, 24), st.binary(max_size=40), st.integers(0, 700)), max_size=8))
def test_damage_ends_nothing(places):
    decoder, made = PacketDecoder(), packets([picture(k) for k in range(25)], STAMPS)
    for which, noise, at in places:
        data = bytearray(bytes(made[which].data))
        data[at : at + len(noise)] = noise
        made[which].data = np.frombuffer(bytes(data), np.uint8)
    for message in made:
        for each in decoder.feed(message):
            try:
                assert decode_image(each, VIDEO).shape == (32, 32, 3)
            except Unusable:
                continue


def test_damaged_av1_ends_nothing_and_goes_on_with_the_next_key_frame():
    generator = np.random.default_rng(0)
    for _ in range(8):
        decoder, made = PacketDecoder(), packets([picture(k) for k in range(25)], STAMPS, 'av1')
        for message in made[:18]:
            data = np.array(message.data)
            data[generator.integers(len(data), size=4)] = generator.integers(0, 256, 4)
            message.data = data
        for message in made[:20]:
            for each in decoder.feed(message):
                try:
                    assert decode_image(each, VIDEO).shape == (32, 32, 3)
                except Unusable:
                    continue
        assert [number for number, _ in shown(decoder, made[20:])] == list(range(20, 25))


def test_a_video_larger_than_its_message_says_is_refused_before_it_is_made_a_picture():
    class Huge:
        width = height = 16384

        def to_ndarray(self, format):
            raise AssertionError('800 MB')

    with pytest.raises(Unusable, match='larger than any camera'):
        Picture(None, Huge()).rgb()


def test_a_codec_that_nothing_decodes_is_named(monkeypatch):
    from mode_ros.messages import packets as module

    monkeypatch.setattr(module, '_DECODERS', {'h264': ('none', 'neither')})
    (message,) = packets([picture(0)], STAMPS)
    (found,) = PacketDecoder().feed(message)
    with pytest.raises(Unusable, match='nothing here decodes h264'):
        decode_image(found, VIDEO)


def recorded(drop=()):
    """A demonstration whose camera sends video; drop: numbers of packets that were lost."""
    items = demonstration(3.0)
    own = [item for item in items if item.topic == '/static/image']
    made = packets([picture(k) for k in range(len(own))], STAMPS)
    for item, message in zip(own, made, strict=True):
        item.message = message
    gone = [own[k] for k in drop]
    return [item for item in items if item not in gone]


def write(path, items):
    """As the recorder writes, which needs no package for the type."""
    from support.packets import TYPES

    bag = Bag(path)
    for topic, kind in {item.topic: item.kind for item in items}.items():
        bag.add(topic, kind)
    for item in items:
        bag.write(item.topic, item.received, bytes(TYPES.serialize_cdr(item.message, item.kind)))
    bag.close({})
    return path


@pytest.mark.parametrize('drop', [(), (0, 1, 2), (23,)])
def test_frames_are_those_of_the_live_path(tmp_path, drop):
    items = recorded(drop)
    frames, spans = converted(write(tmp_path / 'bag', items), CONTRACT)
    assert len(frames) > 30
    streams = {'/static/image': VIDEO, '/joint_states': CONTRACT.observation.states[0]}
    incoming, buffer, seen = Incoming(), ObservationBuffer(CONTRACT), []
    left = [frame.observation.stamp for frame in frames]
    for item in items:
        if item.topic not in streams:
            continue
        for each in incoming.of(streams[item.topic], item.message):
            ingest(buffer, streams[item.topic], each, item.received, item.received)
        while left and (common := buffer.latest_common_stamp()) is not None and left[0] <= common:
            seen.append(buffer.at(left.pop(0)))
    for frame, theirs in zip(frames, seen, strict=True):
        assert_same(frame.observation, theirs)
    about = About()
    list(BagRecording(tmp_path / 'bag').read(CONTRACT, 'a goal', about, lambda _: None))
    notes = ' '.join(about.notes)
    assert ('7 packets of static came before its first key frame' in notes) == (drop == (0, 1, 2))
    assert ('packets of static are missing, and 6 more' in notes) == (drop == (23,))
    if drop == (23,):  # 0.35 s without a picture, and the contract bears 0.3
        assert any('static: silent for 0.40 s' in span.reason for span in spans)


def test_a_bag_of_another_recorder_brings_its_definition(tmp_path):
    """Written by rosbags' own writer, as by rosbag2 with the package."""
    from support import packets as support

    items = [Item(item.topic, item.message, item.received) for item in recorded()]
    before, support_bags = write_bag.__globals__['TYPES'], write_bag.__globals__
    support_bags['TYPES'] = support.TYPES
    try:
        path = write_bag(tmp_path / 'bag', items)
    finally:
        support_bags['TYPES'] = before
    assert len(converted(path, CONTRACT)[0]) > 50


def test_where_the_package_is_missing_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'ffmpeg_image_transport_msgs', None)
    with pytest.raises(UserError, match='install ros-DISTRO-ffmpeg-image-transport-msgs'):
        image_class(VIDEO)


def test_one_packet_is_looked_at_without_being_shown():
    (message,) = packets([picture(0)], STAMPS)
    check_message(VIDEO, message)
    message.encoding = 'theora'
    with pytest.raises(Unusable, match='theora'):
        check_message(VIDEO, message)
    with pytest.raises(Unusable, match='one alone is no picture'):
        as_picture(message, VIDEO)


def test_depth_is_no_video():
    with pytest.raises(UserError, match='cannot come as video'):
        parse_contract(TEXT.replace('transport: ffmpeg', 'transport: ffmpeg, kind: depth, near: 0.1, far: 1.0'), 'x')
