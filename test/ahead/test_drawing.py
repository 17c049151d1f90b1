"""The annotated image: that what is said is in it, and that nothing that is said breaks it."""

from dataclasses import replace

import numpy as np
import pytest

from mode_ros.ahead.drawing import AHEAD, ALARM, DECIDED, HEAD, HEIGHT, PAST, PLOTS, ROWS, Row, Scene, draw, plain

RAMP = np.linspace(0.0, 0.3, 10)


def scene(**more):
    row = Row('a', 'rad', -1.0, 1.0, RAMP, RAMP + 0.3)
    told = {
        'picture': np.full((48, 64, 3), 90, np.uint8),
        'camera': '',
        'goal': 'open the drawer',
        'state': 'executing',
        'well': True,
        'words': 'realtime | delay 3 of 4',
        'stopped': '',
        'rows': [row],
        'times': np.linspace(-1.0, 0.0, 10),
        'period': 0.05,
        'decided': 3,
    }
    return Scene(**{**told, **more})


def has(picture, colour):
    return bool((np.abs(picture.astype(int) - colour).max(axis=2) < 20).any())


def test_the_plots_show_past_decided_and_ahead_beside_the_whole_picture():
    drawn = draw(scene())
    assert drawn.shape == (HEAD + HEIGHT, 640 + PLOTS, 3)
    assert (drawn[HEAD:, :640] == 90).all(), 'nothing is drawn over what the robot sees'
    plots = drawn[HEAD:, 640:]
    assert has(plots, PAST)
    assert has(plots, DECIDED)
    assert has(plots, AHEAD)
    assert not has(drawn, ALARM)
    assert not has(draw(scene(decided=0)), DECIDED)


def test_a_stop_is_red():
    drawn = draw(scene(stopped='joints: last message 0.31 s ago'))
    assert has(drawn[:HEAD], ALARM)


def test_a_bound_is_drawn_where_the_plan_comes_near_it():
    near = Row('a', 'rad', -1.0, 0.4, RAMP, RAMP + 0.3)
    assert has(draw(scene(rows=[near]))[HEAD:], ALARM)


@pytest.mark.parametrize(
    'more',
    [
        {'picture': None, 'camera': 'static/image: no image yet'},
        {'picture': np.zeros((500, 16, 3), np.uint8)},
        {'goal': '', 'state': '', 'words': ''},
        {'goal': 'Öffne die Schublade 抽屉を開ける ' * 20, 'stopped': 'x' * 500},
        {'rows': []},
        {'rows': [replace(scene().rows[0], past=np.zeros(0), ahead=np.zeros(0))], 'times': np.zeros(0)},
        {'rows': [replace(scene().rows[0], past=np.full(10, np.nan), ahead=np.full(1, 9.0))]},
        {'rows': [replace(scene().rows[0], name='dimension ' * 9)] * 40},
    ],
)
def test_it_is_drawn_whatever_there_is_to_say(more):
    drawn = draw(scene(**more))
    assert drawn.dtype == np.uint8
    assert drawn.shape[0] == HEAD + HEIGHT


def test_more_dimensions_than_fit_are_counted():
    rows = [replace(scene().rows[0], ahead=RAMP + k) for k in range(ROWS + 5)]
    few, many = draw(scene(rows=rows[:ROWS])), draw(scene(rows=rows))
    assert few.shape == many.shape
    assert (few != many).any()


def test_letters_that_cannot_be_drawn_are_not_hidden():
    assert plain('Öffne\nétage') == 'Offne etage'
    assert plain('開') == '?'
