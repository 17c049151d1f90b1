"""Against the lerobot package itself: it reads what we write, and we read what it writes, frame for frame.

Opt-in, since its install is large:

    python -m venv /somewhere && /somewhere/bin/pip install 'lerobot[dataset]'
    MODE_ROS_LEROBOT_PYTHON=/somewhere/bin/python make test TEST=test/training/data/test_lerobot_round_trip.py
"""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.data_sets import make_data_set
from support.depth import BOTH, depth_data_set, recorded

from mode_ros.training.data.dataset import open_dataset

PYTHON = os.environ.get('MODE_ROS_LEROBOT_PYTHON')
SIDE = Path(__file__).resolve().parents[2] / 'support' / 'lerobot_side.py'

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason='set MODE_ROS_LEROBOT_PYTHON to a Python that has lerobot'),
]

GOALS = ('push the block', 'pull the block', 'push the block')
CHUNK = 4


def lerobot(verb, data_set, *options):
    """What lerobot found in the data set."""
    result = data_set.parent / f'{verb}.npz'
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    done = subprocess.run(
        [PYTHON, str(SIDE), verb, str(data_set), str(result), *options],
        capture_output=True,
        text=True,
        env={**environment, 'HF_HUB_OFFLINE': '1', 'HF_HOME': str(data_set.parent / 'hub')},
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return np.load(result)


def assert_equal(ours, theirs, cameras):
    """Pixels may differ by rounding between two decoders, numbers not at all."""
    assert len(ours) == len(theirs['task'])
    batch = ours.batch(np.arange(len(ours)))
    assert list(batch.goal) == theirs['task'].tolist()
    assert (batch.state == theirs['observation.state']).all()
    assert (batch.padding == theirs['action_is_pad']).all()
    known = ~batch.padding
    assert (batch.actions[known] == theirs['action'][known]).all()
    for name, key in cameras.items():
        images = theirs[key].transpose(0, 2, 3, 1)
        assert images.shape == ours.frames[name].shape
        difference = np.abs(images.astype(int) - ours.frames[name])
        assert difference.mean() < 1.0
        assert np.quantile(difference, 0.99) <= 3


@pytest.mark.parametrize('codec', ['h264', 'png', 'av1'])
def test_lerobot_reads_what_we_write(tmp_path, codec):
    data_set = make_data_set(tmp_path, GOALS, codec=codec)
    theirs = lerobot('read', data_set)
    ours = open_dataset(data_set, CHUNK)
    assert theirs['fps'] == 20
    assert theirs['episodes'] == 3
    assert_equal(ours, theirs, {'static': 'observation.images.static'})
    assert theirs['timestamp'] == pytest.approx(theirs['frame_index'] / 20)
    assert theirs['stats/action/mean'] == pytest.approx(np.array(ours.statistics.action.mean))
    assert theirs['stats/action/q01'] == pytest.approx(np.array(ours.statistics.action.q01))
    assert theirs['stats/observation.images.static/mean'].shape == (3, 1, 1)


def test_lerobot_reads_depth_as_it_is(tmp_path):
    data_set, _ = depth_data_set(tmp_path, recorded(colours=True), BOTH)
    theirs = lerobot('read', data_set)
    codes = open_dataset(data_set, CHUNK).frames['far']
    found = theirs['observation.images.far']
    assert found.dtype == np.int16
    assert (found.transpose(0, 2, 3, 1) == codes).all()
    assert theirs['stats/observation.images.far/mean'].shape == (1, 1, 1)
    assert theirs['stats/observation.images.far/mean'].item() == pytest.approx(codes[::10, ::4, ::4].mean(), rel=0.01)


@pytest.mark.parametrize('kind', ['videos', 'images'])
def test_we_read_what_lerobot_writes(tmp_path, kind):
    data_set = tmp_path / 'theirs'
    theirs = lerobot('write', data_set, *(['images'] if kind == 'images' else []))
    ours = open_dataset(data_set, CHUNK)
    assert ours.contract is None
    assert ours.streams == {'state': 3}
    assert [episode.length for episode in ours.files.episodes] == [30, 45]
    assert_equal(ours, theirs, {name: f'observation.images.{name}' for name in ('front', 'hand')})
    assert ours.statistics.state['state'].max == (44.0, 45.0, 0.0)
