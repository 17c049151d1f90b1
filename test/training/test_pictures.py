"""Pictures held on the device are those of the cache."""

import numpy as np
import pytest
import torch
from support.training_sets import TextNumbers, camera_set, train_settings

from mode_ros.errors import UserError
from mode_ros.policy.config import CameraConfig
from mode_ros.training.colours import change_colours
from mode_ros.training.pictures import DevicePictures, pick_shifted, recolour, shift_images
from mode_ros.training.plan import make_plan

DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA'))]


@pytest.fixture(params=DEVICES)
def device(request):
    return torch.device(request.param)


@pytest.mark.parametrize('number', [np.uint8, np.int16])
def test_picked_and_shifted_as_from_the_cache(device, number):
    random = np.random.default_rng(0)
    frames = random.integers(0, 250, (9, 7, 11, 3), dtype=number)
    at, offsets = random.integers(0, 9, 40), random.integers(-5, 6, (40, 2))
    found = pick_shifted(*(torch.from_numpy(each).to(device) for each in (frames, at, offsets)))
    assert (found.cpu().numpy() == shift_images(frames[at], offsets)).all()


def test_colours_within_one_of_255(device):
    random = np.random.default_rng(1)
    images, factors = random.integers(0, 256, (30, 8, 9, 3), dtype=np.uint8), random.uniform(0.5, 1.5, (30, 3))
    found = recolour(torch.from_numpy(images).to(device), torch.from_numpy(factors).to(device)).cpu().numpy()
    difference = np.abs(found.astype(int) - change_colours(images, factors))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.1  # OpenCV counts in fixed point
    assert {0, 255} <= set(found.flat), 'cut, not wrapped around'


def test_a_batch_is_the_same(tmp_path, device):
    data = [camera_set(tmp_path / name, 2, length) for name, length in (('a', 5), ('b', 7))]
    mixture = tmp_path / 'mixture.yaml'
    lines = [f'  - {{path: {path}, weight: {k + 1}}}\n' for k, path in enumerate(data)]
    mixture.write_text('datasets:\n' + ''.join(lines))
    settings = train_settings('', **{'data.path': '', 'data.mixture': str(mixture), 'data.default_shift': 4})
    source = make_plan(settings, TextNumbers()).source

    def shown():
        batches = source.batch(3, 12, slice(2, 11), settings.loss), source.moments([(0, 2), (1, 6)], settings.loss)
        return [(batch.moments, *(each.cpu() for each in batch.images)) for batch in batches]

    cached = shown()
    source.hold_pictures(device)
    assert source.batch(3, 12, slice(2, 11), settings.loss).images[0].device.type == device.type
    for before, after in zip(cached, shown(), strict=True):
        assert before[0] == after[0]
        for first, second in zip(before[1:], after[1:], strict=True):
            assert first.dtype == second.dtype
            assert first.stride() == second.stride()
            assert torch.equal(first, second)


def test_a_gpu_without_room_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'mem_get_info', lambda device: (1_000_000, 80_000_000_000))
    frames = np.zeros((100, 64, 64, 3), np.uint8)

    class Data:
        def __init__(self):
            self.frames = {'static': frames}

        def __len__(self):
            return len(frames)

    camera = CameraConfig(name='static', height=64, width=64)
    with pytest.raises(UserError, match=r'0\.0 GB.*data\.pictures to cache'):
        DevicePictures([Data()], [camera], torch.device('cuda'))
