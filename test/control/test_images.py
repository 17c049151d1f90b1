"""One way of resizing, everywhere."""

import numpy as np

from mode_ros.control.images import fit


def test_the_right_size_is_not_copied():
    image = np.zeros((32, 48, 3), np.uint8)
    assert fit(image, 48, 32) is image


def test_shrinking_averages_so_that_thin_lines_stay_visible():
    image = np.zeros((256, 256, 3), np.uint8)
    image[:, 3::8] = 255
    small = fit(image, 32, 32)
    assert small.shape == (32, 32, 3)
    assert np.abs(small.astype(int) - 255 // 8).max() <= 1


def test_width_and_height_are_not_exchanged():
    assert fit(np.zeros((100, 200, 3), np.uint8), 64, 32).shape == (32, 64, 3)


def test_growing():
    assert fit(np.full((16, 16, 3), 9, np.uint8), 64, 64).tolist() == np.full((64, 64, 3), 9).tolist()
