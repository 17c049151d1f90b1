"""Messages to arrays and back, and what is said of those that cannot be used."""

import dataclasses

import cv2
import numpy as np
import pytest
from geometry_msgs.msg import Vector3, Wrench, WrenchStamped
from pydantic import ValidationError
from sensor_msgs.msg import CompressedImage, FluidPressure, Image, JointState, Range, Temperature
from std_msgs.msg import Float64, Float64MultiArray
from support.contracts import absolute_contract, delta_contract

from mode_ros.control.chunk import ChunkRejected, check_chunk, make_chunk
from mode_ros.control.contract import Camera, State
from mode_ros.control.observation import Unusable
from mode_ros.control.request import ChunkRequest
from mode_ros.errors import UserError
from mode_ros.messages.chunks import decode_chunk, decode_request, encode_chunk, encode_request
from mode_ros.messages.commands import MESSAGE_TYPES, decode_command, encode_command
from mode_ros.messages.images import COLOUR_ENCODINGS, decode_image, encode_compressed_image, encode_image
from mode_ros.messages.setpoints import decode_setpoint
from mode_ros.messages.stamps import to_duration, to_nanoseconds, to_time
from mode_ros.messages.states import MESSAGE_TYPES as STATE_MESSAGES
from mode_ros.messages.states import concerns, decode_state, encode_joint_state, encode_pose
from mode_ros.robots import load_named_contract

CAMERA = Camera(name='static', topic='image', width=32, height=24, max_age=1.0)
COMPRESSED = CAMERA.model_copy(update={'transport': 'compressed'})
STAMP = 1_700_000_000_123_456_789


def picture():
    """Left half red, right half blue, the upper left corner green."""
    rgb = np.zeros((24, 32, 3), np.uint8)
    rgb[:, :16, 0] = 255
    rgb[:, 16:, 2] = 255
    rgb[:8, :8] = (0, 255, 0)
    return rgb


def raw(encoding, array, padding=0):
    rows = array.reshape(array.shape[0], -1)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    return Image(
        height=array.shape[0], width=array.shape[1], encoding=encoding, step=padded.shape[1], data=padded.tobytes()
    )


def test_stamps_are_exact():
    assert to_nanoseconds(to_time(STAMP)) == STAMP
    assert to_nanoseconds(to_duration(1_500_000_000)) == 1_500_000_000


def test_raw_round_trip():
    message = encode_image(picture(), STAMP, 'static')
    assert to_nanoseconds(message.header.stamp) == STAMP
    assert (decode_image(message, CAMERA) == picture()).all()


def test_jpeg_round_trip_keeps_colours_in_order():
    message = encode_compressed_image(picture(), STAMP, 'static', quality=100)
    decoded = decode_image(message, COMPRESSED)
    assert np.abs(decoded[12:, 24:].astype(int) - (0, 0, 255)).max() < 12
    assert np.abs(decoded[16:, :8].astype(int) - (255, 0, 0)).max() < 12


@pytest.mark.parametrize('padding', [0, 5])
@pytest.mark.parametrize(
    ('encoding', 'code'),
    [
        ('rgb8', None),
        ('bgr8', cv2.COLOR_RGB2BGR),
        ('8UC3', cv2.COLOR_RGB2BGR),
        ('rgba8', cv2.COLOR_RGB2RGBA),
        ('bgra8', cv2.COLOR_RGB2BGRA),
    ],
)
def test_colour_encodings_with_and_without_padded_rows(encoding, code, padding):
    array = picture() if code is None else cv2.cvtColor(picture(), code)
    assert (decode_image(raw(encoding, array, padding), CAMERA) == picture()).all()


def test_grey_becomes_three_equal_channels():
    grey = cv2.cvtColor(picture(), cv2.COLOR_RGB2GRAY)
    assert (decode_image(raw('mono8', grey[..., None], 3), CAMERA) == grey[..., None]).all()


def test_bayer_is_converted():
    mosaic = np.zeros((24, 32, 1), np.uint8)
    mosaic[::2, ::2] = 200  # the red places of RGGB
    decoded = decode_image(raw('bayer_rggb8', mosaic), CAMERA)
    assert decoded[12, 16].argmax() == 0
    assert decoded[..., 2].max() < 60


@pytest.mark.parametrize(('encoding', 'red_row', 'red_column'), [('bayer_grbg8', 0, 1), ('bayer_bggr8', 1, 1)])
def test_bayer_patterns_are_not_mixed_up(encoding, red_row, red_column):
    mosaic = np.zeros((24, 32, 1), np.uint8)
    mosaic[red_row::2, red_column::2] = 200
    assert decode_image(raw(encoding, mosaic), CAMERA)[12, 16].argmax() == 0


# Red in BT.601: Y 81, U 90, V 240; two pixels share U and V.
@pytest.mark.parametrize(
    ('encoding', 'two_pixels'),
    [
        ('yuv422', [90, 81, 240, 81]),
        ('uyvy', [90, 81, 240, 81]),
        ('yuv422_yuy2', [81, 90, 81, 240]),
        ('yuyv', [81, 90, 81, 240]),
    ],
)
def test_yuv_is_converted(encoding, two_pixels):
    array = np.tile(np.array(two_pixels, np.uint8).reshape(1, 2, 2), (24, 16, 1))
    assert np.abs(decode_image(raw(encoding, array), CAMERA).astype(int) - (255, 0, 0)).max() < 8


@pytest.mark.parametrize('encoding', COLOUR_ENCODINGS)
def test_every_listed_encoding_does_convert(encoding):
    pairs = dict.fromkeys(('yuv422', 'yuv422_yuy2', 'uyvy', 'yuyv'), 2)
    channels = {'rgba8': 4, 'bgra8': 4, '8UC4': 4, 'mono8': 1, 'nv12': 1, 'nv21': 1, **pairs}.get(
        encoding, 1 if encoding.startswith('bayer') else 3
    )
    rows = 36 if encoding.startswith('nv') else 24  # half as many again for the colours
    message = raw(encoding, np.full((rows, 32, channels), 128, np.uint8))
    message.height = 24
    assert decode_image(message, CAMERA).shape == (24, 32, 3)


def test_another_size_is_resized_as_everywhere():
    large = cv2.resize(picture(), (320, 240), interpolation=cv2.INTER_NEAREST)
    assert (decode_image(raw('rgb8', large), CAMERA) == picture()).all()


@pytest.mark.parametrize(
    ('encoding', 'words'),
    [(name, 'cannot be converted') for name in ('mono16', 'nonsense', '')]
    + [(name, 'is depth, not colours') for name in ('16UC1', '32FC1')],
)
def test_an_encoding_that_cannot_be_converted_is_named(encoding, words):
    with pytest.raises(Unusable, match=f'the encoding {encoding!r} {words}'):
        decode_image(Image(height=24, width=32, encoding=encoding, step=64, data=bytes(64 * 24)), CAMERA)


def test_broken_images():
    with pytest.raises(Unusable, match='rgb8 image of 32x24'):
        decode_image(Image(height=24, width=32, encoding='rgb8', step=96, data=bytes(100)), CAMERA)
    with pytest.raises(Unusable, match='no pixels'):
        decode_image(Image(encoding='rgb8'), CAMERA)
    with pytest.raises(Unusable, match='3 bytes cannot be decoded'):
        decode_image(CompressedImage(format='jpeg', data=b'abc'), COMPRESSED)
    with pytest.raises(Unusable, match='0 bytes cannot be decoded'):
        decode_image(CompressedImage(format='jpeg'), COMPRESSED)
    with pytest.raises(Unusable, match='depth'):
        decode_image(CompressedImage(format='16UC1; compressedDepth', data=b'abc'), COMPRESSED)


def test_joints_are_found_by_name():
    state = absolute_contract().state('joints')  # b, a
    message = JointState(name=['a', 'z', 'b'], position=[1.0, 9.0, 2.0])
    assert decode_state(message, state).tolist() == [2.0, 1.0]


@pytest.mark.parametrize(
    ('message', 'words'),
    [
        (JointState(name=['a'], position=[1.0]), "joints ['b'] are missing"),
        (JointState(name=['a', 'b'], position=[1.0]), "'position' has 1 values for 2 joints"),
        (JointState(name=['a', 'b'], position=[1.0, float('nan')]), 'b is nan'),
    ],
)
def test_unusable_joint_states(message, words):
    with pytest.raises(Unusable) as caught:
        decode_state(message, absolute_contract().state('joints'))
    assert words in str(caught.value)


def test_state_round_trips():
    names, values = ['a', 'b'], np.array([0.5, -0.5])
    message = encode_joint_state(names, values, 2 * values, STAMP)
    assert decode_state(message, absolute_contract().state('joints')).tolist() == [-0.5, 0.5]
    pose_state = load_named_contract('metaworld_sawyer')[0].state('end_effector')
    pose = encode_pose(np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.6, 0.0, 0.8]), STAMP, 'world')
    assert decode_state(pose, pose_state).tolist() == [1.0, 2.0, 3.0, 0.0, 0.6, 0.0, 0.8]


WRENCH = ['force_x', 'force_y', 'force_z', 'torque_x', 'torque_y', 'torque_z']


def felt(kind, names, unit='1', **more):
    values = {'name': 's', 'topic': 's', 'type': kind, 'names': names, 'unit': unit, 'max_age': 1.0, **more}
    return State.model_validate(values)


def wrench():
    return WrenchStamped(wrench=Wrench(force=Vector3(x=1.0, y=2.0, z=3.0), torque=Vector3(x=4.0, y=5.0, z=6.0)))


@pytest.mark.parametrize(
    ('state', 'message', 'values'),
    [
        (felt('wrench', WRENCH), wrench(), [1, 2, 3, 4, 5, 6]),
        (felt('wrench', WRENCH[:3]), wrench(), [1, 2, 3]),
        (felt('array', ['p', 'q'], stamps='reception'), Float64MultiArray(data=[0.5, -2.0]), [0.5, -2]),
        (felt('number', ['n'], stamps='reception'), Float64(data=7.0), [7]),
        (felt('temperature', ['t'], 'degC', scale=1.0, offset=-20.0), Temperature(temperature=25.0), [5]),
        (felt('pressure', ['p'], 'Pa'), FluidPressure(fluid_pressure=101325.0), [101325]),
        (felt('range', ['d'], 'mm', message_unit='m'), Range(range=0.5), [500]),
        (felt('joint_state', ['b'], field='effort'), JointState(name=['a', 'b'], effort=[1.0, 2.0]), [2]),
    ],
)
def test_force_touch_and_single_numbers(state, message, values):
    assert isinstance(message, STATE_MESSAGES[state.type])
    assert decode_state(message, state) == pytest.approx(values)


@pytest.mark.parametrize(
    ('state', 'message', 'words'),
    [
        (felt('array', ['p', 'q'], stamps='reception'), Float64MultiArray(data=[0.5]), 'it has 1 numbers, and 2 are'),
        (felt('wrench', WRENCH), WrenchStamped(wrench=Wrench(torque=Vector3(y=float('nan')))), 'torque_y is nan'),
        (felt('range', ['d']), Range(range=float('inf')), 'd is inf'),  # nothing in sight
        (felt('number', ['n'], stamps='reception'), Float64MultiArray(data=[0.5]), 'it is no std_msgs/msg/Float64'),
        (felt('wrench', WRENCH), JointState(), 'it is no geometry_msgs/msg/WrenchStamped'),
    ],
)
def test_what_is_felt_may_be_unusable(state, message, words):
    with pytest.raises(Unusable) as caught:
        decode_state(message, state)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ('kind', 'names', 'more', 'words'),
    [
        ('wrench', ['x', 'y', 'z'], {}, 'a wrench has the names'),
        ('number', ['a', 'b'], {'stamps': 'reception'}, 'is one number'),
        ('array', ['a'], {}, "say 'stamps: reception'"),
        ('wrench', WRENCH, {'field': 'effort'}, 'field is one of a joint_state'),
    ],
)
def test_states_that_cannot_be(kind, names, more, words):
    with pytest.raises(ValidationError, match=words):
        felt(kind, names, **more)


@pytest.mark.parametrize('robot', ['metaworld_sawyer', 'libero_panda', 'ros2_control_arm'])
def test_commands_round_trip(robot):
    contract = load_named_contract(robot)[0]
    for group in contract.action:
        values = np.linspace(-0.01, 0.02, len(group.names))
        message = encode_command(values, group, contract.period_seconds, STAMP)
        assert isinstance(message, MESSAGE_TYPES[group.output.adapter])
        assert decode_command(message, group, contract.period_seconds) == pytest.approx(values, abs=1e-12)


def test_a_twist_carries_velocities():
    group = delta_contract().action[0]
    message = encode_command(np.array([0.01, 0.0, -0.02]), group, 0.05, STAMP)
    assert message.twist.linear.x == pytest.approx(0.2)
    assert message.twist.linear.z == pytest.approx(-0.4)
    assert message.header.frame_id == 'base'
    assert to_nanoseconds(message.header.stamp) == STAMP


def test_a_joint_trajectory_is_reached_within_the_period():
    group = absolute_contract().action[0]
    message = encode_command(np.array([0.1, 0.2]), group, 0.1, STAMP)
    assert message.joint_names == ['a', 'b']
    assert to_nanoseconds(message.points[0].time_from_start) == 100_000_000
    assert to_nanoseconds(message.header.stamp) == 0, 'joint_trajectory_controller starts a zero stamp at once'


def test_a_joint_trajectory_in_motion_passes_its_target_and_ends_at_rest_there():
    group = absolute_contract().action[0]
    message = encode_command(np.array([0.1, 0.2]), group, 0.1, STAMP, np.array([0.5, 0.0]))
    assert [list(point.positions) for point in message.points] == [[0.1, 0.2]] * 2
    assert [list(point.velocities) for point in message.points] == [[0.5, 0.0], [0.0, 0.0]]
    assert [to_nanoseconds(point.time_from_start) for point in message.points] == [150_000_000, 200_000_000]
    assert decode_command(message, group, 0.1).tolist() == [0.1, 0.2]
    assert decode_setpoint(message, group, 0.1).in_period(50_000_000, 100_000_000, np.zeros(2)).tolist() == [0.1, 0.2]
    still = encode_command(np.array([0.1, 0.2]), group, 0.1, STAMP, np.zeros(2))
    assert [list(point.velocities) for point in still.points] == [[0.0, 0.0]]


def test_commands_of_another_shape_are_refused():
    contract = delta_contract()
    gripper = contract.action[1]
    with pytest.raises(Unusable, match='2 values, expected 1'):
        decode_command(MESSAGE_TYPES['forward_command'](data=[1.0, 2.0]), gripper, 0.05)
    with pytest.raises(Unusable, match='nan'):
        decode_command(MESSAGE_TYPES['forward_command'](data=[float('nan')]), gripper, 0.05)
    with pytest.raises(Unusable, match='0 points'):
        decode_command(MESSAGE_TYPES['joint_trajectory'](joint_names=['a', 'b']), absolute_contract().action[0], 0.1)


def test_chunk_round_trip():
    contract = delta_contract()
    chunk = make_chunk(contract, STAMP, np.arange(12.0).reshape(3, 4))
    message = encode_chunk(chunk)
    assert message.joint_names == ['x', 'y', 'z', 'grip']
    assert [to_nanoseconds(point.time_from_start) for point in message.points] == [50_000_000, 100_000_000, 150_000_000]
    decoded = decode_chunk(message)
    check_chunk(decoded, contract)
    assert decoded.stamp == STAMP
    assert (decoded.actions == chunk.actions).all()


def test_a_ragged_or_empty_chunk_is_refused():
    message = encode_chunk(make_chunk(delta_contract(), STAMP, np.zeros((2, 4))))
    message.points[1].positions = [1.0]
    with pytest.raises(ChunkRejected, match='differ in length'):
        decode_chunk(message)
    message.points = []
    with pytest.raises(ChunkRejected, match='at least 1'):
        check_chunk(decode_chunk(message), delta_contract())


@pytest.mark.parametrize('names', [['finger'], [], ['wheel', 'finger']])
def test_a_message_with_none_of_a_states_joints_is_none_of_that_stream(names):
    message = JointState(name=names, position=[0.1] * len(names))
    assert not concerns(message, absolute_contract().state('joints'))
    assert concerns(JointState(name=['a']), absolute_contract().state('joints')), 'part of them is a fault'


def test_degrees_and_offsets_are_converted_on_the_way_in():
    state = absolute_contract().state('joints')
    degrees = state.model_copy(update={'message_unit': 'deg'})
    assert decode_state(JointState(name=['b', 'a'], position=[90.0, -180.0]), degrees) == pytest.approx(
        [np.pi / 2, -np.pi]
    )
    counts = state.model_copy(update={'scale': 0.001, 'offset': -2.0})
    assert decode_state(JointState(name=['b', 'a'], position=[1000.0, 2000.0]), counts) == pytest.approx([-1.0, 0.0])


@pytest.mark.parametrize('quaternion', [(0, 0, 0, 0), (0, 0, 0, 2), (float('nan'), 0, 0, 1)])
def test_an_orientation_that_is_none_is_unusable(quaternion):
    pose_state = load_named_contract('metaworld_sawyer')[0].state('end_effector')
    with pytest.raises(Unusable):
        decode_state(encode_pose(np.zeros(3), np.array(quaternion, float), STAMP, 'world'), pose_state)


def test_a_joint_that_is_named_twice_is_unusable():
    with pytest.raises(Unusable, match='named twice'):
        decode_state(JointState(name=['a', 'a', 'b'], position=[1.0, 2.0, 3.0]), absolute_contract().state('joints'))


def known_request(**change):
    values = {
        'identity': 'a1-7',
        'stamp': STAMP,
        'not_before': None,
        'reserved': 2,
        'times': (-50_000_000, 0, 50_000_000, 100_000_000),
        'actions': np.arange(12.0).reshape(4, 3),
        'period': 50_000_000,
        'delay': 30_000_000,
        'begun': STAMP - 7,
    }
    return ChunkRequest(**{**values, **change})


@pytest.mark.parametrize('change', [{}, {'not_before': STAMP - 5, 'times': (), 'actions': np.zeros((0, 3))}])
def test_request_round_trip(change):
    request = known_request(**change)
    decoded = decode_request(encode_request(request, ('x', 'y', 'z')))
    assert dataclasses.replace(decoded, actions=0) == dataclasses.replace(request, actions=0)
    assert decoded.actions.tolist() == request.actions.tolist()


@pytest.mark.parametrize(
    ('spoil', 'words'),
    [
        (lambda m: setattr(m.header, 'frame_id', ''), 'no identity'),
        (lambda m: setattr(m.header, 'frame_id', 'identity=a reserved=some'), 'cannot be read'),
        (lambda m: setattr(m.header, 'frame_id', 'identity=a reserved=-1'), 'reserves -1'),
        (lambda m: setattr(m.points[1], 'positions', [1.0]), 'expected 3'),
        (lambda m: setattr(m.points[1], 'positions', [1.0, float('nan'), 0.0]), 'not a number'),
        (lambda m: m.points.reverse(), 'do not rise'),
    ],
)
def test_a_request_that_no_chunk_can_answer_is_refused(spoil, words):
    message = encode_request(known_request(), ('x', 'y', 'z'))
    spoil(message)
    with pytest.raises(UserError, match=words):
        decode_request(message)


def test_a_chunk_carries_the_identity_of_its_request():
    chunk = make_chunk(delta_contract(), STAMP, np.zeros((2, 4)), 'a1-7')
    assert decode_chunk(encode_chunk(chunk)).identity == 'a1-7'
