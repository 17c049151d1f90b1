"""Colours are changed as promised, in bytes, and by seed and step alone."""

import numpy as np
import pytest
from support.training_sets import TextNumbers, camera_set, train_settings

from mode_ros.training.colours import GREY, change_colours, draw_factors
from mode_ros.training.plan import make_plan

PICTURE = np.random.default_rng(0).integers(60, 190, (1, 8, 9, 3), dtype=np.uint8)


def changed(brightness=1.0, contrast=1.0, saturation=1.0):
    return change_colours(PICTURE, np.array([[brightness, contrast, saturation]]))[0].astype(float)


def test_factors_of_one_change_nothing():
    assert (changed() == PICTURE[0]).all()


def test_brightness_multiplies():
    assert changed(brightness=0.5) == pytest.approx(PICTURE[0] * 0.5, abs=0.51)
    assert changed(brightness=3.0).max() == 255, 'cut, not wrapped around'


def test_saturation_leaves_the_greys():
    assert np.ptp(changed(saturation=0.0), axis=-1).max() <= 1
    assert changed(saturation=1.3) @ GREY == pytest.approx(PICTURE[0] @ GREY, abs=1.0)


def test_contrast_leaves_the_mean():
    found = changed(contrast=0.5)
    assert (found @ GREY).mean() == pytest.approx((PICTURE[0] @ GREY).mean(), abs=0.6)
    assert found.std() == pytest.approx(PICTURE[0].std() / 2, rel=0.03)


def test_factors_are_drawn_around_one():
    found = draw_factors(np.random.default_rng(0), 4000, (0.2, 0.4, 0.0))
    assert np.abs(found - 1).max(0) == pytest.approx([0.2, 0.4, 0.0], abs=0.01)
    assert found.mean(0) == pytest.approx([1, 1, 1], abs=0.01)


def test_a_step_decides_the_colours_and_nothing_else_changes(tmp_path):
    data = camera_set(tmp_path / 'data', 2, 6)
    settings = train_settings(data)
    other = train_settings(data, **{'data.brightness': 0.3, 'data.saturation': 0.3})
    plain, coloured = (make_plan(each, TextNumbers()).source for each in (settings, other))

    before, after = (source.batch(3, 8, slice(0, 8), settings.loss) for source in (plain, coloured))

    assert before.moments == after.moments
    assert (before.draws.noise == after.draws.noise).all()
    assert (before.images[0] != after.images[0]).any(dim=1).flatten(1).any(1).all(), 'every picture'
    part = coloured.batch(3, 8, slice(2, 4), settings.loss)
    assert (part.images[0] == after.images[0][2:4]).all()
    still = [source.moments(before.moments, settings.loss).images[0] for source in (plain, coloured)]
    assert (still[0] == still[1]).all(), 'held-out pictures stay as they are'
