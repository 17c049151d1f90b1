"""The page in a real browser, before a robot of our own: keyboard, dead-man, stop, sizes, a server that comes back."""

import asyncio
import re
import threading
import time

import pytest
from support.axe import axe_source, serious_findings
from support.bench import wait_for
from support.browser import errors, find, open_browser, resize, text
from support.contracts import DELTA_TEXT
from support.page_robot import PageRobot

from mode_ros.control.contract import parse_contract
from mode_ros.control.teleop_mapping import load_mapping
from mode_ros.page import press
from mode_ros.page.driving import Driving
from mode_ros.paths import share_folder

pytestmark = pytest.mark.browser


@pytest.fixture(scope='module')
def browser():
    made = open_browser()
    yield made
    made.quit()


def serve(robot, port=0, host='127.0.0.1'):
    from mode_ros.page.server import make_application
    from mode_ros.page.serving import Address, Serving

    return Serving(make_application(robot), Address(host, port))


@pytest.fixture
def robot():
    made = PageRobot()
    made.cameras['static'].push(b'\x80', 100_000_000)
    return made


@pytest.fixture
def page(browser, robot):
    serving = serve(robot)
    resize(browser, 1280, 720)
    browser.get('about:blank')
    errors(browser)  # of the page before, whose server has gone
    browser.get(serving.url)
    wait_for(lambda: text(browser, 'goal-now') == 'open the drawer', 'the state')
    wait_for(lambda: held(robot), 'the line for driving')
    yield browser
    serving.close()


def drive_tab(browser):
    find(browser, '#tab-drive').click()


def actions(browser):
    from selenium.webdriver.common.action_chains import ActionChains

    return ActionChains(browser)


def held(robot):
    return [message for message in robot.held if not isinstance(message, str)]


def moving(robot):
    return bool(held(robot)) and bool(held(robot)[-1].keys)


def test_every_button_of_run_asks_for_its_own_thing(page, robot):
    for selector, said in (
        ('#stop', 'stop'),
        ('#release', 'release'),
        ('[data-call="controller/start"]', 'controller start'),
        ('[data-call="controller/pause"]', 'controller pause'),
        ('[data-call="controller/reset"]', 'controller reset'),
        ('#new-scene', 'simulator reset'),
        ('#goals li:nth-child(2) button', 'close it'),
    ):
        find(page, selector).click()
        wait_for(lambda said=said: robot.done[-1:] == [said], said)
    find(page, '#goal').send_keys('lift the lid\n')
    wait_for(lambda: robot.done[-1] == 'lift the lid', 'the goal')
    wait_for(lambda: text(page, 'answer') == '✓ The goal is "lift the lid".', 'the answer')
    actions(page).send_keys(' ').perform()
    wait_for(lambda: robot.done[-1] == 'stop', 'the space bar after a goal')
    assert errors(page) == []


def test_light_and_dark_are_chosen_and_kept(page):
    back = 'return getComputedStyle(document.body).backgroundColor'
    shades = {}
    for _ in range(3):
        find(page, '#theme').click()
        shades[find(page, 'html').get_attribute('data-theme')] = page.execute_script(back)
    assert set(shades) == {'auto', 'light', 'dark'}
    assert shades['light'] != shades['dark']
    while find(page, 'html').get_attribute('data-theme') != 'dark':
        find(page, '#theme').click()
    page.refresh()
    assert find(page, 'html').get_attribute('data-theme') == 'dark'
    assert page.execute_script(back) == shades['dark']
    page.execute_script('localStorage.clear()')


def test_a_queue_of_goals_where_there_is_one(page, robot):
    assert not find(page, '#queue').is_displayed()
    robot.queue = {'goal': 'close it', 'of': 3, 'ended': [{'goal': 'open it'}], 'in a row': 1}
    wait_for(lambda: find(page, '#queued').text.startswith('goal 2 of 3, 1 succeeded in a row'), 'the queue')
    find(page, '#goal').send_keys('a; b ;')
    find(page, '#queue').click()
    wait_for(lambda: robot.done == [['a', 'b']], 'the goals')
    find(page, '[data-call="goals/next"]').click()
    wait_for(lambda: robot.done[-1] == 'goals next', 'the next one')


def test_a_refusal_is_shown_in_the_words_of_the_node(page):
    find(page, '#release').click()

    wait_for(lambda: text(page, 'answer') == '✗ estop: it is engaged', 'the words')


def test_the_space_bar_stops_wherever_the_focus_is_but_in_a_text(page, robot):
    for selector in ('#tab-run', '[data-call="controller/start"]', '#goals button'):
        page.execute_script('arguments[0].focus()', find(page, selector))
        robot.done.clear()
        actions(page).send_keys(' ').perform()
        wait_for(lambda: robot.done, f'a stop at {selector}')
        wait_for(lambda: not find(page, '#stop').get_attribute('class'), 'that it is known')
        assert set(robot.done) == {'stop'}, 'and nothing else'
    find(page, '#goal').send_keys('open it')
    assert find(page, '#goal').get_attribute('value') == 'open it'
    assert set(robot.done) == {'stop'}


def test_the_space_bar_stops_at_a_tick_box_and_enter_ticks_it(page, robot):
    page.execute_script(
        "const box = document.createElement('input');"
        "Object.assign(box, {type: 'checkbox', id: 'box'});"
        "document.getElementById('run').append(box); box.focus()"
    )
    actions(page).send_keys(' ').perform()
    wait_for(lambda: 'stop' in robot.done, 'the stop')
    assert not find(page, '#box').is_selected()
    actions(page).send_keys('\n').perform()
    assert find(page, '#box').is_selected()


def test_a_stop_is_heard_while_a_camera_hangs(page, robot):
    wait_for(lambda: find(page, 'figure .age').text.startswith('⚠ OLD'), 'an old picture')
    find(page, '#stop').click()
    wait_for(lambda: 'stop' in robot.done, 'the stop')


@pytest.fixture
def blocked(page, robot):
    """Requests that are not answered, as many as the browser lets through, and more; until the event is set."""
    free = threading.Event()

    async def release():
        robot.done.append('release')
        while not free.is_set():
            await asyncio.sleep(0.02)
        return False, 'estop: it is engaged'

    robot.release = release
    page.execute_script("for (let k = 0; k < 9; k++) fetch('/release', { method: 'POST' })")
    wait_for(lambda: len(robot.done) == 6, 'as many as are let through')
    robot.done.clear()
    yield free
    free.set()


def test_a_stop_does_not_wait_behind_the_pages_other_requests(page, robot, blocked):
    find(page, '#stop').click()
    wait_for(lambda: 'stop' in robot.done, 'the stop')
    wait_for(lambda: text(page, 'answer') == '✓ Stop was said on estop.', 'that it is known')
    assert text(page, 'reason') == ''
    robot.done.clear()
    blocked.set()
    wait_for(lambda: robot.done.count('release') == 3, 'those that waited')
    time.sleep(0.3)
    assert 'stop' not in robot.done, 'what was heard is not said again when the robot may have been released'


def test_nor_is_any_of_several_presses(page, robot, blocked):
    page.execute_script('const stop = document.querySelector("#stop"); stop.click(); stop.click(); stop.click()')
    wait_for(lambda: robot.done.count('stop') >= 1 and text(page, 'answer') == '✓ Stop was said on estop.', 'the stop')
    robot.done.clear()
    blocked.set()
    wait_for(lambda: robot.done.count('release') == 3, 'those that waited')
    time.sleep(0.3)
    assert 'stop' not in robot.done


def test_a_start_that_waited_behind_others_is_not_obeyed(page, robot, blocked, monkeypatch):
    monkeypatch.setattr(press, 'LATEST_SECONDS', 0.5)
    find(page, '[data-call="controller/start"]').click()
    time.sleep(1.0)
    blocked.set()
    wait_for(lambda: text(page, 'answer').startswith('✗ It came '), 'the refusal')
    assert 'controller start' not in robot.done


def test_a_stop_that_nobody_answers_is_said_at_once(page, robot):
    page.execute_script('WebSocket.prototype.send = () => {}; window.fetch = () => new Promise(() => {})')
    find(page, '#stop').click()
    assert 'NOT BEEN HEARD' in text(page, 'reason').upper()
    wait_for(lambda: text(page, 'reason').startswith('STOP HAS NOT BEEN HEARD: no answer yet. Press'), 'the words')


def test_what_keeps_the_robot_is_shown(page, robot):
    robot.safety = {'stopped': True, 'latched': True, 'check': 'stale', 'reason': 'joints: last message 0.9 s ago'}
    wait_for(lambda: text(page, 'reason').startswith('stale: joints: last message 0.9 s ago.'), 'the reason')
    assert find(page, '#state').text == '✗ STOPPED'
    robot.nodes['controller'] = {'name': 'controller_node', 'level': 'silent', 'words': 'it is silent', 'values': {}}
    wait_for(lambda: text(page, 'reason') == 'it is silent', 'a dead node')
    assert find(page, '#state').text == '✗ no controller'


def test_what_the_recorder_misses_is_listed(page, robot):
    words = 'cannot start: wrist: nobody publishes on /wrist; no goal: publish one on /goal'
    robot.nodes['recorder'] = {'name': 'recorder_node', 'level': 'warning', 'words': words, 'values': {}}
    drive_tab(page)
    wait_for(lambda: len(page.find_elements('css selector', '#missing li')) == 2, 'the list')
    assert find(page, '#missing').text.splitlines() == [
        '! wrist: nobody publishes on /wrist',
        '! no goal: publish one on /goal',
    ]


def test_every_button_of_drive_and_record(page, robot):
    drive_tab(page)
    for word in ('start', 'success', 'failure', 'stop', 'discard'):
        find(page, f'[data-call="recorder/{word}"]').click()
        wait_for(lambda word=word: robot.done[-1:] == [f'recorder {word}'], word)
    actions(page).click_and_hold(find(page, '#hold')).perform()
    wait_for(lambda: held(robot)[-1].hold, 'holding still')
    actions(page).release().perform()
    wait_for(lambda: not held(robot)[-1].hold, 'letting go')


def test_a_held_button_repeats_and_letting_go_is_said(page, robot):
    drive_tab(page)
    actions(page).click_and_hold(find(page, '[data-key=w]')).perform()
    wait_for(lambda: len([message for message in held(robot) if message.keys == {'w'}]) > 10, 'repetition')
    actions(page).release().perform()
    wait_for(lambda: not moving(robot), 'letting go')
    count = len(held(robot))
    time.sleep(0.3)
    assert len(held(robot)) == count, 'nothing is sent while nothing is held'


@pytest.mark.parametrize(
    'leave',
    [
        "window.dispatchEvent(new Event('blur'))",
        "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'));"
        'delete document.hidden',
    ],
)
def test_another_window_or_tab_lets_go(page, robot, leave):
    drive_tab(page)
    actions(page).click_and_hold(find(page, '[data-key=w]')).perform()
    wait_for(lambda: moving(robot), 'driving')
    page.execute_script(leave)
    wait_for(lambda: not moving(robot), 'letting go')
    actions(page).release().perform()


def test_keys_drive_only_when_they_are_meant_to(page, robot):
    drive_tab(page)
    actions(page).key_down('w').pause(0.2).key_up('w').perform()
    assert not any(message.keys for message in held(robot))
    find(page, '#keys-drive').click()
    actions(page).key_down('w').perform()
    wait_for(lambda: moving(robot), 'driving')
    actions(page).key_up('w').perform()
    wait_for(lambda: not moving(robot), 'letting go')
    find(page, '#tab-run').click()
    actions(page).key_down('w').pause(0.2).key_up('w').perform()
    assert not moving(robot)


KEY = "document.body.dispatchEvent(new KeyboardEvent('%s', {code: 'KeyW', key: '%s', ctrlKey: %s, bubbles: true}))"


@pytest.mark.parametrize(
    'leave',
    [
        # Of AltGr the letter that comes up is another one.
        KEY % ('keyup', 'ł', 'false'),
        KEY % ('keydown', 'w', 'true'),
        "document.getElementById('tab-run').click()",
    ],
)
def test_a_key_that_is_not_seen_to_come_up_does_not_drive_on(page, robot, leave):
    drive_tab(page)
    find(page, '#keys-drive').click()
    actions(page).key_down('w').perform()
    wait_for(lambda: moving(robot), 'driving')
    page.execute_script(leave)
    wait_for(lambda: not moving(robot), 'letting go')
    actions(page).key_up('w').perform()


def test_all_of_it_by_the_keyboard(page, robot):
    from selenium.webdriver.common.keys import Keys

    page.execute_script('arguments[0].focus()', find(page, '#tab-run'))
    actions(page).send_keys(Keys.ARROW_RIGHT).perform()
    assert find(page, '#drive').is_displayed()
    page.execute_script('arguments[0].focus()', find(page, '[data-key=w]'))
    actions(page).key_down(Keys.ENTER).perform()
    wait_for(lambda: moving(robot), 'driving by Enter')
    actions(page).key_up(Keys.ENTER).perform()
    wait_for(lambda: not moving(robot), 'letting go')


def test_a_refused_driver_is_told_why(page, robot):
    robot.refusal = 'a page at 10.0.0.7 drives'
    drive_tab(page)
    actions(page).click_and_hold(find(page, '[data-key=w]')).perform()
    wait_for(lambda: 'a page at 10.0.0.7 drives' in text(page, 'driving'), 'who drives')
    actions(page).release().perform()


@pytest.fixture
def driving(robot):
    """What is held goes to what decides on it."""
    contract = parse_contract(DELTA_TEXT, 'tester')
    folder = share_folder() / 'config' / 'teleop'
    made = Driving(contract, *(load_mapping(folder / f'{name}_twist.yaml') for name in ('keyboard', 'game_controller')))

    def drive(session, held):
        robot.held.append(held)
        return made.take(session, held, time.monotonic_ns(), time.monotonic())

    robot.come, robot.drive, robot.leave = made.come, drive, made.leave
    return made


PAD = """
    window.buttons = [...Array(17)].map(() => ({ pressed: false }));
    const pad = { connected: true, mapping: 'standard', axes: [0, -1, 0, 0], buttons: window.buttons };
    navigator.getGamepads = () => [pad];
    document.hasFocus = () => !window.away;
"""
SHOULDER = 'window.buttons[4].pressed = %s'
AWAY = "window.away = true; window.dispatchEvent(new Event('blur'))"
BACK = "window.away = false; window.dispatchEvent(new Event('focus'))"


def let_go_and_hold(page, driving):
    page.execute_script(SHOULDER % 'false')
    wait_for(lambda: text(page, 'driving').startswith('nobody drives'), 'letting go')
    page.execute_script(SHOULDER % 'true')
    wait_for(lambda: driving.driver, 'driving')


def test_a_gamepad_that_is_held_on_must_be_let_go_where_the_page_has_let_go(driving, page, robot):
    drive_tab(page)
    page.execute_script(PAD + SHOULDER % 'true')
    wait_for(lambda: 'let go first' in text(page, 'driving'), 'that what is held from before does not count')
    let_go_and_hold(page, driving)
    for leave, back in ((AWAY, BACK), (KEY % ('keydown', 'x', 'true'), '')):
        page.execute_script(leave)
        wait_for(lambda: not driving.driver, 'letting go')
        page.execute_script(back)
        count = len(held(robot))
        wait_for(lambda count=count: len(held(robot)) > count + 10, 'the shoulder, which is down all along')
        assert not driving.driver
        assert text(page, 'driving').startswith('✗ Not driving: let go first')
        let_go_and_hold(page, driving)
    page.execute_script(SHOULDER % 'false')


def test_a_gamepad_that_comes_in_anothers_place_must_be_let_go(driving, page, robot):
    drive_tab(page)
    page.execute_script(PAD + 'pad.index = 0')
    wait_for(lambda: held(robot)[-1].pad is not None, 'that nothing of it is held')
    page.execute_script(PAD + SHOULDER % 'true' + '; pad.index = 1')
    wait_for(lambda: 'let go first' in text(page, 'driving'), 'that it has not been let go')
    assert not driving.driver
    let_go_and_hold(page, driving)
    page.execute_script(SHOULDER % 'false')


def test_a_clock_that_stood_still_is_set_anew(driving, page, robot):
    drive_tab(page)
    wait_for(lambda: text(page, 'driving').startswith('nobody drives'), 'the line')
    page.execute_script('const now = performance.now.bind(performance); performance.now = () => now() + 60000')
    actions(page).click_and_hold(find(page, '[data-key=w]')).perform()
    wait_for(lambda: 'let go, and hold it again' in text(page, 'driving'), 'that it does not count')
    assert not driving.driver
    actions(page).release().perform()
    actions(page).click_and_hold(find(page, '[data-key=w]')).perform()
    wait_for(lambda: driving.driver, 'driving')
    actions(page).release().perform()


def test_a_line_that_has_fallen_silent_is_replaced(page, robot):
    page.execute_script(
        'window.opened = 0; const Real = WebSocket;'
        'WebSocket = class extends Real { constructor(...given) { super(...given); window.opened++; } };'
        'WebSocket.OPEN = Real.OPEN'
    )
    wait_for(lambda: text(page, 'state').endswith('running'), 'the state')
    page.execute_script(
        'const now = performance.now.bind(performance); let off = 0; performance.now = () => now() + off; off = 600000'
    )
    wait_for(lambda: page.execute_script('return window.opened') >= 1, 'another line', 10.0)
    wait_for(lambda: text(page, 'state').endswith('running'), 'the state')
    find(page, '[data-call="controller/start"]').click()
    wait_for(lambda: 'controller start' in robot.done, 'a start that is pressed now')


def test_a_gamepad_of_which_nothing_is_held_sends_nothing_and_is_heard_at_once(driving, page, robot):
    drive_tab(page)
    page.execute_script(PAD)
    wait_for(lambda: held(robot)[-1].pad is not None, 'that nothing of it is held')
    count = len(held(robot))
    time.sleep(0.5)  # longer than a pad may be silent
    assert len(held(robot)) == count
    page.execute_script(SHOULDER % 'true')
    wait_for(lambda: driving.driver, 'driving')
    page.execute_script(SHOULDER % 'false')
    wait_for(lambda: not driving.driver, 'letting go')
    page.execute_script(AWAY + ';' + SHOULDER % 'true')
    page.execute_script(BACK)
    wait_for(lambda: 'let go first' in text(page, 'driving'), 'that what was pressed elsewhere does not count')
    assert not driving.driver
    page.execute_script(SHOULDER % 'false')


def test_what_is_held_is_said_by_the_servers_clock(page, robot):
    drive_tab(page)
    before = time.monotonic()
    actions(page).click_and_hold(find(page, '[data-key=w]')).perform()
    wait_for(lambda: moving(robot), 'driving')
    assert before - 1.0 < held(robot)[-1].sent < time.monotonic()
    actions(page).release().perform()


def test_the_fastest_word_tells_the_clock_and_clocks_may_part_slowly(page):
    told = page.execute_async_script("""
        const [done] = arguments;
        import('/static/clock.js').then(({ Clock }) => {
          let here = 0;
          performance.now = () => 1000 * here;
          const clock = new Clock(), said = [clock.now()];
          for (const [at, seconds] of [[1, 101], [2, 101.5], [12, 111.9]]) {
            here = at;
            clock.hear(seconds);
            said.push(clock.now());
          }
          here = 1012;
          clock.hear(1111.85);  // the browser's clock is the faster one
          done([...said, clock.now()]);
        });
    """)
    assert told[0] is None
    assert told[1:] == pytest.approx([101, 102, 111.998, 1111.85], abs=1e-3)


def test_a_wrong_token_is_said_and_the_right_one_opens_the_page(browser, robot):
    def said():
        return browser.execute_script('return document.querySelector("[role=alert]")?.textContent ?? ""')

    serving = serve(robot, host='0.0.0.0')
    try:
        address, _, token = serving.url.partition('?token=')
        there = f'http://127.0.0.1:{address.rstrip("/").rpartition(":")[2]}/'
        browser.get(f'{there}?token=wrong')
        wait_for(lambda: said() == 'That is not the token. It was shown at the start.', 'the answer')
        browser.get(there)
        wait_for(lambda: said() == 'Give the token that was shown where the page was started.', 'the question')
        find(browser, '#token').send_keys('nor this\n')
        wait_for(lambda: said().startswith('That is not the token'), 'the same answer')
        find(browser, '#token').send_keys(f'{token}\n')
        wait_for(lambda: browser.find_elements('css selector', '#goal-now'), 'the page')
        assert 'token' not in browser.current_url
    finally:
        browser.get('about:blank')
        serving.close()
        browser.get_log('browser')


def test_what_is_held_without_a_connection_says_so_and_must_be_held_again(browser, robot):
    """The first press on a new line drives; one that was there before the line does not, and is told why."""
    serving = serve(robot)
    port = int(serving.url.rstrip('/').rpartition(':')[2])
    browser.get(serving.url)
    drive_tab(browser)
    wait_for(lambda: text(browser, 'driving').startswith('nobody drives'), 'the line')
    actions(browser).click_and_hold(find(browser, '[data-key=w]')).perform()
    wait_for(lambda: moving(robot), 'driving by the first press')
    wait_for(lambda: 'what you hold has not been heard yet' in text(browser, 'driving'), 'as this robot never says so')
    serving.close()
    wait_for(lambda: 'Not driving: the connection broke: let go, and hold it again' in text(browser, 'driving'), 'why')
    actions(browser).release().perform()
    actions(browser).click_and_hold(find(browser, '[data-key=w]')).perform()
    assert 'there is no connection yet: let go, and hold it again when there is' in text(browser, 'driving')
    robot.held.clear()
    again = serve(robot, port)
    try:
        wait_for(lambda: 'it was held before the connection was there' in text(browser, 'driving'), 'why', 15.0)
        time.sleep(0.2)
        assert not any(message.keys for message in held(robot)), 'and nothing moves'
        actions(browser).release().perform()
        wait_for(lambda: text(browser, 'driving').startswith('nobody drives'), 'that it is over')
        actions(browser).click_and_hold(find(browser, '[data-key=w]')).perform()
        wait_for(lambda: moving(robot), 'driving')
        actions(browser).release().perform()
    finally:
        again.close()
        browser.get_log('browser')


def test_a_goal_that_is_not_told_apart_is_said_below_it_and_nothing_jumps(page, robot):
    place = 'return document.querySelector(\'[data-call="controller/start"]\').getBoundingClientRect().top'
    before = page.execute_script(place)
    robot.nodes['policy'] = {**robot.nodes['policy'], 'values': {'goal finding': "'打开' and '关上' are one sentence"}}
    wait_for(lambda: text(page, 'goal-finding') == "! policy_node: '打开' and '关上' are one sentence", 'the finding')
    assert page.execute_script(place) == pytest.approx(before, abs=2)


def test_what_a_goal_is_read_as_is_said_calmly(page, robot):
    robot.nodes['policy'] = {**robot.nodes['policy'], 'values': {'goal read as': 'open the drawer'}}
    wait_for(lambda: text(page, 'goal-finding') == 'Read as “open the drawer”.', 'what it is read as')
    assert 'calm' in find(page, '#goal-finding').get_attribute('class')
    values = {'goal read as': '', 'goal finding': 'it is like none'}
    robot.nodes['policy'] = {**robot.nodes['policy'], 'values': values}
    wait_for(lambda: text(page, 'goal-finding') == '! policy_node: it is like none', 'the finding')
    assert 'calm' not in find(page, '#goal-finding').get_attribute('class')


def test_how_many_pictures_come_is_shown(page, robot):
    def looks():
        robot.cameras['static'].push(b'\x80', 100_000_000)
        robot.cameras_told = {'static': {'number': robot.cameras['static'].number, 'age': 0.0, 'problem': ''}}
        time.sleep(0.02)
        return re.fullmatch(r'[1-9]\d*/s', find(page, 'figure .rate').text)

    wait_for(looks, 'the rate')


def test_a_server_that_has_gone_is_said_and_its_return_found(browser, robot):
    serving = serve(robot)
    port = int(serving.url.rstrip('/').rpartition(':')[2])
    browser.get(serving.url)
    wait_for(lambda: text(browser, 'goal-now') == 'open the drawer', 'the state')
    find(browser, '#goal').send_keys('half a sent')
    serving.close()
    wait_for(lambda: text(browser, 'reason').startswith("The page's server does not answer"), 'the loss', 10.0)
    find(browser, '#stop').click()
    wait_for(lambda: text(browser, 'reason').startswith('STOP HAS NOT BEEN HEARD'), 'that the stop was not heard')
    robot.done.clear()
    again = serve(robot, port)
    try:
        wait_for(lambda: text(browser, 'state').endswith('running'), 'the return', 15.0)
        assert find(browser, '#goal').get_attribute('value') == 'half a sent', 'what was typed is still there'
        wait_for(lambda: robot.done == ['stop'], 'the stop, which is said until it is heard')
        wait_for(lambda: not find(browser, '#stop').get_attribute('class'), 'that it is tried no more')
        assert text(browser, 'reason') == ''
        robot.safety = {'stopped': True, 'latched': True, 'check': 'jerk', 'reason': 'too fast'}
        wait_for(lambda: 'jerk: too fast' in text(browser, 'reason'), 'what is so now')
        robot.cameras['static'].push(b'\x10', 0)
        drive_tab(browser)
        wait_for(lambda: text(browser, 'driving').startswith('nobody drives'), 'the line for driving')
        actions(browser).click_and_hold(find(browser, '[data-key=w]')).perform()
        wait_for(lambda: moving(robot), 'driving again')
        actions(browser).release().perform()
    finally:
        again.close()
        browser.get_log('browser')  # the connections that failed are no findings of the next test


def test_a_server_that_comes_back_with_another_robot_is_shown_with_its_own_buttons(browser, robot):
    serving = serve(robot)
    port = int(serving.url.rstrip('/').rpartition(':')[2])
    browser.get(serving.url)
    wait_for(lambda: text(browser, 'robot') == 'tester', 'the robot')
    serving.close()
    about = {**robot.about(), 'robot': 'another', 'keys': []}
    robot.about = lambda: about
    again = serve(robot, port)
    try:
        wait_for(lambda: text(browser, 'robot') == 'another', 'the other one')
        assert browser.find_elements('css selector', '#motions button') == []
    finally:
        again.close()
        browser.get_log('browser')


@pytest.mark.parametrize(('width', 'height'), [(1280, 720), (390, 844)])
def test_it_fits_and_stop_is_in_reach(page, width, height):
    resize(page, width, height)
    for tab in ('#tab-run', '#tab-drive'):
        find(page, tab).click()
        assert page.execute_script('return document.documentElement.scrollWidth') <= width
        box = find(page, '#stop').rect
        assert box['width'] * box['height'] >= 16_000
        on_top = page.execute_script(
            'const b = document.getElementById("stop").getBoundingClientRect();'
            'return document.elementFromPoint(b.x + b.width / 2, b.y + b.height / 2).closest("#stop") !== null'
        )
        assert on_top, 'nothing covers it'


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_no_serious_finding_of_axe(page, robot, scheme):
    source = axe_source()
    robot.nodes['policy'] = {
        **robot.nodes['policy'],
        'level': 'warning',
        'values': {'goal finding': 'one sentence ' * 40},
    }
    wait_for(lambda: text(page, 'goal-finding'), 'a warning')
    for tab in ('#tab-run', '#tab-drive'):
        find(page, tab).click()
        assert serious_findings(page, source, scheme) == []


def test_the_plan_is_drawn_and_goes_with_the_stop(page, robot):
    assert text(page, 'ahead-words') == 'nothing is planned'
    robot.ahead = {'period': 0.05, 'decided': 1, 'values': [[0.1, 0.2, 0.3, 0.4], [1.0, 1.0, -1.0, -1.0]]}
    wait_for(lambda: text(page, 'ahead-words') == 'the next 0.20 s, dashed: decided before, 1 of 4 actions', 'the plan')
    strips = page.find_elements('css selector', '#ahead svg')
    assert [strip.get_attribute('aria-label') for strip in strips] == ['planned x', 'planned grip']
    points = [line.get_attribute('points').split() for line in strips[1].find_elements('css selector', '.line')]
    assert [len(each) for each in points] == [6, 2]
    heights = [float(point.split(',')[1]) for point in points[0]]
    assert heights[0] < heights[-1], 'up is more'
    robot.ahead = None
    wait_for(lambda: text(page, 'ahead-words') == 'nothing is planned', 'its end')
    assert errors(page) == []
