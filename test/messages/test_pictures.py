"""Pictures as they come: what is none, or not of colours, is named before it costs anything."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image

from mode_ros.control.contract import Camera
from mode_ros.control.observation import Unusable
from mode_ros.messages.images import decode_image
from mode_ros.messages.picture_header import picture_header
from mode_ros.messages.pixels import MAX_PIXELS

RAW = Camera(name='static', topic='image', width=64, height=48, max_age=1.0)
COMPRESSED = RAW.model_copy(update={'transport': 'compressed'})


def compressed(data, form):
    return CompressedImage(format=form, data=bytes(data))


def encoded(array, extension='.png', *options):
    return cv2.imencode(extension, array, list(options))[1].tobytes()


def mosaic():
    """A red scene as an RGGB sensor sees it."""
    made = np.full((48, 64), 40, np.uint8)
    made[0::2, 0::2] = 200
    return made


@pytest.mark.parametrize('form', ['16UC1; png compressed ', 'mono16; png compressed ', 'png', '32FC1; png compressed '])
def test_depth_in_a_compressed_image_is_refused(form):
    depth = np.linspace(400, 3000, 48 * 64).reshape(48, 64).astype(np.uint16)
    with pytest.raises(Unusable, match='16 bits in 1 channel'):
        decode_image(compressed(encoded(depth), form), COMPRESSED)


def test_sixteen_bits_of_colour_are_no_eight():
    with pytest.raises(Unusable, match='16 bits in 3 channel'):
        decode_image(compressed(encoded(np.full((48, 64, 3), 40000, np.uint16)), 'rgb16; png compressed '), COMPRESSED)


def test_eight_bits_that_the_format_calls_depth_are_refused():
    with pytest.raises(Unusable, match='depth or raw'):
        decode_image(compressed(encoded(np.full((48, 64), 9, np.uint8)), '16UC1; png compressed '), COMPRESSED)


@pytest.mark.parametrize(('pattern', 'shift'), [('rggb', (0, 0)), ('grbg', (0, 1)), ('gbrg', (1, 0)), ('bggr', (1, 1))])
def test_a_mosaic_in_a_png_is_demosaiced(pattern, shift):
    data = encoded(np.roll(mosaic(), shift, (0, 1)))
    rgb = decode_image(compressed(data, f'bayer_{pattern}8; png compressed '), COMPRESSED)
    assert rgb[10:-10, 10:-10].mean((0, 1)) == pytest.approx([200, 40, 40], abs=1)


def test_a_mosaic_that_jpeg_has_blurred_is_refused_and_one_that_was_converted_before_is_not():
    with pytest.raises(Unusable, match='a Bayer pattern that jpeg has blurred'):
        decode_image(compressed(encoded(mosaic(), '.jpg'), 'bayer_rggb8; jpeg compressed '), COMPRESSED)
    red = np.full((48, 64, 3), (40, 40, 200), np.uint8)  # OpenCV's order
    rgb = decode_image(compressed(encoded(red, '.jpg'), 'bayer_rggb8; jpeg compressed bgr8'), COMPRESSED)
    assert rgb.mean((0, 1)) == pytest.approx([200, 40, 40], abs=3)


@pytest.mark.parametrize('form', ['mono8; png compressed ', 'png', 'mono8; jpeg compressed '])
def test_a_grey_camera_stays_grey(form):
    extension = '.jpg' if 'jpeg' in form else '.png'
    rgb = decode_image(compressed(encoded(np.full((48, 64), 90, np.uint8), extension), form), COMPRESSED)
    assert (np.abs(rgb.astype(int) - 90) <= 1).all()


def test_one_channel_where_the_format_says_three_is_refused():
    with pytest.raises(Unusable, match="one channel, and 'rgb8'"):
        decode_image(compressed(encoded(np.full((48, 64), 90, np.uint8)), 'rgb8; png compressed '), COMPRESSED)


def test_transparency_is_left_out():
    bgra = np.zeros((48, 64, 4), np.uint8)
    bgra[..., 2], bgra[..., 3] = 250, 128
    assert decode_image(compressed(encoded(bgra), 'rgba8; png compressed '), COMPRESSED)[0, 0].tolist() == [250, 0, 0]


def test_webp_is_read():
    red = np.full((48, 64, 3), (0, 0, 200), np.uint8)
    for options in ([], [cv2.IMWRITE_WEBP_QUALITY, 101]):
        data = encoded(red, '.webp', *options)
        header = picture_header(data)
        assert (header.width, header.height) == (64, 48)
        assert decode_image(compressed(data, 'webp'), COMPRESSED)[20, 20, 0] > 190


def bomb(width, height):
    body = b'IHDR' + struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    end = b'IEND'
    chunk = lambda part: struct.pack('>I', len(part) - 4) + part + struct.pack('>I', zlib.crc32(part))  # noqa: E731
    return b'\x89PNG\r\n\x1a\n' + chunk(body) + chunk(b'IDAT' + zlib.compress(bytes(1000))) + chunk(end)


@pytest.mark.parametrize('size', [(40_000, 40_000), (2**31, 1), (1, MAX_PIXELS + 1)])
def test_a_picture_that_claims_to_be_huge_is_refused_before_it_takes_memory(size, monkeypatch):
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: pytest.fail('it was decoded'))
    with pytest.raises(Unusable, match='is larger than any camera'):
        decode_image(compressed(bomb(*size), 'png'), COMPRESSED)


def test_a_picture_without_pixels_is_refused():
    with pytest.raises(Unusable, match='no pixels'):
        decode_image(compressed(bomb(0, 4), 'png'), COMPRESSED)


@pytest.mark.parametrize('camera', [RAW, COMPRESSED])
def test_a_megabyte_in_the_place_of_an_encoding_makes_no_megabyte_of_a_reason(camera):
    words = 'x' * 10**6
    made = Image(height=48, width=64, step=192, encoding=words, data=bytes(48 * 192))
    with pytest.raises(Unusable) as caught:
        decode_image(made if camera is RAW else compressed(b'nothing', words), camera)
    assert 'x ... x' in str(caught.value)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize('extension', ['.jpg', '.png'])
def test_a_picture_that_ends_too_early_is_refused(extension):
    noise = np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8)
    data = encoded(noise, extension)
    with pytest.raises(Unusable, match='the end of the'):
        decode_image(compressed(data[: len(data) // 2], extension[1:]), COMPRESSED)
    assert decode_image(compressed(data + bytes(100), extension[1:]), COMPRESSED).shape == (48, 64, 3)


def raw(encoding='rgb8', width=50, height=40, step=150, size=None, big=0):
    data = np.full(step * height if size is None else size, 9, np.uint8)
    return Image(encoding=encoding, width=width, height=height, step=step, data=data.tobytes(), is_bigendian=big)


@pytest.mark.parametrize(
    ('message', 'words'),
    [
        (raw(step=100), r'rows of 100 bytes \(step\), and one takes 150'),
        (raw('bgra8', step=150), 'and one takes 200'),
        (raw(size=39 * 150), 'has 5850 bytes, 40 rows of 150 are 6000'),
        (raw(size=41 * 150), 'has 6150 bytes'),
        (raw(width=2**31, height=2**31, size=100), 'larger than any camera'),
        (raw('yuyv', width=51, step=102), 'an odd size'),
        (raw('nv12', width=50, height=41, step=50), 'an odd size'),
        (raw('nv12', step=50), 'has 2000 bytes, 60 rows of 50 are 3000'),
        (raw('bayer_rggb8', width=2, height=2, step=2), 'too small'),
        (raw('', step=150), 'cannot be converted'),
    ],
)
def test_raw_images_that_contradict_themselves(message, words):
    with pytest.raises(Unusable, match=words):
        decode_image(message, RAW)


@pytest.mark.parametrize(
    'encoding', ['rgb8', 'bgr8', 'mono8', 'yuv422_yuy2', 'uyvy', 'nv12', 'bayer_rggb8', 'bgra8', '8UC3']
)
@pytest.mark.parametrize('big', [0, 1])
def test_padded_rows_and_byte_order_change_nothing(encoding, big):
    rows = 60 if encoding == 'nv12' else 40
    used = 50 * {'rgb8': 3, 'bgr8': 3, '8UC3': 3, 'bgra8': 4, 'yuv422_yuy2': 2, 'uyvy': 2}.get(encoding, 1)
    packed = np.random.default_rng(2).integers(0, 255, (rows, used), np.uint8)
    padded = np.full((rows, used + 14), 77, np.uint8)
    padded[:, :used] = packed
    plain = Image(encoding=encoding, width=50, height=40, step=used, data=packed.tobytes())
    wide = Image(encoding=encoding, width=50, height=40, step=used + 14, data=padded.tobytes(), is_bigendian=big)
    unended = Image(encoding=encoding, width=50, height=40, step=used + 14, data=padded.tobytes()[:-14])
    expected = decode_image(plain, RAW)
    assert (decode_image(wide, RAW) == expected).all()
    assert (decode_image(unended, RAW) == expected).all()


# Red in BT.601: Y 81, U 90, V 240.
@pytest.mark.parametrize(('encoding', 'pair'), [('nv12', (90, 240)), ('nv21', (240, 90))])
def test_nv_is_converted(encoding, pair):
    luma = np.full((40, 50), 81, np.uint8)
    colours = np.tile(np.array(pair, np.uint8), (20, 25))
    message = Image(encoding=encoding, width=50, height=40, step=50, data=np.vstack([luma, colours]).tobytes())
    assert np.abs(decode_image(message, RAW).astype(int) - (255, 0, 0)).max() < 8
