"""A camera that hangs is told from a scene that stands still."""

import numpy as np
import pytest

from mode_ros.control.frozen import FrozenCameras, digest

SECOND = 1_000_000_000
PATIENCE = SECOND


def watch(spread=(0.5, 0.5)):
    return FrozenCameras(PATIENCE, {'joints': np.array(spread)})


def play(found, seconds, content=lambda k: 7, joints=lambda k: (0.0, 0.0), start=0, camera='static'):
    """Ten pictures and states a second."""
    for k in range(start, start + round(10 * seconds) + 1):
        found.state('joints', np.array(joints(k)))
        found.picture(camera, k * SECOND // 10, content(k))


def test_the_same_picture_while_the_robot_moves_is_a_camera_that_hangs():
    found = watch()
    play(found, 1.5, joints=lambda k: (0.01 * k, 0.0))
    [problem] = found.problems()
    assert problem.startswith('static: its picture has not changed for 1.5 s while the robot moved')


@pytest.mark.parametrize(
    ('content', 'joints'),
    [
        (lambda k: k, lambda k: (0.01 * k, 0.0)),  # the picture changes
        (lambda k: 7, lambda k: (0.0, 0.0)),  # nobody moves
        (lambda k: 7, lambda k: (0.04 * (k % 2), 0.0)),  # no further than an encoder's noise
    ],
)
def test_all_is_well(content, joints):
    found = watch()
    play(found, 5, content, joints)
    assert found.problems() == []


def test_not_before_the_patience_is_over():
    found = watch()
    play(found, 1.0, joints=lambda k: (k, 0.0))
    assert found.problems() == []
    play(found, 0.1, joints=lambda k: (k, 0.0), start=11)
    assert len(found.problems()) == 1


def test_a_silent_camera_is_not_a_frozen_one():
    """Its age says so; here only repeated pictures count."""
    found = watch()
    play(found, 0.5)
    for k in range(100):
        found.state('joints', np.array([0.1 * k, 0.0]))
    assert found.problems() == []


def test_it_stays_until_the_picture_changes_even_when_the_robot_stops():
    found = watch()
    play(found, 1.5, joints=lambda k: (0.01 * k, 0.0))
    play(found, 3, joints=lambda k: (0.15, 0.0), start=16)
    assert len(found.problems()) == 1
    found.picture('static', 5 * SECOND, 8)
    assert found.problems() == []


def test_each_camera_is_judged_by_its_own_pictures():
    found = watch()
    for k in range(16):
        found.state('joints', np.array([0.0, 0.01 * k]))
        found.picture('static', k * SECOND // 10, k)
        found.picture('wrist', k * SECOND // 10, 7)
    assert [problem.split(':')[0] for problem in found.problems()] == ['wrist']
    found.clear()
    assert found.problems() == []


def test_numbers_without_a_spread_and_values_that_are_none_count_for_nothing():
    found = watch(spread=(0.0, 0.5))
    play(found, 1.5, joints=lambda k: (k, 0.0))
    found.state('joints', np.array([np.nan, np.nan]))
    found.state('joints', np.array([1.0]))
    found.state('other', np.array([9.0, 9.0]))
    found.picture('static', 2 * SECOND, 7)
    assert found.problems() == []


@pytest.mark.parametrize('shape', [(32, 32, 3), (480, 640, 3), (719, 1281, 3)])
def test_a_digest_sees_a_change_that_a_policy_could(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    other = image.copy()
    row, column = shape[0] // 2, shape[1] // 2
    other[row : row + 8, column : column + 8] ^= 1
    assert digest(image.tobytes()) == digest(bytearray(image.tobytes()))
    assert digest(image.tobytes()) != digest(other.tobytes())
    assert digest(b'') == digest(b'')
