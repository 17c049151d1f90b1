"""Recordings with a camera of depth, and data sets of them."""

import numpy as np
from support.bags import changed, demonstration, write_bag
from support.contracts import DELTA_TEXT

from mode_ros.control.depth import encode_depth, fit_depth
from mode_ros.training.data.convert import Conversion
from mode_ros.training.data.episode_writer import Encoding
from mode_ros.training.data.inputs import find_recordings
from mode_ros.training.data.staging import Settings

ONE = DELTA_TEXT.replace('height: 32,', 'height: 32, kind: depth, near: 0.2, far: 3.0,')
FAR = '{name: far, topic: static/depth, kind: depth, near: 0.2, far: 3.0, width: 32, height: 32, max_age: 0.3}'
BOTH = DELTA_TEXT.replace('  states:', f'    - {FAR}\n  states:')


def metres(k, size=(32, 32)):
    """Different for every picture, with a hole and something beyond what the contract calls far."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    found = 0.3 + 0.005 * (k % 40) + (x + y) / 40
    found[4:9, 4:9] = 0
    found[-1] = 9.0
    return np.rint(found * 1000) / 1000


def codes(k, size=(32, 32)):
    """What the policy sees of picture k."""
    millimetres = fit_depth(np.rint(metres(k, size) * 1000)[..., None], 32, 32)[..., 0].astype(np.float32)
    return encode_depth(millimetres * np.float32(0.001), 0.2, 3.0)


def as_depth(k, item, encoding='16UC1', size=(32, 32)):
    values = metres(k, size)
    pixels = np.rint(values * 1000).astype('<u2') if encoding == '16UC1' else values.astype('<f4')
    item.message.encoding, item.message.step = encoding, pixels.strides[0]
    item.message.height, item.message.width = values.shape
    item.message.data = pixels.view(np.uint8).reshape(-1)
    return item


def recorded(seconds=2.0, encoding='16UC1', size=(32, 32), colours=False):
    """A demonstration whose camera is one of depth, or with one of depth beside it."""
    depth = changed(demonstration(seconds), '/static/image', lambda k, item: as_depth(k, item, encoding, size))
    if not colours:
        return depth
    own = [item for item in depth if item.topic == '/static/image']
    for item in own:
        item.topic = '/static/depth'
    return sorted([*demonstration(seconds), *own], key=lambda item: item.received)


def depth_data_set(folder, items, text, codec='h264'):
    write_bag(folder / 'bags' / '0', items)
    with Conversion(folder / 'data', Settings(text, encoding=Encoding(codec)), 'tester') as conversion:
        outcome = conversion.run(find_recordings([folder / 'bags'], 'auto'), 1, strict=False)
    return folder / 'data', outcome
