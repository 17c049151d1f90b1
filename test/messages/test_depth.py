"""Depth messages to the codes that the policy sees, and what is no depth."""

import struct
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CompressedImage, Image
from support import garbage
from support.contracts import DELTA_TEXT

from mode_ros.control.contract import parse_contract
from mode_ros.control.depth import FARTHEST, as_rgb, decode_depth, encode_depth, fit_depth
from mode_ros.control.observation import Observation, Unusable
from mode_ros.errors import UserError
from mode_ros.messages.images import decode_image
from mode_ros.messages.picture_header import message_size
from mode_ros.messages.pictures import as_picture
from mode_ros.pairing import predict
from mode_ros.policy.config import CameraConfig
from mode_ros.policy.images import DEPTH_FARTHEST

COLOUR = parse_contract(DELTA_TEXT, 'x').observation.cameras[0]
TEXT = DELTA_TEXT.replace('height: 32,', 'height: 32, kind: depth, near: 0.2, far: 3.0,')
DEPTH = parse_contract(TEXT, 'x').observation.cameras[0]
PACKED = DEPTH.model_copy(update={'transport': 'compressed'})


def assert_words(error):
    assert len(str(error)) > 5


def scene(size=(32, 32)):
    """Millimetres [h, w]: a slope from 0.3 m to 2.9 m, and a hole."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    found = (300 + (x * size[1] + y) * 2600 // (size[0] * size[1])).astype(np.uint16)
    found[4:8, 4:8] = 0
    return found


def raw(values, encoding, padding=0, big=False):
    swapped = values.astype(values.dtype.newbyteorder('>' if big else '<'))
    rows = swapped.view(np.uint8).reshape(len(values), -1)
    rows = np.pad(rows, ((0, 0), (0, padding)))
    return Image(
        height=values.shape[0], width=values.shape[1], encoding=encoding, step=rows.shape[1], is_bigendian=int(big),
        data=rows.tobytes(),
    )  # fmt: skip


def png(values, form, head=b''):
    return CompressedImage(format=form, data=head + cv2.imencode('.png', values)[1].tobytes())


def metres(codes):
    return decode_depth(codes, 0.2, 3.0)[..., 0]


@pytest.mark.parametrize('padding', [0, 10])
@pytest.mark.parametrize('big', [False, True])
def test_millimetres_come_back_to_the_millimetre(padding, big):
    codes = decode_image(raw(scene(), '16UC1', padding, big), DEPTH)
    assert codes.shape == (32, 32, 1)
    assert codes.dtype == np.uint16
    assert (np.rint(np.nan_to_num(metres(codes)) * 1000) == scene()).all()


def test_metres_and_what_is_no_number():
    values = scene().astype(np.float32) / 1000
    values[0, :6] = [np.nan, np.inf, -np.inf, -1.0, 0.05, 70.0]
    codes = decode_image(raw(values, '32FC1'), DEPTH)[..., 0]
    assert codes[0, :6].tolist() == [0, FARTHEST, 1, 0, 1, FARTHEST]
    assert metres(codes[9:, :, None]) == pytest.approx(values[9:], abs=1e-4)
    assert codes.max() == FARTHEST == DEPTH_FARTHEST  # the policy knows the same end


@pytest.mark.parametrize('form', ['16UC1; png compressed ', '16UC1; compressedDepth png', '16UC1; compressedDepth'])
def test_compressed_depth_is_the_same(form):
    head = struct.pack('<iff', 0, 0.0, 0.0) if 'Depth' in form else b''
    message = png(scene(), form, head)
    assert (decode_image(message, PACKED) == decode_image(raw(scene(), '16UC1'), DEPTH)).all()
    assert message_size(message, 'compressed') == (32, 32)


def test_compressed_floats_are_inverse_distances():
    a, b = 1000.0, -20.0  # as compressed_depth_image_transport quantises: code = a / distance + b
    distances = np.maximum(scene(), 1) / 1000
    codes = np.where(scene() == 0, 0, np.rint(a / distances + b)).astype(np.uint16)
    message = png(codes, '32FC1; compressedDepth png', struct.pack('<iff', 0, a, b))
    found = metres(decode_image(message, PACKED))
    assert np.isnan(found[5, 5])
    assert found[9:] == pytest.approx(distances[9:], rel=2e-3)


def test_another_size_takes_pixels_and_mixes_none():
    large = scene((320, 240))
    codes = decode_image(raw(large, '16UC1'), DEPTH)
    assert set(np.unique(codes)) <= set(np.unique(encode_depth(large / 1000, 0.2, 3.0)))
    assert fit_depth(np.arange(9, dtype=np.uint16).reshape(3, 3, 1), 1, 1).item() == 4  # the middle


class Smaller:
    """A policy that was trained with smaller pictures than the contract has, and keeps what it is given."""

    config = SimpleNamespace(state_streams=(), cameras=[CameraConfig(name='far', height=32, width=48, depth=True)])

    def predict(self, images, *_):
        self.images = images
        return np.zeros((1, 1))


def test_a_policy_of_smaller_pictures_gets_the_pixels_that_it_learnt_from():
    codes, policy = encode_depth(scene((96, 64)) / 1000, 0.2, 3.0), Smaller()
    predict(policy, Observation(0, {'far': codes}, {}), 'go', np.random.default_rng(0))
    assert policy.images['far'].dtype == np.uint16
    assert np.array_equal(policy.images['far'], fit_depth(codes, 48, 32))


@pytest.mark.parametrize(
    ('message', 'camera', 'words'),
    [
        (Image(height=32, width=32, encoding='rgb8', step=96, data=bytes(3072)), DEPTH, "'rgb8' is not that of depth"),
        (Image(height=32, width=32, encoding='mono16', step=64, data=bytes(2048)), DEPTH, "'mono16' is not that of"),
        (png(np.zeros((32, 32, 3), np.uint8), 'png'), PACKED, 'has 8 bits in 3 channel'),
        (png(np.zeros((32, 32, 3), np.uint8), 'rgb8; png compressed '), PACKED, 'has 8 bits in 3 channel'),
        (png(scene(), 'mono16; png compressed '), PACKED, "is 'mono16', and a plain PNG of depth is 16UC1"),
        (png(scene(), '32FC1; png compressed '), PACKED, 'to be set to compressedDepth'),
        (CompressedImage(format='jpeg', data=b'\xff\xd8\xff\xc0' + bytes(40)), PACKED, 'is a jpeg, and depth comes as'),
        (CompressedImage(format='16UC1; compressedDepth rvl', data=bytes(40)), PACKED, 'RVL, which is not read'),
        (CompressedImage(format='16UC1; compressedDepth png', data=b'abc'), PACKED, 'cannot be read as depth'),
        (png(scene(), '32FC1; compressedDepth png', struct.pack('<iff', 0, np.nan, 0)), PACKED, 'is quantised by'),
        (raw(scene(), '16UC1'), COLOUR, "'16UC1' is depth, not colours; if depth is meant, say 'kind: depth'"),
        (png(scene(), '16UC1; png compressed '), COLOUR.model_copy(update={'transport': 'compressed'}), 'kind: depth'),
        (Image(height=32, width=32, encoding='16UC1', step=20, data=bytes(2048)), DEPTH, 'rows of 20 bytes'),
        (Image(height=32, width=32, encoding='16UC1', step=64, data=bytes(100)), DEPTH, 'has 100 bytes'),
        (Image(height=1 << 20, width=1 << 20, encoding='32FC1', step=1 << 22), DEPTH, 'larger than any camera'),
    ],
)
def test_what_does_not_belong_on_the_stream_is_named(message, camera, words):
    with pytest.raises(Unusable, match=words):
        decode_image(message, camera)


@settings(max_examples=60, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(garbage.images(), garbage.compressed_images()))
def test_whatever_arrives_is_unusable_or_depth(message):
    for camera in (DEPTH, PACKED):
        try:
            codes = decode_image(message, camera)
        except Unusable as error:
            assert_words(error)
            continue
        assert codes.shape == (32, 32, 1)
        assert codes.dtype == np.uint16


@pytest.mark.parametrize(
    ('keys', 'words'),
    [
        ('kind: depth', 'needs near and far'),
        ('kind: depth, near: 2.0, far: 1.0', 'near below far'),
        ('kind: depth, near: 0.1, far: 2.0, encoding: rgb8', 'has no colours'),
        ('near: 0.1', "say 'kind: depth'"),
    ],
)
def test_a_contract_says_what_depth_is(keys, words):
    with pytest.raises(UserError, match=words):
        parse_contract(DELTA_TEXT.replace('height: 32,', f'height: 32, {keys},'), 'x')


def test_people_see_depth_as_grey():
    codes = encode_depth(np.array([[0.0, 0.2, 3.0]]), 0.2, 3.0)
    near = as_rgb(codes)[0, :, 0].tolist()
    assert near == [0, 255, 40]
    kind, data = as_picture(raw(scene(), '16UC1'), DEPTH)
    assert kind == 'image/jpeg'
    shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert shown[20, 2, 0] > shown[20, 30, 0] > 30
