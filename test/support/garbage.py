"""Structured garbage: messages of the right types that say what no driver should, as plain objects and as bytes."""

from types import SimpleNamespace

import numpy as np
from hypothesis import strategies as st

MEAN = [0.0, -0.0, 1.0, -1.0, 1e300, -1e300, 5e-324, float('inf'), float('-inf'), float('nan')]
numbers = st.one_of(st.sampled_from(MEAN), st.floats(width=64))
sizes = st.one_of(st.integers(0, 40), st.sampled_from([0, 1, 2, 3, 2**16, 2**31, 2**32 - 1]))
names = st.lists(st.sampled_from(['a', 'b', 'x', 'y', 'z', 'grip', 'finger', '', 'a\x00', 'ä']), max_size=5)
vectors = st.lists(numbers, max_size=6)
ENCODINGS = [
    'rgb8', 'bgr8', 'rgba8', 'bgra8', 'mono8', 'mono16', '8UC1', '8UC3', '8UC4', '16UC1', '32FC1', 'yuv422', 'uyvy',
    'yuyv', 'yuv422_yuy2', 'nv12', 'nv21', 'nv24', 'bayer_rggb8', 'bayer_grbg8', 'bayer_rggb16', '', 'RGB8', '\x00',
]  # fmt: skip
FORMATS = [
    'jpeg', 'png', 'webp', '', 'rgb8; jpeg compressed bgr8', '16UC1; png compressed ', 'bayer_rggb8; png compressed ',
    '16UC1; compressedDepth png', ';', 'mono8; png compressed ',
]  # fmt: skip


def time():
    seconds = st.one_of(st.integers(0, 10), st.sampled_from([0, 2**31 - 1, -(2**31)]))
    return st.builds(SimpleNamespace, sec=seconds, nanosec=st.sampled_from([0, 1, 999_999_999, 2**32 - 1]))


def header():
    return st.builds(SimpleNamespace, stamp=time(), frame_id=st.sampled_from(['', 'base', 'other']))


def buffers():
    """Bytes of some length, without drawing each."""
    return st.builds(
        lambda length, seed: np.random.default_rng(seed).integers(0, 255, length, np.uint8),
        st.one_of(st.integers(0, 64), st.sampled_from([32 * 32, 32 * 32 * 3, 32 * 48, 32 * 32 * 2])),
        st.integers(0, 3),
    )


def images():
    edge = st.one_of(sizes, st.just(32))
    return st.builds(
        SimpleNamespace,
        header=header(),
        height=edge,
        width=edge,
        step=st.one_of(sizes, st.sampled_from([32, 64, 96, 128])),
        encoding=st.sampled_from(ENCODINGS),
        is_bigendian=st.integers(0, 255),
        data=buffers(),
    )


def _pictures():
    import cv2

    made = []
    generator = np.random.default_rng(5)
    for shape, kind in (((32, 32, 3), np.uint8), ((32, 32), np.uint8), ((32, 32), np.uint16), ((1, 1, 4), np.uint8)):
        array = generator.integers(0, np.iinfo(kind).max, shape, kind)
        for extension in ('.png', '.jpg', '.webp'):
            if (kind is np.uint8 and not (extension == '.jpg' and shape[-1] == 4)) or extension == '.png':
                made.append(cv2.imencode(extension, array)[1].tobytes())
    return made


def damaged(data, cut, places):
    broken = bytearray(data)
    for place, value in places:
        broken[place % len(broken)] = value
    return np.frombuffer(bytes(broken[: max(1, len(broken) - cut)]), np.uint8)


def compressed_images():
    whole = st.sampled_from(_pictures())
    # Headers are at the beginning: that is where damage is most of interest.
    places = st.lists(st.tuples(st.one_of(st.integers(0, 60), st.integers(0, 4000)), st.integers(0, 255)), max_size=4)
    data = st.one_of(buffers(), st.builds(damaged, whole, st.one_of(st.just(0), st.integers(0, 200)), places))
    return st.builds(SimpleNamespace, header=header(), format=st.sampled_from(FORMATS), data=data)


def joint_states():
    return st.builds(SimpleNamespace, header=header(), name=names, position=vectors, velocity=vectors, effort=vectors)


def poses():
    point = st.builds(SimpleNamespace, x=numbers, y=numbers, z=numbers)
    turn = st.builds(SimpleNamespace, x=numbers, y=numbers, z=numbers, w=numbers)
    return st.builds(
        SimpleNamespace, header=header(), pose=st.builds(SimpleNamespace, position=point, orientation=turn)
    )


def trajectories():
    point = st.builds(
        SimpleNamespace,
        positions=vectors, velocities=vectors, accelerations=vectors, effort=vectors, time_from_start=time(),
    )  # fmt: skip
    return st.builds(SimpleNamespace, header=header(), joint_names=names, points=st.lists(point, max_size=4))


def twists():
    vector = st.builds(SimpleNamespace, x=numbers, y=numbers, z=numbers)
    return st.builds(SimpleNamespace, header=header(), twist=st.builds(SimpleNamespace, linear=vector, angular=vector))


def arrays():
    return st.builds(SimpleNamespace, data=vectors)


def texts():
    return st.builds(SimpleNamespace, data=st.sampled_from(['', ' ', 'push', '\x00', 'ä' * 500, '🔴']))
