"""Driving from a browser: the dead-man, who drives, late lines; with times of our own."""

import numpy as np
import pytest
from support.contracts import DELTA_TEXT

from mode_ros.control.contract import parse_contract
from mode_ros.control.takeover import FRESH_PERIODS
from mode_ros.control.teleop_mapping import load_mapping
from mode_ros.page.driving import Driving, Malformed, as_game_controller, parse_held
from mode_ros.paths import share_folder

CONTRACT = parse_contract(DELTA_TEXT, 'tester')
PERIOD = CONTRACT.period
NOWHERE = np.full(4, np.nan)


def mapping(name):
    return load_mapping(share_folder() / 'config' / 'teleop' / f'{name}.yaml')


class Page:
    """A driving and its clocks, which go on by periods."""

    def __init__(self):
        self.driving = Driving(CONTRACT, mapping('keyboard_twist'), mapping('game_controller_twist'))
        self.now = 1_000_000_000
        self.come('ann')

    def come(self, session):
        self.driving.come(session, session)
        self.say(session)

    def say(self, session, delay=0.0, others='', **message):
        held = parse_held({'sent': self.now / 1e9 - delay, **message})
        return self.driving.take(session, held, self.now, self.now / 1e9, others)

    def tick(self, reference=NOWHERE):
        return self.driving.tick(self.now, self.now / 1e9, reference)

    def go(self, periods):
        self.now += round(periods * PERIOD)


@pytest.fixture
def page():
    return Page()


def test_nothing_held_says_nothing(page):
    assert page.tick() is None
    page.say('ann')
    assert page.tick() is None


def test_what_is_held_becomes_an_action_stamped_when_it_was_heard(page):
    assert page.say('ann', keys=['w']) == ''
    heard = page.now
    page.go(0.5)
    drive = page.tick()

    assert drive.stamp == heard
    # 0.25 m/s at half speed and 20 Hz.
    assert drive.action[:3].tolist() == pytest.approx([0.00625, 0.0, 0.0])
    assert np.isnan(drive.action[3]), 'the gripper is left alone'
    assert page.driving.driver == 'ann'


def test_a_cut_line_ends_it_within_one_and_a_half_periods(page):
    page.say('ann', keys=['w'])
    heard, stamps = page.now, []
    for _ in range(20):
        page.go(0.25)
        if (drive := page.tick()) is not None:
            stamps.append(drive.stamp if drive.action is not None else 'let go')

    assert stamps[-1] == 'let go'
    assert set(stamps[:-1]) == {heard}, 'no action says that it was heard later than it was'
    assert len(stamps) == 4 * FRESH_PERIODS + 1


def test_letting_go_is_said_once_at_the_next_period(page):
    page.say('ann', keys=['w'])
    assert page.tick().action is not None
    page.say('ann')
    assert page.tick().action is None
    assert page.tick() is None


def test_a_connection_that_ends_lets_go(page):
    page.say('ann', keys=['w'])
    page.tick()
    page.driving.leave('ann')

    assert page.tick().action is None
    assert page.driving.driver == ''


def test_what_was_held_before_a_connection_does_not_count_on_it(page):
    page.driving.come('bob', 'bob')

    assert page.say('bob', keys=['w']) == 'let go first'
    assert page.tick() is None
    page.say('bob')
    assert page.say('bob', keys=['w']) == ''


def test_a_second_driver_is_told_who_drives(page):
    page.come('bob')
    page.say('ann', keys=['w'])

    assert page.say('bob', keys=['s']) == 'ann drives'
    assert page.say('bob') == ''
    assert page.tick().action[0] > 0, 'and changes nothing'
    page.say('ann')
    assert page.say('bob', keys=['s']) == ''
    assert page.tick().action[0] < 0


def test_who_drives_in_another_way_is_told(page):
    assert (
        page.say('ann', keys=['w'], others='somebody else drives: teleop_node') == 'somebody else drives: teleop_node'
    )
    assert page.tick() is None


def test_holding_still_takes_the_robot_over_without_motion(page):
    page.say('ann', hold=True)

    assert page.tick().action[:3].tolist() == [0.0, 0.0, 0.0]


def test_a_line_that_brings_the_past_does_not_move_the_robot(page):
    page.say('ann', keys=['w'])
    page.say('ann')
    page.tick()
    page.go(40)

    assert page.say('ann', delay=0.5, keys=['w']).startswith('the connection is too slow')
    assert page.tick() is None
    assert page.say('ann', keys=['w']) == ''


@pytest.mark.parametrize(
    ('delay', 'words'), [(3.0, 'the connection is too slow'), (-3.0, 'the clock of the page is ahead')]
)
def test_a_line_that_was_slow_from_its_start_drives_nothing(page, delay, words):
    """Also where the browser's idea of the clock is of another server."""
    page.driving.come('far', 'far')
    for keys in ([], ['w'], ['w'], [], ['w']):
        page.go(1)
        assert page.say('far', delay=delay, keys=keys).startswith(words)
        assert page.tick() is None


def test_a_gripper_is_closed_while_its_button_is_held(page):
    page.say('ann', keys=['g'])
    page.tick(np.array([0.0, 0.0, 0.0, -1.0]))

    assert page.tick(np.array([0.0, 0.0, 0.0, -1.0])).action[3] == 1.0


def test_faster_and_slower(page):
    page.say('ann', taps=['+'])
    page.tick()
    assert page.driving.told()['speed'] == 1.0
    page.say('ann', taps=['-', '-'])
    page.tick()
    assert page.driving.told()['speed'] == 0.25


def test_a_gamepad_of_the_browser_drives_as_one_of_ros(page):
    buttons = [0] * 17
    axes = [0.0, -1.0, 0.0, 0.0]
    page.say('ann', axes=axes, buttons=buttons)
    assert page.tick() is None, 'without the deadman'
    buttons[4] = 1  # the left shoulder
    assert page.say('ann', axes=axes, buttons=buttons) == ''
    assert page.tick().action[0] == pytest.approx(0.00625), 'the stick away from the body is forwards'


def pad(*pressed):
    return {'axes': [0.0, -1.0, 0.0, 0.0], 'buttons': [int(index in pressed) for index in range(17)]}


SHOULDER = 4


def test_a_gamepad_that_is_held_when_a_connection_comes_must_be_let_go(page):
    page.driving.come('bob', 'bob')
    page.say('bob')  # what the page says first: of the keys, not of the pad
    assert page.say('bob', **pad(SHOULDER)) == 'let go first'
    assert page.tick() is None
    assert page.say('bob', **pad()) == ''
    assert page.say('bob', **pad(SHOULDER)) == ''
    assert page.tick().action[0] > 0


@pytest.mark.parametrize('delay', [0.0, 0.5])
def test_a_gamepad_that_the_page_has_let_go_of_must_be_let_go(page, delay):
    page.say('ann', **pad())
    page.say('ann', **pad(SHOULDER))
    assert page.tick().action is not None
    page.say('ann', delay)  # as when the window loses the focus
    page.go(4)
    assert page.tick().action is None
    assert page.say('ann', **pad(SHOULDER)) == 'let go first', 'the shoulder has been down all along'
    assert page.tick() is None
    page.say('ann', **pad())
    assert page.say('ann', **pad(SHOULDER)) == ''


def test_a_gamepad_that_is_held_while_another_drives_must_be_let_go(page):
    page.come('bob')
    page.say('bob', **pad())
    page.say('ann', keys=['w'])
    assert page.say('bob', **pad(SHOULDER)) == 'ann drives'
    page.say('ann')
    assert page.say('bob', **pad(SHOULDER)) == 'let go first'


def test_a_gamepad_that_nobody_touches_leaves_the_keys_alone(page):
    page.say('ann', **pad())
    assert page.say('ann', keys=['w']) == ''
    assert page.tick().action[0] > 0


def test_a_gamepads_buttons_ask_the_recorder(page):
    buttons = [0] * 17
    page.say('ann', axes=[0.0] * 4, buttons=buttons)
    buttons[9] = 1  # start
    page.say('ann', axes=[0.0] * 4, buttons=buttons)
    page.say('ann', axes=[0.0] * 4, buttons=buttons)
    page.tick()

    assert page.driving.take_words() == ['start']
    assert page.driving.take_words() == []


def test_buttons_keep_their_names():
    axes, buttons = as_game_controller([0.5, -1.0, 0.0, 0.25, 9.0], [int(index == 5) for index in range(17)])

    assert axes == [-0.5, 1.0, 0.0, -0.25]
    assert buttons[10] == 1, 'the right shoulder'
    assert sum(buttons) == 1


@pytest.mark.parametrize(
    'message',
    [
        None,
        [],
        {},
        {'sent': 'now'},
        {'sent': True},
        {'sent': float('nan')},
        {'sent': 10**400},
        {'sent': 1.0, 'axes': [10**400]},
        {'sent': 1.0, 'keys': 'w'},
        {'sent': 1.0, 'keys': [1]},
        {'sent': 1.0, 'keys': ['w'] * 17},
        {'sent': 1.0, 'axes': [float('inf')]},
        {'sent': 1.0, 'axes': [0.0], 'buttons': ['a']},
        {'sent': 1.0, 'axes': [0.0] * 33},
    ],
)
def test_what_no_page_sends_is_refused(message):
    with pytest.raises(Malformed):
        parse_held(message)


def test_who_holds_while_another_drives_does_not_take_over_when_that_one_is_late(page):
    page.come('bob')
    page.say('bob')
    page.say('ann', keys=['w'])
    assert page.say('bob', keys=['s']) == 'ann drives'
    page.say('ann')
    assert page.say('bob', keys=['s']) == 'let go first'
    page.say('bob')
    assert page.say('bob', keys=['s']) == ''


def test_nor_is_it_taken_over_by_what_came_late_itself(page):
    page.come('bob')
    page.say('ann', keys=['w'])
    assert page.say('bob', delay=0.4, keys=['s']).startswith('the connection is too slow')
    page.say('ann')
    assert page.say('bob', keys=['s']) == 'let go first'


def test_a_tap_beside_a_gamepad_does_not_cost_its_arming(page):
    buttons = [0] * 17
    page.say('ann', axes=[0.0] * 4, buttons=buttons)
    buttons[4] = 1
    assert page.say('ann', axes=[0.0] * 4, buttons=buttons) == ''
    page.say('ann', taps=['.'])
    assert page.say('ann', axes=[0.0] * 4, buttons=buttons) == ''
    page.say('ann')
    assert page.say('ann', axes=[0.0] * 4, buttons=buttons) == 'let go first'
