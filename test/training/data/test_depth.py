"""Depth from a bag to the policy: the same numbers live, recorded, converted, learnt and run."""

import itertools

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from support.bags import changed, demonstration, write_bag
from support.contracts import DELTA_TEXT
from support.depth import BOTH, ONE, as_depth, codes, depth_data_set, recorded
from support.parity import assert_same, converted, live
from support.training_sets import TextNumbers, camera_set, train_settings

from mode_ros.control.contract import parse_contract
from mode_ros.control.depth import FARTHEST, fit_depth
from mode_ros.doctor.examine import examine
from mode_ros.errors import UserError
from mode_ros.policy.images import image_to_tensor, normalize_images
from mode_ros.policy.packed_encoder import PackedEncoders
from mode_ros.policy.policy import Policy
from mode_ros.training.batches import Source
from mode_ros.training.data import layout
from mode_ros.training.data.dataset import open_dataset
from mode_ros.training.data.editing import edit
from mode_ros.training.data.rerun_log import data_set_moments
from mode_ros.training.plan import make_plan


@pytest.fixture(scope='module')
def both(tmp_path_factory):
    """A data set of one camera of colours and one of depth, with videos."""
    return depth_data_set(tmp_path_factory.mktemp('both'), recorded(colours=True), BOTH)[0]


@pytest.mark.parametrize(('encoding', 'size'), [('16UC1', (32, 32)), ('32FC1', (32, 32)), ('16UC1', (80, 60))])
def test_frames_are_those_of_the_live_path(tmp_path, encoding, size):
    contract, items = parse_contract(ONE, 'x'), recorded(2.0, encoding, size)
    frames, _ = converted(write_bag(tmp_path / 'bag', items), contract)
    assert len(frames) > 30
    seen = live(contract, items, [frame.observation.stamp for frame in frames])
    for k, (frame, theirs) in enumerate(zip(frames, seen, strict=True)):
        assert_same(frame.observation, theirs)
        off = np.abs(frame.observation.images['static'].astype(int) - codes(k, size))
        assert off.max() <= (0 if encoding == '16UC1' else 1)


def test_a_data_set_keeps_every_code_whatever_the_codec(both):
    data = open_dataset(both, 4)
    frames = data.frames['far']
    assert frames.dtype == np.uint16
    assert frames.shape == (39, 32, 32, 1)
    assert all((frames[k] == codes(k)).all() for k in range(39))
    assert data.frames['static'].shape == (39, 32, 32, 3)
    assert data.frames['static'].dtype == np.uint8
    feature = data.files.features[layout.IMAGE_PREFIX + 'far']
    assert feature['dtype'] == 'image'
    assert feature['shape'] == [32, 32, 1]
    row = pq.read_table(data.files.episodes[0].data)[layout.IMAGE_PREFIX + 'far'][7].as_py()
    picture = cv2.imdecode(np.frombuffer(row['bytes'], np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture.dtype == np.uint16
    assert int(picture.max()) == FARTHEST < 1 << 15  # a signed reader sees the same


def test_a_smaller_cache_takes_pixels_and_mixes_none(both, tmp_path):
    frames = open_dataset(both, 4, size=(16, 16), cache=tmp_path).frames['far']
    assert frames.shape == (39, 16, 16, 1)
    assert (frames[3] == fit_depth(codes(3), 16, 16)).all()


def test_what_is_learnt_is_what_the_policy_sees(both):
    settings = train_settings(both)
    plan = make_plan(settings, TextNumbers())
    assert [camera.depth for camera in plan.config.cameras] == [False, True]
    batch = plan.source.moments([(0, 3), (0, 9)], settings.loss)
    depth = batch.images[1]
    assert depth.shape == (2, 1, 32, 32)
    assert depth.dtype == torch.int16
    data = plan.source.datasets[0]
    assert (depth[0, 0].numpy() == data.frames['far'][3][..., 0]).all()
    policy = Policy.untrained(plan.config, plan.source.statistics, BOTH, 0, text_encoder=TextNumbers())
    images = {name: data.frames[name][3] for name in ('static', 'far')}
    policy.warm_up()
    chunk = policy.predict(images, data.state[3], 'push the block', np.random.default_rng(0))
    assert np.isfinite(chunk).all()
    shown = image_to_tensor(images['far'], plan.config.cameras[1])
    assert shown.shape == (3, 32, 32)
    assert torch.equal(shown, normalize_images(depth[0]))  # learnt as it runs
    # However the encoders are computed.
    embedding = policy.embed_goal('push the block').unsqueeze(0)
    packed = PackedEncoders(plan.config, policy.network)
    found = packed([images['static'], images['far']], packed.modulations(embedding))
    tensors = [image_to_tensor(images[c.name], c).unsqueeze(0) for c in plan.config.cameras]
    torch.testing.assert_close(found, policy.network.encode_images(tensors, embedding), rtol=1e-4, atol=1e-4)
    other = policy.predict(
        {**images, 'far': images['far'] // 2}, data.state[3], 'push the block', np.random.default_rng(0)
    )
    assert not np.allclose(other, chunk)
    share = data.frames['far'][3].astype(np.float32).transpose(2, 0, 1) / FARTHEST
    mean, std = np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711])
    expected = (share - mean[:, None, None]) / std[:, None, None]
    assert shown.numpy() == pytest.approx(expected, abs=1e-5)
    with pytest.raises(UserError, match=r"camera 'far' is uint8 of shape \(32, 32, 3\), but the policy takes uint16"):
        policy.predict({**images, 'far': images['static']}, data.state[3], 'a', np.random.default_rng(0))


def test_colours_change_and_depth_does_not(both):
    settings = train_settings(both, **{'data.brightness': 0.5})
    source: Source = make_plan(settings, TextNumbers()).source
    batch = source.batch(0, 8, slice(None), settings.loss)
    plain = make_plan(train_settings(both), TextNumbers()).source.batch(0, 8, slice(None), settings.loss)
    assert not torch.equal(batch.images[0], plain.images[0])
    assert torch.equal(batch.images[1], plain.images[1])


def test_colours_on_a_depth_stream_and_the_reverse_are_named(tmp_path):
    with pytest.raises(UserError, match="static: the encoding '16UC1' is depth, not colours"):
        depth_data_set(tmp_path / 'a', recorded(), DELTA_TEXT)
    with pytest.raises(UserError, match="static: the encoding 'rgb8' is not that of depth"):
        depth_data_set(tmp_path / 'b', demonstration(), ONE)


def test_a_data_set_of_colours_is_no_depth_to_learn_from(tmp_path):
    data = camera_set(tmp_path / 'data', contract=None)
    arm = tmp_path / 'arm.yaml'
    arm.write_text(ONE)
    with pytest.raises(UserError, match=r"camera 'static' in .* are colours, and its contract says depth"):
        make_plan(train_settings(data, **{'data.contract': str(arm)}), TextNumbers())


@pytest.mark.parametrize(('value', 'words'), [(0, 'measured nothing in 100%'), (9000, 'as far as the contract knows')])
def test_depth_that_says_nothing_is_named(tmp_path, value, words):
    def same(k, item):
        item = as_depth(k, item)
        item.message.data = np.full((32, 32), value, '<u2').view(np.uint8).reshape(-1)
        return item

    items = changed(demonstration(), '/static/image', same)
    data, outcome = depth_data_set(tmp_path, items, ONE)
    assert words in str(outcome)
    arm = tmp_path / 'arm.yaml'
    arm.write_text(ONE)
    for page in (examine(str(data)), examine(str(tmp_path / 'bags'), str(arm))):
        assert any(words in str(finding) for finding in page.findings)
    found = make_plan(train_settings(data, **{'data.validation_share': 0}), TextNumbers()).findings
    assert any(words in str(finding) for finding in found)


def test_edited_depth_is_what_it_was(both, tmp_path):
    before = open_dataset(both, 4, cache=tmp_path / 'one').frames['far'].copy()
    edit(both, relabel={0: 'close it'})
    data = open_dataset(both, 4, cache=tmp_path / 'two')
    assert data.goals == ['close it']
    assert (data.frames['far'] == before).all()


def test_depth_is_shown_to_people_as_grey(both):
    """15-bit codes are no colours: cut to 8 bits they would be noise."""
    for moment in itertools.islice(data_set_moments(both, None), 3):
        assert len(moment.pictures) == 2
        for picture in moment.pictures.values():
            assert (picture.dtype, picture.shape[-1]) == (np.uint8, 3)
